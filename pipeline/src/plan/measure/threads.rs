//! What a run uses while it runs: cpu time by thread, memory, events in flight.
//!
//! Threads end with the run, so somebody has to look before: ten times a second, on a thread of its own. What is used
//! after the last look is missed. Where the system does not say (`/proc` of Linux only), figures are 0.

use std::collections::HashMap;
use std::fs::read_to_string;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context;

use crate::telemetry::{self, Telemetry};

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Sampled {
    /// By thread id: its name, and its cpu-seconds since the sampler started.
    threads: HashMap<u64, (String, f64)>,
    pub(super) resident_max: u64,
    pub(super) in_flight_max: u64,
}

impl Sampled {
    /// Cpu-seconds of the threads whose names begin so.
    pub(super) fn cpu(&self, name: &str) -> f64 {
        self.threads.values().filter(|(n, _)| n.starts_with(name)).map(|(_, seconds)| seconds).sum()
    }
}

/// Looks until it is stopped.
pub(super) struct Sampler {
    stop: SyncSender<()>,
    thread: JoinHandle<Sampled>,
}

impl Sampler {
    pub(super) fn start(telemetry: Telemetry) -> anyhow::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel(0);
        let looks = move || {
            let before = threads();
            let mut sampled = Sampled::default();
            loop {
                sampled.look(&telemetry, &before);
                if stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
                    return sampled;
                }
            }
        };
        let thread = Builder::new().name("sampler".to_owned()).spawn(looks).context("the thread that samples")?;
        Ok(Self { stop, thread })
    }

    pub(super) fn stop(self) -> Sampled {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

impl Sampled {
    fn look(&mut self, telemetry: &Telemetry, before: &HashMap<u64, (String, f64)>) {
        self.resident_max = self.resident_max.max(telemetry::resident_bytes());
        self.in_flight_max = self.in_flight_max.max(u64::try_from(telemetry.in_flight.get()).unwrap_or(0));
        for (id, (name, seconds)) in threads() {
            let earlier = before.get(&id).map_or(0.0, |(_, seconds)| *seconds);
            self.threads.insert(id, (name, seconds - earlier));
        }
    }
}

/// Name and cpu-seconds of every thread of the process.
fn threads() -> HashMap<u64, (String, f64)> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return HashMap::new() };
    let ids = tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse::<u64>().ok());
    ids.filter_map(|id| Some((id, (name_of(id)?, cpu_of(&format!("/proc/self/task/{id}/schedstat"))?)))).collect()
}

fn name_of(id: u64) -> Option<String> {
    Some(read_to_string(format!("/proc/self/task/{id}/comm")).ok()?.trim().to_owned())
}

/// The first figure of `schedstat`: nanoseconds on a core.
fn cpu_of(path: &str) -> Option<f64> {
    let nanos: u64 = read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()?;
    Some(nanos as f64 / 1e9)
}

/// Cpu-seconds of the calling thread; of the process where threads are not told apart.
pub(super) fn own_cpu_seconds() -> f64 {
    cpu_of("/proc/thread-self/schedstat").unwrap_or_else(telemetry::cpu_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works until the calling thread has used that much.
    fn work(seconds: f64) -> u64 {
        let (begin, mut n) = (own_cpu_seconds(), 1u64);
        while own_cpu_seconds() - begin < seconds {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        n
    }

    #[test]
    fn a_threads_work_is_seen_under_its_name() {
        let telemetry = Telemetry::new();
        telemetry.in_flight.add(7);
        let (before, mut sampled) = (threads(), Sampled::default());
        let ((done, is_done), (stop, stopped)) = (mpsc::sync_channel(1), mpsc::sync_channel::<()>(1));
        let worker = Builder::new().name("probe-9".to_owned()).spawn(move || {
            done.send(work(0.05)).expect("the test waits");
            // It is there until it was looked at.
            stopped.recv().unwrap_or_default();
        });
        is_done.recv().expect("the work is done");
        sampled.look(&telemetry, &before);
        drop(stop);
        worker.expect("a thread").join().expect("no panic");
        assert!((0.05..5.0).contains(&sampled.cpu("probe-")), "{sampled:?}");
        assert!(sampled.resident_max > 1 << 20 && sampled.in_flight_max == 7);
        assert!(sampled.cpu("nobody").abs() < 1e-9);
    }

    #[test]
    fn a_sampler_looks_at_least_once() {
        let telemetry = Telemetry::new();
        telemetry.in_flight.add(3);
        assert_eq!(Sampler::start(telemetry).expect("a thread").stop().in_flight_max, 3);
    }
}
