//! What OCSF asks for beyond what a mapping says: ids that objects are not valid without, and the profiles of attributes.

use dataflow::Table;

use super::super::error::{Mistake, Place};
use super::super::step::{Enum, Otherwise, Step, What};
use super::super::target::{self, Kind};
use super::super::words::Words;
use super::Compiler;
use crate::normalize::ocsf;

impl Compiler {
    /// Adds the ids that objects are not valid without.
    pub(super) fn complete(&mut self) {
        for (object, id, caption) in REQUIRED {
            let is_begun =
                self.mapped.iter().any(|path| path.strip_prefix(object).is_some_and(|rest| rest.starts_with('.')))
                    || (object == "device" && self.table.leaf("device.hostname").is_some());
            let name = id.strip_suffix("_id").unwrap_or(id);
            let is_mapped = self.mapped.iter().any(|path| *path == id || *path == name);
            let Ok(Kind::Enum { id: target, caption: beside, own }) = target::kind(self.table, id) else { continue };
            let os = self.mapped.contains(&object);
            let Some(value) = ocsf::by_caption(own, caption).filter(|_| is_begun && !is_mapped && !os) else {
                continue;
            };
            let what = What::Enum(Enum { id: target, caption: beside, words: Words::default(), own, vocabulary: None });
            let step = Step::alone(what, Otherwise::Caption(value));
            match target::list_of(self.table, id) {
                Some(list) => drop(self.add_to_element(list, step)),
                None => self.steps.push(step),
            }
        }
    }

    pub(super) fn check_cloud(&mut self, at: Place) {
        let has = |head: &str| self.mapped.iter().any(|path| path.starts_with(head));
        if has("cloud.") && !has("cloud.provider") {
            self.mistakes.push(Mistake::new(at, "cloud.* needs cloud.provider, for instance {const: AWS}"));
        }
    }

    /// The profiles that bring the attributes.
    pub(super) fn profiles(&self, takes_host: bool) -> &'static [&'static str] {
        let has = |names: &[&str]| {
            self.mapped.iter().any(|path| names.contains(&path.split(['.', '[']).next().unwrap_or(path)))
        };
        let cloud = has(&["cloud"]) || (self.table != Table::ApiActivity && has(&["api"]));
        let host = has(&["device", "actor"]) || (takes_host && self.table.leaf("device.hostname").is_some());
        let security = has(&["action", "disposition", "firewall_rule", "is_alert", "action_id", "disposition_id"]);
        match (cloud, host, security) {
            (false, false, false) => &["datetime"],
            (false, false, true) => &["security_control", "datetime"],
            (false, true, false) => &["host", "datetime"],
            (false, true, true) => &["host", "security_control", "datetime"],
            (true, false, false) => &["cloud", "datetime"],
            (true, false, true) => &["cloud", "security_control", "datetime"],
            (true, true, false) => &["cloud", "host", "datetime"],
            (true, true, true) => &["cloud", "host", "security_control", "datetime"],
        }
    }
}

/// Objects, the id that each needs, and the value that it has if nothing says it.
const REQUIRED: [(&str, &str, &str); 6] = [
    ("connection_info", "connection_info.direction_id", "Unknown"),
    ("evidences[].connection_info", "evidences[].connection_info.direction_id", "Unknown"),
    ("evidences[].file", "evidences[].file.type_id", "Unknown"),
    ("finding_info.analytic", "finding_info.analytic.type_id", "Rule"),
    ("src_endpoint.os", "src_endpoint.os.type_id", "Unknown"),
    ("device", "device.type_id", "Unknown"),
];
