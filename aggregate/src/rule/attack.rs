//! Tags -> MITRE ATT&CK techniques and tactics.

use super::super::sql::nearest;

/// What a rule's tags say about the attack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attack {
    /// Technique ids, `T1562.008`.
    pub(crate) techniques: Vec<String>,
    /// Tactic ids and names.
    pub(crate) tactics: Vec<(&'static str, &'static str)>,
    /// Tags that are not ATT&CK's.
    pub(crate) others: Vec<String>,
}

/// ATT&CK Enterprise tactics as Sigma spells them: tag, id, name.
/// Version 19 made two of Defense Evasion: Stealth, which kept its id, and Defense Impairment.
const TACTICS: [(&str, &str, &str); 16] = [
    ("reconnaissance", "TA0043", "Reconnaissance"),
    ("resource_development", "TA0042", "Resource Development"),
    ("initial_access", "TA0001", "Initial Access"),
    ("execution", "TA0002", "Execution"),
    ("persistence", "TA0003", "Persistence"),
    ("privilege_escalation", "TA0004", "Privilege Escalation"),
    ("defense_evasion", "TA0005", "Defense Evasion"),
    ("stealth", "TA0005", "Stealth"),
    ("defense_impairment", "TA0112", "Defense Impairment"),
    ("credential_access", "TA0006", "Credential Access"),
    ("discovery", "TA0007", "Discovery"),
    ("lateral_movement", "TA0008", "Lateral Movement"),
    ("collection", "TA0009", "Collection"),
    ("command_and_control", "TA0011", "Command and Control"),
    ("exfiltration", "TA0010", "Exfiltration"),
    ("impact", "TA0040", "Impact"),
];

impl Attack {
    /// Reads the tags, or says which one is wrong and what is near.
    pub(crate) fn of(tags: &[String]) -> Result<Self, (String, Option<String>)> {
        let mut attack = Attack::default();
        for tag in tags {
            let Some(name) = tag.strip_prefix("attack.") else {
                attack.others.push(tag.clone());
                continue;
            };
            let name = name.to_lowercase().replace('-', "_");
            if is_technique(&name) {
                attack.techniques.push(name.to_uppercase());
            } else if let Some((_, id, caption)) = TACTICS.iter().find(|t| t.0 == name) {
                attack.tactics.push((id, caption));
            } else if is_group_or_software(&name) {
                attack.others.push(tag.clone());
            } else {
                let near = nearest(&name, TACTICS.iter().map(|t| t.0));
                return Err((tag.clone(), near.map(|n| format!("attack.{n}"))));
            }
        }
        Ok(attack)
    }

    /// As [`Attack::of`], of tags by other authors: what is not ATT&CK's as it is known here stays a tag.
    pub(crate) fn lenient(tags: &[String]) -> Self {
        let mut attack = Attack::default();
        for tag in tags {
            match Self::of(std::slice::from_ref(tag)) {
                Ok(one) => {
                    attack.techniques.extend(one.techniques);
                    attack.tactics.extend(one.tactics);
                    attack.others.extend(one.others);
                }
                Err(_) => attack.others.push(tag.clone()),
            }
        }
        attack
    }
}

/// Groups and software, which Sigma rules name too: `g0016`, `s0154`.
fn is_group_or_software(name: &str) -> bool {
    let number = name.strip_prefix(['g', 's']);
    number.is_some_and(|n| n.len() == 4 && n.bytes().all(|b| b.is_ascii_digit()))
}

/// `t1046` or `t1562.008`.
fn is_technique(name: &str) -> bool {
    let Some(number) = name.strip_prefix('t') else { return false };
    let (technique, sub) = number.split_once('.').unwrap_or((number, "000"));
    let digits = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    digits(technique, 4) && digits(sub, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_techniques_and_tactics() {
        let tags = ["attack.t1562.008", "attack.defense-evasion", "cve.2024-1", "attack.g0016"].map(str::to_owned);
        let attack = Attack::of(&tags).expect("known tags");
        assert_eq!(attack.techniques, ["T1562.008"]);
        assert_eq!(attack.tactics, [("TA0005", "Defense Evasion")]);
        assert_eq!(attack.others, ["cve.2024-1", "attack.g0016"]);
    }

    #[test]
    fn an_unknown_tactic_is_refused_with_the_nearest() {
        let error = Attack::of(&["attack.exfiltraton".to_owned()]).expect_err("a typing error");
        assert_eq!(error, ("attack.exfiltraton".to_owned(), Some("attack.exfiltration".to_owned())));
        let tags = ["attack.t10".to_owned(), "attack.t1046".to_owned()];
        assert!(Attack::of(&tags).is_err());
        let attack = Attack::lenient(&tags);
        assert_eq!((attack.techniques, attack.others), (vec!["T1046".to_owned()], vec!["attack.t10".to_owned()]));
    }
}
