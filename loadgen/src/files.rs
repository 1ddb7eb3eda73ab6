//! The fleet as files and streams of lines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cursor::PartitionCursor;
use crate::error::Error;
use crate::fleet::Fleet;

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: `.log`.
    None,
    /// `.log.gz`
    Gzip,
    /// `.log.zst`
    Zstd,
}

impl Compression {
    const fn suffix(self) -> &'static str {
        match self {
            Compression::None => "log",
            Compression::Gzip => "log.gz",
            Compression::Zstd => "log.zst",
        }
    }
}

/// Writes every partition as `files_per_partition` files of lines, named `<topic>-<partition>-<file>.log`, whose lines in
/// the order of the names are the partition's records. Returns the paths in that order.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn write_files(
    fleet: &Fleet,
    dir: &Path,
    compression: Compression,
    files_per_partition: u32,
) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    let files = i64::from(files_per_partition.max(1));
    for id in fleet.partitions() {
        let records = fleet.records(&id).unwrap_or(0);
        for file in 0..files {
            let (first, next) = (records * file / files, records * (file + 1) / files);
            let name = format!("{}-{:03}-{file:04}.{}", id.topic, id.partition, compression.suffix());
            let path = dir.join(name);
            let Some(cursor) = fleet.cursor(&id, first) else { continue };
            write_file(cursor, next, &path, compression).map_err(|cause| Error::Write { path: path.clone(), cause })?;
            paths.push(path);
        }
    }
    Ok(paths)
}

fn write_file(cursor: PartitionCursor<'_>, next: i64, path: &Path, compression: Compression) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    match compression {
        Compression::None => write_lines(cursor, next, &mut file)?,
        Compression::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(&mut file, flate2::Compression::fast());
            write_lines(cursor, next, &mut gzip)?;
            gzip.finish()?;
        }
        Compression::Zstd => {
            let mut zstd = zstd::Encoder::new(&mut file, 1)?;
            write_lines(cursor, next, &mut zstd)?;
            zstd.finish()?;
        }
    }
    file.flush()
}

fn write_lines(mut cursor: PartitionCursor<'_>, next: i64, out: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    while cursor.offset() < next && cursor.next(&mut line).is_some() {
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}

/// Writes all records of all partitions as lines, in the order in which they are sent.
///
/// # Errors
/// Those of `out`.
pub fn write_stream(fleet: &Fleet, out: &mut impl Write) -> io::Result<()> {
    let mut cursors: Vec<_> = fleet.partitions().iter().filter_map(|id| fleet.cursor(id, 0)).collect();
    let due = |(at, cursor): (usize, &PartitionCursor<'_>)| Some(Reverse((cursor.peek_schedule_us()?, at)));
    let mut next: BinaryHeap<_> = cursors.iter().enumerate().filter_map(due).collect();
    let mut line = Vec::new();
    while let Some(Reverse((_, at))) = next.pop() {
        cursors[at].next(&mut line);
        line.push(b'\n');
        out.write_all(&line)?;
        next.extend(due((at, &cursors[at])));
    }
    out.flush()
}

#[cfg(test)]
mod tests;
