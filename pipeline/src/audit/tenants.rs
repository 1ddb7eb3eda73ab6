//! I8: no row of one tenant under another. Against the sources' own tenants where the configuration is given; an alert
//! against its evidence always.

use dataflow::Table;
use datafusion::prelude::SessionContext;

use super::{Against, Faults, SHOWN, Sql, Verdict};
use crate::reprocess;
use crate::warehouse_sql::{query, texts};

/// Tenants of rows and of evidence.
pub(super) async fn check(sql: Sql<'_>, against: &Against) -> anyhow::Result<Verdict> {
    let session = sql.map_err(anyhow::Error::msg)?;
    let mut faults = Faults::default();
    evidence(session, &mut faults).await?;
    let topics = tenants_of_topics(session).await?;
    let mut unknown = 0;
    for (topic, tenant) in &topics {
        // What was read back of a topic is its tenant's too.
        let named = against.tenants.get(reprocess::origin_topic(topic).unwrap_or(topic));
        match named {
            None => unknown += 1,
            Some(source) if source == tenant => {}
            Some(source) => faults.add(|| format!("topic {topic} is {source}'s, but holds rows of {tenant}")),
        }
    }
    if faults.total == 0 && unknown > 0 {
        return Ok(Verdict::not_checked(format!(
            "alerts and their evidence agree, but the ledger does not record whose a topic is ({unknown} topics): \
             give the configuration with -c"
        )));
    }
    Ok(faults.verdict(format!("{} topics, and every alert's evidence", topics.len())))
}

/// Each topic with each tenant that it has rows of.
async fn tenants_of_topics(session: &SessionContext) -> anyhow::Result<Vec<(String, String)>> {
    let tables = Table::EVENTS.iter().chain([&Table::DeadLetter]);
    let all: Vec<String> = tables
        .map(|t| format!("SELECT DISTINCT _topic, tenant_uid FROM {t} WHERE substr(_topic, 1, 1) <> '_'"))
        .collect();
    let sql = format!("SELECT DISTINCT _topic, tenant_uid FROM ({}) ORDER BY 1, 2", all.join(" UNION ALL "));
    let mut found = Vec::new();
    for batch in query(session, &sql).await? {
        let (topics, tenants) = (texts(&batch, "_topic")?, texts(&batch, "tenant_uid")?);
        found.extend(topics.into_iter().zip(tenants).map(|(t, u)| (t.unwrap_or_default(), u.unwrap_or_default())));
    }
    Ok(found)
}

/// Rows that alerts call their evidence: they exist, and they are the alert's tenant's.
async fn evidence(session: &SessionContext, faults: &mut Faults) -> anyhow::Result<()> {
    let id = "concat(_topic, '@', _incarnation, '/', CAST(_partition_id AS VARCHAR), '/', CAST(_offset AS VARCHAR), '/', \
              CAST(_record AS VARCHAR))";
    let tables = Table::EVENTS.iter().chain([&Table::DeadLetter]);
    let rows: Vec<String> = tables
        .map(|t| format!("SELECT {id} AS id, tenant_uid AS owner FROM {t} WHERE substr(_topic, 1, 1) <> '_'"))
        .collect();
    let sql = format!(
        "WITH named AS (SELECT DISTINCT alert, tenant_uid, e.uid AS id FROM (SELECT finding_info.uid AS alert, tenant_uid, \
                          unnest(evidences) AS e FROM detection_finding WHERE substr(_topic, 1, 1) = '_')), \
              stored AS ({}) \
         SELECT n.alert AS alert, n.tenant_uid AS tenant, n.id AS id, s.owner AS owner FROM named n LEFT JOIN stored s ON n.id = s.id \
         WHERE s.owner IS NULL OR s.owner <> n.tenant_uid ORDER BY 1, 3 LIMIT {SHOWN}",
        rows.join(" UNION ALL ")
    );
    for batch in query(session, &sql).await? {
        let column = |name| texts(&batch, name);
        let (alerts, tenants, ids, owners) = (column("alert")?, column("tenant")?, column("id")?, column("owner")?);
        for row in 0..batch.num_rows() {
            let text = |values: &[Option<String>]| values[row].clone().unwrap_or_default();
            let owner = owners[row].as_deref().map_or("stands in no table".to_owned(), |o| format!("is {o}'s"));
            faults
                .add(|| format!("alert {} of {}: its evidence {} {owner}", text(&alerts), text(&tenants), text(&ids)));
        }
    }
    Ok(())
}
