//! The CPU stages' threads: named, joined, and the first failure known.

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

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let stages = Stages::start("merge", || panic!("broken invariant")).expect("a thread");
        let error = stages.join().await.expect_err("it panicked");
        assert_eq!(format!("{error:#}"), "stage merge: panicked: broken invariant");
    }
}
