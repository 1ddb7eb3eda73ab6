//! `palisade tables audit`: the protocol's invariants, one line each.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use sinks::Warehouse;

use super::print;
use crate::audit::{Against, Check, Verdict, audit};
use crate::cli::AuditArgs;
use crate::config::{Config, SourceConfig};
use crate::setup;

/// Prints a line an invariant; the exit code is 1 if any does not hold.
///
/// # Errors
/// If the configuration is wrong, or ledger and catalog cannot be read at all.
pub(super) async fn run(warehouse: &Warehouse, args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let (rules, tenants) = match &args.at.at.config {
        None => (setup::builtin_rules()?, BTreeMap::new()),
        Some(file) => {
            let config = Config::load(file)?;
            (setup::rules(&config)?, tenants(&config)?)
        }
    };
    let against = Against { truth: args.truth.clone(), rules, tenants };
    let checks = audit(warehouse, &against, &tell).await;
    clear();
    let checks = checks?;
    print(&checks, args.at.output, |out, _| text(&checks, out))?;
    let failed = checks.iter().any(|c| c.verdict.failed());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// On a terminal what is looked at takes the place of what was; elsewhere it is a log line.
fn tell(what: &'static str) {
    match std::io::stderr().is_terminal() {
        true => eprint!("\r\x1b[2Kaudit: {what} …"),
        false => tracing::info!(what, "audit"),
    }
}

fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K");
    }
}

/// The tenant of each topic.
fn tenants(config: &Config) -> anyhow::Result<BTreeMap<String, String>> {
    let mut tenants = BTreeMap::new();
    for source in &config.sources {
        match source {
            SourceConfig::Files(files) => drop(tenants.insert(files.topic.clone(), files.tenant.clone())),
            // Tenants that a header names are known message by message only.
            SourceConfig::Kafka(kafka) => {
                let fixed = kafka.tenant.fixed(&kafka.topic);
                tenants.extend(fixed.map(|tenant| (kafka.name.clone(), tenant)));
            }
            // Only the brokers know which topics it takes.
            SourceConfig::KafkaTopics(_) => {}
            SourceConfig::Generator(generator) => {
                let fleet = loadgen::Fleet::new(generator.fleet.clone())?;
                let owned = |p: dataflow::PartitionId| Some((p.topic.to_string(), fleet.tenant(&p)?.to_string()));
                tenants.extend(fleet.partitions().into_iter().filter_map(owned));
            }
        }
    }
    Ok(tenants)
}

fn text(checks: &[Check], out: &mut impl Write) -> std::io::Result<()> {
    for Check { id, what, verdict } in checks {
        match verdict {
            Verdict::Ok { detail } => writeln!(out, "{id:<7} ok           {what} ({detail})")?,
            Verdict::NotChecked { reason } => writeln!(out, "{id:<7} not checked  {what}: {reason}")?,
            Verdict::Failed { faults, total } => {
                writeln!(out, "{id:<7} FAILED       {what}: {total} faults")?;
                faults.iter().try_for_each(|fault| writeln!(out, "{:<7}   {fault}", ""))?;
                if *total > faults.len() {
                    writeln!(out, "{:<7}   and {} more", "", total - faults.len())?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_invariant_is_a_line_and_a_failure_names_the_first_objects() {
        let failed = Verdict::Failed { faults: vec!["f/1 is missing".to_owned()], total: 3 };
        let checks = [
            Check { id: "I1", what: "a holds", verdict: Verdict::Ok { detail: "3 files".to_owned() } },
            Check { id: "I9", what: "b holds", verdict: failed },
            Check { id: "I5", what: "c holds", verdict: Verdict::NotChecked { reason: "no calm run".to_owned() } },
        ];
        let mut out = Vec::new();
        text(&checks, &mut out).expect("a buffer takes all");
        let want = "I1      ok           a holds (3 files)\nI9      FAILED       b holds: 3 faults\n          f/1 is missing\n          and 2 more\n\
                    I5      not checked  c holds: no calm run\n";
        assert_eq!(String::from_utf8(out).expect("text"), want);
    }
}
