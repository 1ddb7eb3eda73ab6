//! What each version of the rules held, kept beside the ledger: entries name a version, and this says which rules it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregate::RuleSet;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use sinks::Warehouse;

/// A version of the rules.
#[derive(Serialize, Deserialize)]
struct Record {
    rules: Vec<Recorded>,
}

/// A rule of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) uid: String,
    pub(crate) version: u32,
    fingerprint: String,
    /// What kept its alerts back, see [`aggregate::Rule::keeps_back`].
    #[serde(default)]
    pub(crate) keeps_back: String,
}

fn name(version: &str) -> String {
    format!("rules-{version}")
}

/// Records what the set holds: before the first entry that names its version.
///
/// # Errors
/// If the store fails.
pub(crate) async fn remember(warehouse: &Warehouse, rules: &RuleSet) -> anyhow::Result<()> {
    let recorded = rules.rules().iter().map(|rule| Recorded {
        uid: rule.uid().to_owned(),
        version: rule.version(),
        fingerprint: rule.fingerprint().to_owned(),
        keeps_back: rule.keeps_back(),
    });
    let record = serde_json::to_vec(&Record { rules: recorded.collect() })?;
    warehouse.remember(&name(rules.version()), record.into()).await?;
    Ok(())
}

/// The rules that a version held, by their fingerprints.
pub(crate) type Held = BTreeMap<String, Recorded>;

/// What a version held; none if that was never recorded.
///
/// # Errors
/// If the store fails or the record is damaged.
pub(crate) async fn held(warehouse: &Warehouse, version: &str) -> anyhow::Result<Option<Held>> {
    let Some(bytes) = warehouse.recall(&name(version)).await? else { return Ok(None) };
    let record: Record = serde_json::from_slice(&bytes).with_context(|| format!("record of rules {version}"))?;
    Ok(Some(record.rules.into_iter().map(|rule| (rule.fingerprint.clone(), rule)).collect()))
}

/// Of these rules those that a version held. All of them where that was never recorded: such an entry is of a release whose workers
/// had one set of rules from their start to their end.
///
/// # Errors
/// As [`held`].
pub(crate) async fn of_version(
    warehouse: &Warehouse,
    rules: &Arc<RuleSet>,
    version: Option<&String>,
) -> anyhow::Result<Arc<RuleSet>> {
    let Some(version) = version.filter(|version| *version != rules.version()) else { return Ok(rules.clone()) };
    let held = held(warehouse, version).await?;
    Ok(held.map_or_else(|| rules.clone(), |held| rules.only(|rule| held.contains_key(rule.fingerprint()))))
}

#[cfg(test)]
mod tests {
    use sinks::WarehouseConfig;

    use super::*;

    fn rule(id: u32, port: u16) -> (String, String) {
        let text = format!(
            "title: Port\nid: 3f2b6a4e-1111-4222-8333-{id:012}\nversion: 1\nlevel: low\n\
             sql: SELECT src_ip FROM network_activity WHERE dst_port = {port}\n"
        );
        (format!("{id}.yaml"), text)
    }

    fn rules(all: &[(u32, u16)]) -> Arc<RuleSet> {
        let texts: Vec<(String, String)> = all.iter().map(|(id, port)| rule(*id, *port)).collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        RuleSet::from_texts(&texts).expect("right")
    }

    #[tokio::test]
    async fn a_version_is_the_rules_that_it_held() {
        let dir = tempfile::tempdir().expect("a folder");
        let warehouse = Warehouse::open(WarehouseConfig::at(dir.path())).await.expect("opens");
        let (before, after) = (rules(&[(1, 22), (2, 23)]), rules(&[(1, 22), (2, 24), (3, 25)]));
        remember(&warehouse, &before).await.expect("recorded");
        remember(&warehouse, &before).await.expect("again");
        let version = before.version().to_owned();
        let kept = of_version(&warehouse, &after, Some(&version)).await.expect("recorded");
        assert_eq!(kept.rules().len(), 1, "neither the changed nor the new one");
        assert_eq!(kept.rules()[0].fingerprint(), before.rules()[0].fingerprint());
        for version in [None, Some(after.version().to_owned()), Some("unknown".to_owned())] {
            let all = of_version(&warehouse, &after, version.as_ref()).await.expect("the store answers");
            assert_eq!(all.version(), after.version());
        }
    }
}
