mod damage;
mod following;
mod growth;
mod head;
mod identity;
mod registering;
mod replay;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use dataflow::{Chunk, Positions, SourceEvent};
use tempfile::TempDir;

use super::worker::{Step, Worker};
use super::{FilesConfig, FilesError};

/// The time of every registration.
const NOW: i64 = 1_700_000_000_000_000;

fn now() -> i64 {
    NOW
}

/// A folder with input files `*.log*` and a registry.
struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("written");
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = fs::File::options().append(true).open(self.path(name)).expect("a file");
        file.write_all(bytes.as_ref()).expect("written");
    }

    fn config(&self) -> FilesConfig {
        let glob = self.path("*.log*").to_str().expect("UTF-8").to_owned();
        FilesConfig::new("fw", "acme", vec![glob], self.path("registry"))
    }

    fn open(&self) -> Worker {
        Worker::open(self.config(), now).expect("opens")
    }

    fn open_error(&self) -> String {
        Worker::open(self.config(), now).expect_err("must not open").to_string()
    }

    /// Opens with a change to the configuration.
    fn open_with(&self, change: impl FnOnce(&mut FilesConfig)) -> Worker {
        let mut config = self.config();
        change(&mut config);
        Worker::open(config, now).expect("opens")
    }
}

/// A record as it was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    partition: i32,
    offset: i64,
    payload: Vec<u8>,
    full_len: u64,
}

impl Got {
    /// `partition:number/index text`
    fn text(&self) -> String {
        let (number, index) = (self.offset >> 32, self.offset & 0xffff_ffff);
        format!("{}:{number}/{index} {}", self.partition, String::from_utf8_lossy(&self.payload))
    }

    fn is_cut(&self) -> bool {
        self.full_len > self.payload.len() as u64
    }
}

/// Everything until the source waits or ends. Ranges have to join, from `positions` on, and are moved on there.
fn drain(worker: &mut Worker, positions: &mut BTreeMap<i32, i64>) -> Result<Vec<Got>, FilesError> {
    let mut got = Vec::new();
    loop {
        match worker.step(false)? {
            Step::Event(SourceEvent::Chunk(chunk)) => take(&chunk, positions, &mut got),
            Step::Event(SourceEvent::EndOfInput) | Step::Wait | Step::Ended => return Ok(got),
            Step::Event(_) => {}
        }
    }
}

fn take(chunk: &Chunk, positions: &mut BTreeMap<i32, i64>, got: &mut Vec<Got>) {
    let partition = chunk.partition.partition;
    let position = positions.entry(partition).or_default();
    assert_eq!(chunk.offsets.start, *position, "ranges join");
    assert!(chunk.offsets.next > chunk.offsets.start, "a chunk moves the position");
    *position = chunk.offsets.next;
    for record in chunk.records() {
        assert!((chunk.offsets.start..chunk.offsets.next).contains(&record.offset));
        assert_eq!(record.received_at, NOW);
        let (payload, full_len) = (record.payload.to_vec(), record.full_len);
        got.push(Got { partition, offset: record.offset, payload, full_len });
    }
}

fn all(worker: &mut Worker) -> Vec<Got> {
    drain(worker, &mut BTreeMap::new()).expect("reads")
}

fn texts(got: &[Got]) -> Vec<String> {
    got.iter().map(Got::text).collect()
}

/// Sought positions for a worker.
fn positions(worker: &Worker, at: &[(i32, i64)]) -> Positions {
    let ids = worker.partitions();
    at.iter().map(|&(partition, position)| (ids[partition as usize].clone(), position)).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("compressed")
}
