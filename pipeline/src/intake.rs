//! Intake: one task a source, from the source to the shards that own its partitions.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use dataflow::{PartitionId, Positions, Source, SourceEvent};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::queue::Sender;
use crate::shard::ToShard;

/// Which shard owns which partition.
pub(crate) type Routes = Arc<HashMap<PartitionId, Sender<ToShard>>>;

/// Reads the source until its end or until `stop`. Returns true if it came to its end.
///
/// # Errors
/// If the source cannot go on. A shard that is gone ends intake quietly: its own error says why.
pub(crate) async fn run(
    mut source: Box<dyn Source>,
    starts: Positions,
    routes: Routes,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<bool> {
    let own = source.partitions();
    source.seek(&starts.into_iter().filter(|(partition, _)| own.contains(partition)).collect()).await?;
    loop {
        let event = tokio::select! {
            event = source.next_event() => event?,
            _ = stop.wait_for(|s| *s) => return Ok(false),
        };
        let (partition, item) = match event {
            SourceEvent::Chunk(chunk) => (chunk.partition.clone(), ToShard::Chunk(chunk)),
            SourceEvent::CaughtUp(partition) => (partition.clone(), ToShard::CaughtUp(partition)),
            SourceEvent::EndOfInput => return Ok(true),
        };
        let shard = routes.get(&partition).with_context(|| format!("{partition}: the source did not announce it"))?;
        if shard.send(item).await.is_err() {
            return Ok(false);
        }
    }
}

/// Waits for every source's end, the signal, or a stage that failed. True if every source came to its end.
///
/// # Errors
/// The first source that failed.
pub(crate) async fn join(
    mut intakes: JoinSet<anyhow::Result<bool>>,
    until_end: bool,
    mut stop: watch::Receiver<bool>,
    mut failed: watch::Receiver<bool>,
) -> anyhow::Result<bool> {
    let mut ended = true;
    loop {
        tokio::select! {
            joined = intakes.join_next() => match joined {
                Some(result) => ended &= result??,
                None => break,
            },
            _ = failed.wait_for(|f| *f) => return Ok(false),
        }
    }
    if !until_end && ended {
        tokio::select! {
            _ = stop.wait_for(|s| *s) => {}
            _ = failed.wait_for(|f| *f) => {}
        }
        return Ok(false);
    }
    Ok(ended)
}
