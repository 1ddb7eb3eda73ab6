//! The scenarios: names, ATT&CK techniques, the rule that is about each, and who plants it.

use super::{
    Claim, Scene, beaconing, cloud_abuse, host_sweep, lateral_fan_out, leaks, logging_stopped, port_scan, quiet_scans,
    rare_upload, threat_then_allowed, vpn_abuse, vpn_brute_force, vpn_password_spray, vpn_two_countries,
};
use crate::config::{FleetConfig, Knobs};

/// File stems of the starter rules.
pub(crate) const PORT_SCAN: &str = "port_scan";
pub(crate) const RARE_UPLOAD: &str = "rare_upload";
pub(crate) const LOGGING_STOPPED: &str = "cloudtrail_logging_stopped";
pub(crate) const HOST_SWEEP: &str = "host_sweep";
pub(crate) const VPN_BRUTE_FORCE: &str = "vpn_brute_force";
pub(crate) const VPN_PASSWORD_SPRAY: &str = "vpn_password_spray";
pub(crate) const VPN_TWO_COUNTRIES: &str = "vpn_two_countries";
pub(crate) const LATERAL_FAN_OUT: &str = "lateral_fan_out";
pub(crate) const THREAT_THEN_ALLOWED: &str = "threat_then_allowed";

/// The rules that the first scenarios were made for.
pub(crate) const STARTERS: [&str; 9] = [
    PORT_SCAN,
    RARE_UPLOAD,
    LOGGING_STOPPED,
    HOST_SWEEP,
    VPN_BRUTE_FORCE,
    VPN_PASSWORD_SPRAY,
    VPN_TWO_COUNTRIES,
    LATERAL_FAN_OUT,
    THREAT_THEN_ALLOWED,
];

/// Plants what a scene needs and says what for.
type Planner = fn(&mut Scene<'_>) -> Claim;

/// A kind of attack, with its near misses.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// ATT&CK techniques; a rule's own, if one ships.
    pub(crate) techniques: &'static [&'static str],
    /// File stem of the starter rule that is about it.
    pub(crate) rule: Option<&'static str>,
    /// Other rules that may rightly alert on what is planted, near miss or not: it is what they look for.
    pub(super) also: &'static [&'static str],
    /// Records that an attack needs for each unit of intensity, if they are many.
    pub(super) records_a_unit: u64,
    pub(super) planner: Planner,
}

/// A scenario that a starter rule is about and named for.
const fn covered(
    name: &'static str,
    techniques: &'static [&'static str],
    records_a_unit: u64,
    planner: Planner,
) -> Scenario {
    Scenario { name, techniques, rule: Some(name), also: &[], records_a_unit, planner }
}

/// A scenario that another rule is about.
const fn told_by(
    rule: &'static str,
    name: &'static str,
    techniques: &'static [&'static str],
    records_a_unit: u64,
    planner: Planner,
) -> Scenario {
    Scenario { rule: Some(rule), ..covered(name, techniques, records_a_unit, planner) }
}

/// The scenario, which these rules too may alert on.
const fn seen_by(also: &'static [&'static str], scenario: Scenario) -> Scenario {
    Scenario { also, ..scenario }
}

/// A scenario that no starter rule is about.
const fn uncovered(name: &'static str, techniques: &'static [&'static str], planner: Planner) -> Scenario {
    Scenario { name, techniques, rule: None, also: &[], records_a_unit: 0, planner }
}

/// All of them. A scenario's place is part of every fleet: it names the scenario's draws and addresses.
pub(super) const SCENARIOS: [Scenario; 27] = [
    seen_by(&["slow_scan", "vertical_scan"], covered(PORT_SCAN, &["T1046"], 250, port_scan::plan)),
    seen_by(&["beaconing", "upload_over_baseline"], covered(RARE_UPLOAD, &["T1567"], 0, rare_upload::plan)),
    seen_by(&["cloudtrail_root_change"], covered(LOGGING_STOPPED, &["T1562.008"], 0, logging_stopped::plan)),
    covered(HOST_SWEEP, &["T1046", "T1018"], 100, host_sweep::plan),
    covered(VPN_BRUTE_FORCE, &["T1110.001"], 20, vpn_brute_force::plan),
    covered(VPN_PASSWORD_SPRAY, &["T1110.003"], 30, vpn_password_spray::plan),
    seen_by(&["vpn_impossible_travel"], covered(VPN_TWO_COUNTRIES, &["T1078", "T1133"], 0, vpn_two_countries::plan)),
    covered(LATERAL_FAN_OUT, &["T1021.001", "T1021.002"], 20, lateral_fan_out::plan),
    covered(THREAT_THEN_ALLOWED, &["T1190", "T1210"], 0, threat_then_allowed::plan),
    seen_by(&["slow_scan", "vertical_scan"], uncovered("slow_scan", &["T1046"], quiet_scans::slow)),
    seen_by(&["slow_scan", "vertical_scan"], uncovered("vertical_scan", &["T1046"], quiet_scans::vertical)),
    covered("beaconing", &["T1071.001", "T1573"], 20, beaconing::plan),
    seen_by(&["beaconing"], uncovered("slow_exfiltration", &["T1030", "T1048"], leaks::pieces)),
    seen_by(&["beaconing"], covered("dns_tunnel", &["T1071.004", "T1572"], 50, leaks::dns)),
    seen_by(
        &["vpn_impossible_travel"],
        uncovered("vpn_impossible_travel", &["T1078", "T1539"], vpn_abuse::impossible_travel),
    ),
    covered("vpn_session_overlap", &["T1133", "T1539"], 0, vpn_abuse::overlap),
    uncovered("vpn_distributed_guessing", &["T1110.001", "T1110.004"], vpn_abuse::distributed),
    covered("vpn_mfa_fatigue", &["T1621"], 0, vpn_abuse::mfa_fatigue),
    seen_by(
        &["cloudtrail_mfa_disabled"],
        told_by("cloudtrail_root_change", "cloud_root_use", &["T1078.004"], 0, cloud_abuse::plan),
    ),
    told_by("cloudtrail_mass_deletion", "cloud_mass_deletion", &["T1485", "T1490"], 10, cloud_abuse::plan),
    seen_by(
        &["cloudtrail_key_used_elsewhere"],
        uncovered("cloud_key_elsewhere", &["T1098.001", "T1078.004"], cloud_abuse::plan),
    ),
    told_by("cloudtrail_admin_policy_attached", "cloud_privilege_escalation", &["T1098.003"], 0, cloud_abuse::plan),
    told_by("cloudtrail_public_bucket", "cloud_public_bucket", &["T1530", "T1537"], 0, cloud_abuse::plan),
    told_by("cloudtrail_log_tampering", "cloud_log_tampering", &["T1562.008"], 0, cloud_abuse::plan),
    seen_by(&["cloud_admin_from_new_country"], uncovered("cloud_new_country", &["T1078.004"], cloud_abuse::plan)),
    told_by("cloudtrail_access_denied_burst", "cloud_discovery", &["T1580", "T1087.004"], 15, cloud_abuse::plan),
    told_by("cloudtrail_secrets_harvest", "cloud_secrets", &["T1555.006"], 10, cloud_abuse::plan),
];

impl Scenario {
    /// What the configuration says of it alone.
    pub(super) fn knobs(&self, config: &FleetConfig) -> Knobs {
        config.scenarios.get(self.name).copied().unwrap_or_default()
    }

    /// Attacks and near misses.
    pub(super) fn counts(&self, config: &FleetConfig) -> (u64, u64) {
        let usual = match self.rule {
            Some(rule) if STARTERS.contains(&rule) => (config.attacks, config.near_misses),
            // As many kinds again, half as often each.
            Some(_) => (config.attacks.div_ceil(2), config.near_misses.div_ceil(2)),
            None => (config.uncovered_attacks, config.uncovered_near_misses),
        };
        let knobs = self.knobs(config);
        (knobs.attacks.unwrap_or(usual.0).into(), knobs.near_misses.unwrap_or(usual.1).into())
    }
}

/// The scenario of that name.
pub(crate) fn scenario(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|s| s.name == name)
}

/// All names.
pub(crate) fn names() -> Vec<&'static str> {
    SCENARIOS.iter().map(|s| s.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_covered_scenario_has_its_rules_techniques_and_no_more() {
        let rules = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
        let techniques = |rule: &str| -> Vec<String> {
            let text = std::fs::read_to_string(rules.join(format!("{rule}.yaml"))).expect("a rule that ships");
            let tags = text.lines().filter_map(|l| l.trim().strip_prefix("- attack.t"));
            tags.filter(|tag| tag.starts_with(|c: char| c.is_ascii_digit()))
                .map(|t| format!("T{}", t.to_uppercase()))
                .collect()
        };
        for scenario in &SCENARIOS {
            if let Some(rule) = scenario.rule {
                assert_eq!(techniques(rule), scenario.techniques, "{}", scenario.name);
            }
            scenario.also.iter().for_each(|rule| assert!(!techniques(rule).is_empty(), "{rule}"));
        }
        assert!(SCENARIOS.iter().filter(|s| s.rule.is_some()).count() >= 18);
    }

    #[test]
    fn names_are_distinct_and_every_scenario_has_a_technique() {
        let names: std::collections::BTreeSet<_> = names().into_iter().collect();
        assert_eq!(names.len(), SCENARIOS.len());
        for scenario in &SCENARIOS {
            let is_id = |t: &str| t.starts_with('T') && t[1..].chars().all(|c| c.is_ascii_digit() || c == '.');
            assert!(
                !scenario.techniques.is_empty() && scenario.techniques.iter().all(|t| is_id(t)),
                "{}",
                scenario.name
            );
        }
    }
}
