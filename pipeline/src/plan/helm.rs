//! Helm values of a plan: what a chart of one region's workers takes, for the last year.

use serde::Serialize;

use super::{Demand, Plan, Redundancy, formulas};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    replica_count: u64,
    resources: Resources,
    pod_disruption_budget: Budget,
    kafka: Kafka,
    config: Config,
}

#[derive(Serialize)]
struct Resources {
    requests: Amounts,
    limits: Limits,
}

#[derive(Serialize)]
struct Amounts {
    cpu: String,
    memory: String,
}

/// No limit on cores: a worker that catches up takes what is free.
#[derive(Serialize)]
struct Limits {
    memory: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Budget {
    max_unavailable: u64,
}

#[derive(Serialize)]
struct Kafka {
    topic: Topic,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Topic {
    partitions: u64,
    replication_factor: u32,
    retention_ms: u64,
}

/// Keys of `palisade.yaml`, as it names them.
#[derive(Serialize)]
struct Config {
    warehouse: Warehouse,
    worker: Worker,
}

#[derive(Serialize)]
struct Warehouse {
    merge_groups: u64,
}

#[derive(Serialize)]
struct Worker {
    shards: u32,
    flush_interval: String,
    flush_rows: u64,
    commit_interval: String,
}

/// `values.yaml` for one region; none if the plan has no year.
///
/// # Errors
/// If it cannot be said in YAML.
pub(crate) fn values(plan: &Plan) -> anyhow::Result<String> {
    let Demand { worker_cores, replication, topic_retention_days, redundancy, regions, .. } = plan.demand;
    let Some(year) = plan.years.last() else { anyhow::bail!("a plan without years has no values") };
    let settings = &plan.settings;
    let spare = match redundancy {
        Redundancy::Spare(spare) => spare,
        Redundancy::Double => year.workers / 2,
    };
    let values = Values {
        replica_count: year.workers,
        resources: Resources {
            requests: Amounts { cpu: worker_cores.to_string(), memory: mebibytes(year.worker_memory_bytes) },
            limits: Limits { memory: mebibytes(year.worker_memory_bytes * HEADROOM) },
        },
        // Without a spare one, a worker is drained by hand or not at all.
        pod_disruption_budget: Budget { max_unavailable: spare },
        kafka: Kafka {
            topic: Topic {
                partitions: settings.partitions,
                replication_factor: replication,
                retention_ms: (topic_retention_days * formulas::DAY_SECONDS * 1000.0) as u64,
            },
        },
        config: Config {
            warehouse: Warehouse { merge_groups: settings.merge_groups },
            worker: Worker {
                shards: worker_cores,
                flush_interval: format!("{}s", settings.flush_interval_seconds),
                flush_rows: settings.flush_rows,
                commit_interval: format!("{}s", settings.commit_interval_seconds),
            },
        },
    };
    let (last, rate) = (year.year, year.events_per_second / f64::from(regions));
    Ok(format!(
        "# Written by `palisade plan`: one region of {regions}, the end of year {last}, {rate:.0} events/s in the mean.\n{}\n",
        serde_saphyr::to_string(&values)?.trim_end()
    ))
}

/// Memory that may be used beyond the plan before the kernel steps in.
const HEADROOM: f64 = 1.5;

fn mebibytes(bytes: f64) -> String {
    format!("{}Mi", (bytes / 1_048_576.0).ceil() as u64)
}
