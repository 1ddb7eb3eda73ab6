//! A firewall's log in the formats of its vendor.

use super::asa::AsaForms;
use super::fortigate::FortiForms;
use super::line::Line;
use super::session_fields::{FIELDS, Put};
use super::template::Template;
use super::text::{bsd_time, iso_millis, text};
use crate::fleet::device::{Device, Header, RELEASES};
use crate::record::Wire;
use crate::record::session::{Kind, Session};

/// The CSV forms of one release.
#[derive(Debug)]
struct CsvForms {
    traffic: Template<Put>,
    threat: Template<Put>,
    system: Template<Put>,
    config: Template<Put>,
}

/// The forms of TRAFFIC and THREAT in a format that has no others.
#[derive(Debug)]
struct Pair {
    traffic: Template<Put>,
    threat: Template<Put>,
}

impl Pair {
    fn of(&self, kind: &Kind) -> &Template<Put> {
        if matches!(kind, Kind::Traffic(_)) { &self.traffic } else { &self.threat }
    }

    /// Forms of CEF or LEEF, whose pairs `separator` divides; with those of PAN-OS 10 or without.
    fn of_pairs(traffic: &str, threat: &str, separator: &str, is_new: bool) -> Self {
        let template = |text: &str| Template::pairs(text, separator, is_new, FIELDS);
        Self { traffic: template(traffic), threat: template(threat) }
    }
}

/// Every form of a firewall's log.
#[derive(Debug)]
pub(crate) struct SessionForms {
    strata: Pair,
    /// In the order of [`RELEASES`].
    csv: Vec<CsvForms>,
    /// Of releases before 10.0, and of later ones.
    cef: [Pair; 2],
    leef: [Pair; 2],
    fortigate: FortiForms,
    asa: AsaForms,
}

impl SessionForms {
    pub(crate) fn new() -> Self {
        let csv = RELEASES.map(|release| CsvForms {
            traffic: Template::csv(include_str!("templates/panos_traffic.csv"), release.traffic, FIELDS),
            threat: Template::csv(include_str!("templates/panos_threat.csv"), release.threat, FIELDS),
            system: Template::csv(include_str!("templates/panos_system.csv"), release.system, FIELDS),
            config: Template::csv(include_str!("templates/panos_config.csv"), release.config, FIELDS),
        });
        let cef = [include_str!("templates/panos_cef_traffic.txt"), include_str!("templates/panos_cef_threat.txt")];
        let leef = [include_str!("templates/panos_leef_traffic.txt"), include_str!("templates/panos_leef_threat.txt")];
        Self {
            strata: Pair {
                traffic: Template::json(include_str!("templates/strata_traffic.json"), FIELDS),
                threat: Template::json(include_str!("templates/strata_threat.json"), FIELDS),
            },
            csv: csv.into(),
            cef: [false, true].map(|is_new| Pair::of_pairs(cef[0], cef[1], " ", is_new)),
            leef: [false, true].map(|is_new| Pair::of_pairs(leef[0], leef[1], "|", is_new)),
            fortigate: FortiForms::new(),
            asa: AsaForms::new(),
        }
    }

    fn form(&self, wire: Wire, session: &Session<'_>) -> &Template<Put> {
        let is_new = usize::from(session.device.release.has_high_resolution());
        match wire {
            Wire::Cef => self.cef[is_new].of(&session.kind),
            Wire::Leef => self.leef[is_new].of(&session.kind),
            Wire::FortiGate => self.fortigate.pairs(session),
            Wire::FortiGateCef => self.fortigate.cef(session),
            Wire::Asa => self.asa.form(session),
            Wire::Csv => self.csv(session),
            _ => self.strata.of(&session.kind),
        }
    }

    fn csv(&self, session: &Session<'_>) -> &Template<Put> {
        let forms = &self.csv[session.device.release_index];
        match session.kind {
            Kind::Traffic(_) => &forms.traffic,
            Kind::Url(_) | Kind::Threat(_) => &forms.threat,
            Kind::System => &forms.system,
            Kind::Config(_) => &forms.config,
        }
    }

    /// Appends the log.
    pub(crate) fn render(&self, wire: Wire, session: &Session<'_>, out: &mut Line) {
        header(wire, session.device, session.received_us, out);
        self.form(wire, session).render(out, |put, out| put(session, out));
    }
}

/// What the syslog transport puts before a line of PAN-OS; of other vendors it is part of the form.
pub(super) fn header(wire: Wire, device: &Device, received_us: i64, out: &mut Line) {
    if !matches!(wire, Wire::Csv | Wire::Cef | Wire::Leef) {
        return;
    }
    match device.header {
        Header::None => return,
        Header::Rfc3164 => {
            out.put(b"<14>");
            bsd_time(out, received_us);
        }
        Header::Rfc5424 => {
            out.put(b"<14>1 ");
            iso_millis(out, received_us);
            out.push(b'Z');
        }
    }
    out.push(b' ');
    text(out, &device.name);
    text(out, if device.header == Header::Rfc5424 { " - - - - " } else { " " });
}
