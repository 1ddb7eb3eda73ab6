//! I9: what is named exists. Data files by existence and size, objects by checksum, manifests by being read.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use sinks::StagedFile;

use super::facts::Facts;
use super::{Faults, Verdict};

/// Files that are looked at, at the same time: a store far away answers each late.
const LOOKS: usize = 8;
/// Objects that are read whole at the same time: states may be large.
const READS: usize = 2;

/// Every data file, exchange file, merge state and manifest that anything names.
pub(super) async fn check(facts: &Facts) -> Verdict {
    let mut faults = Faults::default();
    for table in &facts.tables {
        table.unreadable.iter().for_each(|what| faults.add(|| what.clone()));
    }
    let files = data_files(facts, &mut faults).await;
    let objects = objects(facts, &mut faults).await;
    faults.verdict(format!("{files} data files by size, {objects} exchange and state objects by checksum"))
}

/// Files of entries and of snapshots, each once, with the size that is said of it.
async fn data_files(facts: &Facts, faults: &mut Faults) -> usize {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    let live = facts.tables.iter().flat_map(|t| t.files.iter().flatten());
    sizes.extend(live.map(|f| (f.location.as_str(), f.bytes)));
    for (key, start, entry) in facts.entries() {
        for (table, staged) in entry.tables() {
            // What another engine took out of the table goes with its snapshots.
            let table = facts.tables.iter().find(|t| t.table == *table);
            let table = table.filter(|t| t.next(key).is_some_and(|next| start < next));
            let is_replaced =
                |f: &StagedFile| table.is_some_and(|t| !t.foreign.is_whole || t.foreign.removed.contains(&f.location));
            let needed = staged.files.iter().filter(|f| !is_replaced(f));
            sizes.extend(needed.map(|f| (f.location.as_str(), f.bytes)));
        }
    }
    let Some(io) = facts.tables.first().map(|t| t.loaded.file_io().clone()) else { return 0 };
    let looks = sizes.iter().map(|(location, said)| {
        let input = io.new_input(location);
        async move {
            let found = match input {
                Ok(input) => sinks::parquet::footer_rows(&input).await,
                Err(e) => Err(e),
            };
            match found {
                Ok(Some((bytes, _))) if bytes == *said => None,
                Ok(Some((bytes, _))) => Some(format!("{location}: {bytes} bytes, not {said}")),
                Ok(None) => Some(format!("{location}: missing")),
                Err(e) => Some(format!("{location}: {e}")),
            }
        }
    });
    let mut wrong = futures::stream::iter(looks).buffered(LOOKS);
    while let Some(wrong) = wrong.next().await {
        wrong.into_iter().for_each(|fault| faults.add(|| fault));
    }
    sizes.len()
}

/// Exchange files and merge states, read whole.
async fn objects(facts: &Facts, faults: &mut Faults) -> usize {
    let mut seen = BTreeSet::new();
    let mut named = Vec::new();
    for (key, start, entry) in facts.entries() {
        let exchange = entry.source().and_then(|e| e.exchange.as_ref());
        let state = entry.merge().and_then(|e| e.state.as_ref());
        let new = exchange.into_iter().chain(state).filter(|object| seen.insert(&object.path));
        named.extend(new.map(|object| (key, start, object)));
    }
    let reads = named.into_iter().map(|(key, start, object)| async move {
        let read = facts.ledger.get_object(object).await;
        read.err().map(|e| format!("{key} {start}: {e}"))
    });
    let mut wrong = futures::stream::iter(reads).buffered(READS);
    while let Some(wrong) = wrong.next().await {
        wrong.into_iter().for_each(|fault| faults.add(|| fault));
    }
    seen.len()
}
