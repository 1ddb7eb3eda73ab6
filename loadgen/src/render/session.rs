//! A firewall's log in the formats of its vendor.

use super::asa::AsaForms;
use super::fortigate::FortiForms;
use super::line::Line;
use super::session_fields::{Field, Form, fields};
use super::template::Template;
use super::text::{bsd_time, iso_millis, text};
use crate::fleet::device::{Device, Header, RELEASES};
use crate::record::Wire;
use crate::record::session::{Kind, Session};

/// The CSV forms of one release.
#[derive(Debug)]
struct CsvForms {
    traffic: Form,
    threat: Form,
    system: Form,
    config: Form,
}

/// The forms of TRAFFIC and THREAT in a format that has no others.
#[derive(Debug)]
struct Pair {
    traffic: Form,
    threat: Form,
}

impl Pair {
    fn of(&self, kind: &Kind) -> &Form {
        if matches!(kind, Kind::Traffic(_)) { &self.traffic } else { &self.threat }
    }

    fn new(texts: [&str; 2], read: impl Fn(&str) -> Template<Field>) -> Self {
        let [traffic, threat] = texts.map(|text| Form::new(read(text)));
        Self { traffic, threat }
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
        let fields = fields(&[]);
        let csv = RELEASES.map(|release| {
            let code = release.code.to_string();
            let form =
                |text: &str, columns| Form::new(Template::csv(&text.replace("{release}", &code), columns, &fields));
            CsvForms {
                traffic: form(include_str!("templates/panos_traffic.csv"), release.traffic),
                threat: form(include_str!("templates/panos_threat.csv"), release.threat),
                system: form(include_str!("templates/panos_system.csv"), release.system),
                config: form(include_str!("templates/panos_config.csv"), release.config),
            }
        });
        let cef = [include_str!("templates/panos_cef_traffic.txt"), include_str!("templates/panos_cef_threat.txt")];
        let leef = [include_str!("templates/panos_leef_traffic.txt"), include_str!("templates/panos_leef_threat.txt")];
        let strata = [include_str!("templates/strata_traffic.json"), include_str!("templates/strata_threat.json")];
        let pairs =
            |texts, separator, is_new| Pair::new(texts, |text| Template::pairs(text, separator, is_new, &fields));
        Self {
            strata: Pair::new(strata, |text| Template::json(text, &fields)),
            csv: csv.into(),
            cef: [false, true].map(|is_new| pairs(cef, " ", is_new)),
            leef: [false, true].map(|is_new| pairs(leef, "|", is_new)),
            fortigate: FortiForms::new(),
            asa: AsaForms::new(),
        }
    }

    fn form(&self, wire: Wire, session: &Session<'_>) -> &Form {
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

    fn csv(&self, session: &Session<'_>) -> &Form {
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
        self.form(wire, session).render(session, out);
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
