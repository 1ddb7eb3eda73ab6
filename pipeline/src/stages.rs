//! The CPU stages' threads: named, joined, and the first failure known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use tokio::sync::watch;

use crate::merge::MergeGone;

/// Running threads, in the order in which they were started.
pub(crate) struct Stages {
    threads: Vec<(String, JoinHandle<anyhow::Result<()>>)>,
    failed: watch::Sender<bool>,
}

impl Stages {
    /// Starts the last stage of the path.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(crate) fn start(
        name: &str,
        work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let mut stages = Self { threads: Vec::new(), failed: watch::Sender::new(false) };
        stages.spawn(name, work)?;
        Ok(stages)
    }

    /// Starts a stage that feeds those before it.
    ///
    /// # Errors
    /// As [`Stages::start`].
    pub(crate) fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let failed = self.failed.clone();
        let work = move || {
            // A panic counts as a failure too: the guard tells intake to stop in either case.
            let mut guard = FailGuard { failed, done: false };
            let result = work();
            guard.done = result.is_ok();
            result
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.push((name.to_owned(), thread.with_context(|| format!("thread {name}"))?));
        Ok(())
    }

    /// Runs a task whose failure stops the path as a stage's would.
    pub(crate) fn task(
        &self,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> tokio::task::JoinHandle<anyhow::Result<()>> {
        let failed = self.failed.clone();
        #[expect(clippy::disallowed_methods, reason = "joined by the caller, and its failure stops the path")]
        tokio::spawn(async move {
            let mut guard = FailGuard { failed, done: false };
            let result = work.await;
            guard.done = result.is_ok();
            result
        })
    }

    /// True once any stage has failed.
    pub(crate) fn failed(&self) -> watch::Receiver<bool> {
        self.failed.subscribe()
    }

    /// Waits for every stage, the first of the path first.
    ///
    /// # Errors
    /// The failure that caused the others.
    pub(crate) async fn join(self) -> anyhow::Result<()> {
        let joined = tokio::task::spawn_blocking(move || {
            let results = self.threads.into_iter().rev().map(|(name, thread)| {
                let result = thread.join().unwrap_or_else(|panic| Err(anyhow!("panicked: {}", panic_text(&*panic))));
                result.with_context(|| format!("stage {name}"))
            });
            results.collect::<Vec<_>>()
        });
        let mut errors: Vec<anyhow::Error> = joined.await?.into_iter().filter_map(Result::err).collect();
        // A shard whose merge stage is gone only reports the other's failure.
        errors.sort_by_key(|e| e.chain().any(|c| c.is::<MergeGone>()));
        errors.into_iter().next().map_or(Ok(()), Err)
    }
}

/// Whether all that the sources hold has come to the merge stage: they were read to their end, and each shard has handed on what it
/// took in. A shard that fails has not, though its end looks the same from there.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    is_read: AtomicBool,
    shards_at_work: AtomicUsize,
}

impl Completion {
    /// Every source came to its end.
    pub(crate) fn all_is_read(&self) {
        self.is_read.store(true, Ordering::Release);
    }

    /// The work of a shard that counts. `feeds` stays open until its outcome is known.
    pub(crate) fn shard<T, F: FnOnce() -> anyhow::Result<()>>(
        self: &Arc<Self>,
        feeds: T,
        work: F,
    ) -> impl FnOnce() -> anyhow::Result<()> + use<T, F> {
        self.shards_at_work.fetch_add(1, Ordering::AcqRel);
        let completion = self.clone();
        move || {
            let result = work();
            if result.is_ok() {
                completion.shards_at_work.fetch_sub(1, Ordering::AcqRel);
            }
            drop(feeds);
            result
        }
    }

    /// True if nothing will come any more since there is nothing.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_read.load(Ordering::Acquire) && self.shards_at_work.load(Ordering::Acquire) == 0
    }
}

struct FailGuard {
    failed: watch::Sender<bool>,
    done: bool,
}

impl Drop for FailGuard {
    fn drop(&mut self) {
        if !self.done {
            self.failed.send_replace(true);
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_failure_that_caused_the_others_is_told() {
        let mut stages = Stages::start("merge", || Err(anyhow!("disk full"))).expect("a thread");
        stages.spawn("shard-0", || Err(MergeGone.into())).expect("a thread");
        let mut failed = stages.failed();
        failed.wait_for(|f| *f).await.expect("a sender lives");
        let error = stages.join().await.expect_err("both failed");
        assert_eq!(format!("{error:#}"), "stage merge: disk full");
    }

    #[test]
    fn all_is_merged_only_if_every_shard_came_to_its_end() {
        let completion = Arc::new(Completion::default());
        let good = completion.shard((), || Ok(()));
        let bad = completion.shard((), || Err(anyhow!("disk full")));
        completion.all_is_read();
        good().expect("it ends");
        assert!(!completion.is_whole(), "a shard is at work");
        bad().expect_err("it fails");
        assert!(!completion.is_whole(), "what it took in is not in the ledger");
        let whole = Arc::new(Completion::default());
        whole.shard((), || Ok(()))().expect("it ends");
        assert!(!whole.is_whole(), "the sources may hold more");
        whole.all_is_read();
        assert!(whole.is_whole());
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let stages = Stages::start("merge", || panic!("broken invariant")).expect("a thread");
        let error = stages.join().await.expect_err("it panicked");
        assert_eq!(format!("{error:#}"), "stage merge: panicked: broken invariant");
    }
}
