//! Lines on standard output, or in a file for each partition.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::batch::{Batch, Origin};
use super::meter::Meter;
use super::output::Trouble;

/// A write that takes longer than this had to wait.
const WRITE_US: i64 = 1_000;

/// Where lines go.
pub(crate) enum Lines {
    Stdout,
    /// Files that are open, by name.
    Dir(PathBuf, HashMap<String, File>),
}

impl Lines {
    pub(crate) fn stdout() -> Self {
        Self::Stdout
    }

    pub(crate) fn dir(dir: &Path) -> Self {
        Self::Dir(dir.to_owned(), HashMap::new())
    }

    pub(crate) fn is_by_partition(&self) -> bool {
        matches!(self, Lines::Dir(..))
    }

    pub(crate) fn send(
        &mut self,
        batch: &Batch,
        origin: &Origin,
        done: &mut usize,
        meter: &mut Meter,
    ) -> Result<(), Trouble> {
        let start_us = meter.now_us();
        meter.stall(start_us + WRITE_US);
        let result = match self {
            Lines::Stdout => write(&mut io::stdout().lock(), batch),
            Lines::Dir(dir, files) => file(dir, files, origin).and_then(|file| write(file, batch)),
        };
        meter.flow();
        result.map_err(Trouble::Fatal)?;
        meter.handed(batch, *done..batch.len());
        *done = batch.len();
        Ok(())
    }
}

fn write(out: &mut impl Write, batch: &Batch) -> io::Result<()> {
    out.write_all(batch.bytes())?;
    out.flush()
}

/// The partition's file, named as [`crate::write_files`] names it.
fn file<'f>(dir: &Path, files: &'f mut HashMap<String, File>, origin: &Origin) -> io::Result<&'f mut File> {
    match files.entry(origin.source.clone()) {
        Entry::Occupied(open) => Ok(open.into_mut()),
        Entry::Vacant(missing) => {
            std::fs::create_dir_all(dir)?;
            let path = dir.join(format!("{}-{:03}-0000.log", origin.topic, origin.number));
            Ok(missing.insert(File::create(path)?))
        }
    }
}
