//! The whole path, top down: source -> shards (decode, enrich, detect, files, ledger entry) -> merge stage (windows,
//! alerts, ledger entry) and committer (Iceberg). Every arrow is a bounded queue or the ledger.

use std::sync::Arc;

use aggregate::RuleSet;
use dataflow::Source;
use futures::future::try_join_all;
use ingest::mapping;
use sinks::{Announced, Warehouse};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::claims::Claims;
use crate::committer::Committer;
use crate::config::Config;
use crate::flight::Flight;
use crate::intake::{Intake, Intakes, Pause, Routes, StoppedPartitions};
use crate::merge::{Merger, Roster, ToMerge};
use crate::outbox::Mail;
use crate::pace::Pace;
use crate::queue::{self, Sender};
use crate::reload::{self, Reloads};
use crate::rules::{self, LiveRules};
use crate::setup::{self, Opener};
use crate::shard::{Shard, ShardContext};
use crate::stages::{Completion, Stages};
use crate::telemetry::{Health, Telemetry};
use crate::upkeep::Upkeep;

/// What a worker is started with.
pub(crate) struct Worker {
    pub(crate) config: Arc<Config>,
    pub(crate) telemetry: Telemetry,
    pub(crate) health: Health,
    pub(crate) flight: Flight,
    /// Stop when every source is read to its end; otherwise wait for `stop`.
    pub(crate) until_end: bool,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Runs the worker to its end. All that was received is in the ledger and in the tables when it returns `Ok`.
///
/// # Errors
/// The first failure of any stage, with its place.
pub(crate) async fn run(worker: Worker) -> anyhow::Result<Warehouse> {
    let Worker { config, telemetry, health, flight, until_end, stop } = worker;
    let stopped = StoppedPartitions::new(telemetry.partitions_stopped.clone());

    // What is already true: the ledger decides where everything continues.
    let warehouse = setup::warehouse(&config).await?;
    let writer = setup::writer_name();
    roll_forward(&warehouse, &writer).await?;
    let positions = warehouse.start_positions().await?;
    let rules = rules::Reloader::open(&config.rules, &warehouse).await?;
    setup::expired(rules.live().set(), crate::clock::now_us()).iter().for_each(|line| tracing::warn!("{line}"));
    let tables = setup::enrich(&config)?;
    let mappings = mapping::Reloader::new(config.decode.mappings.clone(), config.mappings.clone());
    let (sources, discoveries) = Opener::new(&config, &warehouse, &telemetry, &writer).all().await?;
    let (roster, claims, at_work) = (Roster::of(&sources, config.canaries()), Claims::default(), rules.live());
    let partitions = roster.partitions().len();

    // The stages, from the last to the first.
    let (w, completion) = (&config.worker, Arc::new(Completion::default()));
    let pace = Pace::new(w);
    let (to_merge, merge_input) = queue::bounded(w.queue_rows, w.queue_bytes, telemetry.queue("merge"));
    let outboxes = setup::outboxes(&config, &warehouse, &telemetry).await?;
    let context = ShardContext {
        rules: rules.live(),
        enrich: tables.chain(),
        mappings: mappings.live(),
        to_merge: to_merge.clone(),
        claims: claims.clone(),
        mail: outboxes.mail(),
        warehouse: warehouse.clone(),
        writer: writer.as_str().into(),
        flight: flight.clone(),
        pace: pace.clone(),
        telemetry: telemetry.clone(),
        runtime: Handle::current(),
        config: config.clone(),
    };
    let merger = Merger::new(context.detached(), merge_input, roster, completion.clone());
    let mut stages = Stages::start("merge", move || merger.run())?;
    let may_grow = !discoveries.is_empty() || sources.iter().any(|source| source.is_shared());
    let routes = start_shards(&mut stages, context, if may_grow { usize::MAX } else { partitions }, &completion)?;
    let (stop_reloads, reloads_stopped) = reload::stop();
    let reloads = Reloads::new(tables, mappings, rules, config.enrich.reload_interval, telemetry.clone());
    stages.spawn("tables", move || reloads.run(&reloads_stopped))?;
    let (stop_last, last_stopped) = watch::channel(false);
    let mut beside = vec![stages.task(outboxes.run(last_stopped.clone()))];
    beside.push(stages.task(upkeep(&config, &warehouse, &writer, &telemetry).run(last_stopped.clone())));
    beside.extend(setup::canary(&config, &writer, &telemetry)?.map(|c| stages.task(c.run(last_stopped.clone()))));
    let pause = Pause::new(flight.clone(), w.uncommitted_bytes);
    let committer = Committer::new(warehouse.committer(&writer), w.commit_interval, pace, flight, telemetry);
    let committer = stages.task(committer.run(last_stopped));

    // Intake runs until the end of its sources or the signal; then each stage drains into the next.
    let intake =
        Intake { routes, to_merge: to_merge.clone(), claims, warehouse: warehouse.clone(), pause, stopped, stop };
    let mut intakes = Intakes::new(intake);
    sources.into_iter().for_each(|source| intakes.start(source, positions.clone()));
    discoveries.into_iter().for_each(|discovery| intakes.seek(discovery));
    health.begin(warehouse.clone(), at_work);
    tracing::info!(partitions, "the worker is ready");
    let result = intakes.join(until_end, stages.failed()).await;
    known_to_merge(&result, &completion, to_merge);
    drop(stop_reloads);
    let drained = stages.join().await;
    stop_last.send_replace(true);
    let (committed, beside) = (committer.await?, try_join_all(beside).await?);
    health.end();
    drained.and(result.map(drop)).and(committed).and(beside.into_iter().collect::<Result<(), _>>())?;
    Ok(warehouse)
}

/// Says whether all was read. Until then the merge stage's input stays open, so that it does not come to its end before.
fn known_to_merge(read: &anyhow::Result<bool>, completion: &Completion, to_merge: Sender<ToMerge>) {
    if matches!(read, Ok(true)) {
        completion.all_is_read();
    }
    drop(to_merge);
}

/// Commits what an earlier run left. Where a clock is behind a table, the table waits, as it does when that is found out later; the
/// ledger goes on.
async fn roll_forward(warehouse: &Warehouse, writer: &str) -> sinks::Result<()> {
    match warehouse.committer(writer).roll_forward().await {
        Err(e @ sinks::Error::ClockBehind { .. }) => tracing::warn!("{e}"),
        committed => drop(committed?),
    }
    Ok(())
}

fn upkeep(config: &Config, warehouse: &Warehouse, writer: &str, telemetry: &Telemetry) -> Upkeep {
    Upkeep {
        warehouse: warehouse.clone(),
        writer: writer.to_owned(),
        config: config.upkeep.clone(),
        telemetry: telemetry.clone(),
    }
}

/// Runs one bounded source through the path's first half: rows and dead letters, no rules and so no merge stage. True if it
/// was read to its end; otherwise `stop` came first.
///
/// # Errors
/// As [`run`].
pub(crate) async fn redecode(worker: Worker, warehouse: &Warehouse, source: Box<dyn Source>) -> anyhow::Result<bool> {
    let Worker { config, telemetry, health: _, flight, until_end, stop } = worker;
    let stopped = StoppedPartitions::new(telemetry.partitions_stopped.clone());
    let writer = setup::writer_name();
    let positions = warehouse.start_positions().await?;
    let mappings = mapping::Reloader::new(config.decode.mappings.clone(), config.mappings.clone());
    let partitions = source.partitions();
    for partition in &partitions {
        // A request is an incarnation of its own.
        let (topic, incarnation) = (&*partition.topic, &*partition.incarnation);
        let topic = Announced { topic, incarnation, cluster: None, accept_reset: true, by: &writer };
        warehouse.register_topic(topic).await?;
    }
    let w = &config.worker;
    let pace = Pace::new(w);
    let (to_merge, mut merge_input) = queue::bounded(w.queue_rows, w.queue_bytes, telemetry.queue("merge"));
    let context = ShardContext {
        rules: LiveRules::fixed(RuleSet::from_texts(&[])?),
        enrich: setup::enrich(&config)?.chain(),
        mappings: mappings.live(),
        to_merge: to_merge.clone(),
        claims: Claims::default(),
        mail: Mail::default(),
        warehouse: warehouse.clone(),
        writer: writer.as_str().into(),
        flight: flight.clone(),
        pace: pace.clone(),
        telemetry: telemetry.clone(),
        runtime: Handle::current(),
        config: config.clone(),
    };
    let runtime = Handle::current();
    let unmerged = move || {
        // Without rules a range has no deltas.
        while runtime.block_on(merge_input.recv()).is_some() {}
        Ok(())
    };
    let mut stages = Stages::start("unmerged", unmerged)?;
    let routes = start_shards(&mut stages, context, partitions.len(), &Arc::default())?;
    let (stop_last, last_stopped) = watch::channel(false);
    let pause = Pause::new(flight.clone(), w.uncommitted_bytes);
    let committer = Committer::new(warehouse.committer(&writer), w.commit_interval, pace, flight, telemetry);
    let committer = stages.task(committer.run(last_stopped));
    let claims = Claims::default();
    let intake = Intake { routes, to_merge, claims, warehouse: warehouse.clone(), pause, stopped, stop };
    let mut intakes = Intakes::new(intake);
    intakes.start(source, positions);
    let ended = intakes.join(until_end, stages.failed()).await;
    let drained = stages.join().await;
    stop_last.send_replace(true);
    let committed = committer.await?;
    drained?;
    let ended = ended?;
    committed?;
    Ok(ended)
}

/// Starts the shards, for so many partitions; each partition goes to one of them.
fn start_shards(
    stages: &mut Stages,
    context: ShardContext,
    partitions: usize,
    completion: &Arc<Completion>,
) -> anyhow::Result<Routes> {
    let w = &context.config.worker;
    let mut shards = Vec::new();
    for shard in 0..w.shards.min(partitions).max(1) {
        let (to_shard, input) = queue::lanes(w.queue_rows, w.queue_bytes, context.telemetry.queue("shard"));
        shards.push(to_shard);
        let work = Shard::new(context.clone(), input);
        stages.spawn(&format!("shard-{shard}"), completion.shard(context.to_merge.clone(), move || work.run()))?;
    }
    Ok(Routes::new(shards))
}
