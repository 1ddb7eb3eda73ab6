//! The rules that ship with Palisade, by the names of their files. To add one: a file in `rules/`, a line here.

macro_rules! rules {
    ($($name:literal),* $(,)?) => {
        &[$((concat!("rules/", $name, ".yaml"), include_str!(concat!("../../rules/", $name, ".yaml")))),*]
    };
}

/// Name and text of each.
pub(crate) const BUILTIN_RULES: &[(&str, &str)] = rules![
    "admin_port_from_internet",
    "azure_diagnostics_deleted",
    "azure_nsg_open",
    "beaconing",
    "cloud_admin_from_new_country",
    "cloud_brute_force",
    "cloud_password_spray",
    "cloudtrail_access_denied_burst",
    "cloudtrail_admin_policy_attached",
    "cloudtrail_console_login_without_mfa",
    "cloudtrail_key_used_elsewhere",
    "cloudtrail_log_tampering",
    "cloudtrail_logging_stopped",
    "cloudtrail_mass_deletion",
    "cloudtrail_mfa_disabled",
    "cloudtrail_public_bucket",
    "cloudtrail_root_change",
    "cloudtrail_secrets_harvest",
    "cloudtrail_security_group_open",
    "cloudtrail_snapshot_shared",
    "dead_letters_jump",
    "dns_tunnel",
    "dns_tunnel_names",
    "entra_admin_role_assigned",
    "entra_consent_granted",
    "entra_risky_signin",
    "gcp_firewall_open",
    "gcp_log_sink_deleted",
    "gcp_owner_granted",
    "gcp_service_account_key",
    "globalprotect_agent_disabled",
    "host_sweep",
    "kubernetes_exec",
    "kubernetes_secrets_listed",
    "lateral_fan_out",
    "log_source_silent",
    "m365_mailbox_forwarding",
    "malicious_domain_requested",
    "okta_admin_granted",
    "okta_mfa_reset",
    "okta_policy_weakened",
    "panos_admin_brute_force",
    "panos_administrator_added",
    "panos_change_outside_hours",
    "panos_logging_weakened",
    "panos_logs_cleared",
    "panos_open_rule",
    "port_scan",
    "rare_upload",
    "slow_scan",
    "threat_then_allowed",
    "upload_over_baseline",
    "vertical_scan",
    "vpn_brute_force",
    "vpn_impossible_travel",
    "vpn_mfa_fatigue",
    "vpn_password_spray",
    "vpn_session_overlap",
    "vpn_success_after_failures",
    "vpn_two_countries",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_in_the_folder_ships() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = std::fs::read_dir(root.join("rules")).expect("a folder");
        let mut names: Vec<String> =
            files.map(|f| format!("rules/{}", f.expect("a file").file_name().display())).collect();
        names.sort();
        assert_eq!(BUILTIN_RULES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    }
}
