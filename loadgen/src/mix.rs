//! How the records are divided among the formats, and which format a firewall writes.

use serde::{Deserialize, Serialize};

use crate::draw::Draw;
use crate::record::Wire;

/// Shares of the formats among the background records. A firewall is of one vendor and writes one format to its collector;
/// one of Palo Alto Networks sends some of its logs to the vendor's own service instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Strata Logging Service JSON: TRAFFIC, THREAT and GLOBALPROTECT.
    pub strata_json: u32,
    /// PAN-OS CSV in syslog: TRAFFIC, THREAT, GLOBALPROTECT, SYSTEM and CONFIG.
    pub panos_csv: u32,
    /// PAN-OS CEF in syslog: TRAFFIC, THREAT and GLOBALPROTECT.
    pub panos_cef: u32,
    /// PAN-OS LEEF in syslog: TRAFFIC, THREAT and GLOBALPROTECT.
    pub panos_leef: u32,
    /// FortiOS key-value pairs in syslog: traffic, utm and event.
    pub fortigate: u32,
    /// FortiOS CEF in syslog: traffic, utm and event.
    pub fortigate_cef: u32,
    /// Cisco ASA syslog: connections, denials, URLs, AnyConnect.
    pub cisco_asa: u32,
    /// AWS CloudTrail.
    pub cloudtrail: u32,
    /// Google Cloud audit logs.
    pub gcp_audit: u32,
    /// Azure activity log, as diagnostic settings deliver it.
    pub azure_activity: u32,
    /// Microsoft Entra ID sign-ins, as diagnostic settings deliver them.
    pub entra_signin: u32,
    /// Okta System Log: sign-ins.
    pub okta: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            strata_json: 46,
            panos_csv: 24,
            panos_cef: 3,
            panos_leef: 3,
            fortigate: 4,
            fortigate_cef: 2,
            cisco_asa: 3,
            cloudtrail: 9,
            gcp_audit: 2,
            azure_activity: 2,
            entra_signin: 1,
            okta: 1,
        }
    }
}

impl Mix {
    /// No format at all: what a mix of few formats begins with.
    pub const NONE: Self = Self {
        strata_json: 0,
        panos_csv: 0,
        panos_cef: 0,
        panos_leef: 0,
        fortigate: 0,
        fortigate_cef: 0,
        cisco_asa: 0,
        cloudtrail: 0,
        gcp_audit: 0,
        azure_activity: 0,
        entra_signin: 0,
        okta: 0,
    };

    /// What firewalls write to a collector. The share of a vendor's own service counts for its firewalls.
    fn collected(&self) -> [(Wire, u64); 6] {
        let panos = self.panos_csv + self.panos_cef + self.panos_leef;
        let csv = if panos == 0 { self.strata_json } else { self.panos_csv };
        // Of the service's records each of the three has its part.
        let with_service = |share: u32| match u64::from(panos) {
            0 => u64::from(share),
            panos => u64::from(share) * (panos + u64::from(self.strata_json)) * 1_000 / panos,
        };
        let scale = if panos == 0 { 1 } else { 1_000 };
        [
            (Wire::Csv, with_service(csv)),
            (Wire::Cef, with_service(self.panos_cef)),
            (Wire::Leef, with_service(self.panos_leef)),
            (Wire::FortiGate, u64::from(self.fortigate) * scale),
            (Wire::FortiGateCef, u64::from(self.fortigate_cef) * scale),
            (Wire::Asa, u64::from(self.cisco_asa) * scale),
        ]
    }

    /// What is no firewall's.
    fn cloud(&self) -> [(Wire, u64); 5] {
        [
            (Wire::CloudTrail, self.cloudtrail.into()),
            (Wire::GcpAudit, self.gcp_audit.into()),
            (Wire::AzureActivity, self.azure_activity.into()),
            (Wire::EntraSignIn, self.entra_signin.into()),
            (Wire::Okta, self.okta.into()),
        ]
    }

    pub(crate) fn total(&self) -> u64 {
        let panos = [self.strata_json, self.panos_csv, self.panos_cef, self.panos_leef];
        let others = [self.fortigate, self.fortigate_cef, self.cisco_asa];
        let cloud: u64 = self.cloud().into_iter().map(|(_, share)| share).sum();
        panos.into_iter().chain(others).map(u64::from).sum::<u64>() + cloud
    }

    /// The cloud's format of a background record; none if a firewall wrote it.
    pub(crate) fn cloud_wire(&self, draw: &mut Draw) -> Option<Wire> {
        let mut at = draw.below(self.total());
        for (wire, share) in self.cloud() {
            if at < share {
                return Some(wire);
            }
            at -= share;
        }
        None
    }

    /// How a firewall that writes `collected` to its collector tells a record.
    pub(crate) fn firewall_wire(&self, collected: Wire, draw: &mut Draw) -> Wire {
        let panos = self.panos_csv + self.panos_cef + self.panos_leef;
        let both = u64::from(self.strata_json) + u64::from(panos);
        let to_service = collected.is_palo_alto() && draw.below(both.max(1)) < u64::from(self.strata_json);
        if to_service { Wire::Strata } else { collected }
    }

    /// What each of `count` firewalls writes to its collector: always what is furthest behind its share.
    pub(crate) fn device_wires(&self, count: u32) -> Vec<Wire> {
        let shares = self.collected();
        let total: u64 = shares.iter().map(|(_, share)| share).sum();
        let mut given = [0u64; 6];
        let wire = |devices: u64| {
            let behind = |at: usize| (shares[at].1 * (devices + 1)) as i128 - (given[at] * total) as i128;
            let first = (0..shares.len()).rev().max_by_key(|at| behind(*at)).unwrap_or(0);
            given[first] += 1;
            shares[first].0
        };
        (0..u64::from(count)).map(wire).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firewalls_have_the_shares_of_their_formats() {
        let wires = Mix::default().device_wires(850);
        let count = |wire| wires.iter().filter(|w| **w == wire).count();
        assert_eq!([Wire::Csv, Wire::Cef, Wire::Leef].map(count), [608, 76, 76]);
        assert_eq!([Wire::FortiGate, Wire::FortiGateCef, Wire::Asa].map(count), [40, 20, 30]);
        assert_eq!(Mix::default().device_wires(3), [Wire::Csv, Wire::Csv, Wire::Cef]);
    }

    #[test]
    fn a_mix_of_one_format_is_of_one_format() {
        let mut draw = Draw::at(1, 2, 3);
        let wires = |mix: Mix, draw: &mut Draw| {
            let device = mix.device_wires(7)[6];
            (mix.cloud_wire(draw), mix.firewall_wire(device, draw))
        };
        let none = Mix::NONE;
        let firewalls = [
            (Mix { strata_json: 1, ..none }, Wire::Strata),
            (Mix { panos_csv: 1, ..none }, Wire::Csv),
            (Mix { panos_cef: 1, ..none }, Wire::Cef),
            (Mix { panos_leef: 1, ..none }, Wire::Leef),
            (Mix { fortigate: 1, ..none }, Wire::FortiGate),
            (Mix { fortigate_cef: 1, ..none }, Wire::FortiGateCef),
            (Mix { cisco_asa: 1, ..none }, Wire::Asa),
        ];
        for (mix, wire) in firewalls {
            assert_eq!((mix.total(), wires(mix, &mut draw)), (1, (None, wire)));
        }
        let clouds = [
            (Mix { cloudtrail: 1, ..none }, Wire::CloudTrail),
            (Mix { gcp_audit: 1, ..none }, Wire::GcpAudit),
            (Mix { azure_activity: 1, ..none }, Wire::AzureActivity),
            (Mix { entra_signin: 1, ..none }, Wire::EntraSignIn),
            (Mix { okta: 1, ..none }, Wire::Okta),
        ];
        for (mix, wire) in clouds {
            assert_eq!((mix.total(), wires(mix, &mut draw).0), (1, Some(wire)));
        }
        assert_eq!(none.device_wires(2), [Wire::Csv; 2]);
    }
}
