//! Files of records and what must come out of them. `UPDATE=1` writes what comes out; the diff is then read.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// A row or dead letter a line, in the order of the records.
fn rendered(decoded: &Decoded) -> String {
    let rows = decoded.rows.iter().map(|(table, offset, index, json)| (*offset, *index, format!("{table} {json}")));
    let dead = decoded.dead.iter().map(|(offset, reason)| (*offset, 0, format!("dead_letter {reason}")));
    let mut lines: Vec<(i64, i32, String)> = rows.chain(dead).collect();
    lines.sort();
    lines.into_iter().map(|(offset, index, text)| format!("{}.{index} {text}\n", offset + 1)).collect()
}

fn golden(name: &str) {
    let log = fs::read(folder().join(name)).expect("a golden file");
    let records: Vec<&[u8]> = log.strip_suffix(b"\n").unwrap_or(&log).split(|b| *b == b'\n').collect();
    let mut file = chunk_of(0, records.iter().copied());
    file.head = records.first().map(|line| line.to_vec().into());
    let found = rendered(&decode_chunks(DecodeConfig::default(), &[file]));
    let expected = folder().join(name).with_extension("expected");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&expected, &found).expect("the golden file is written");
    }
    let want = fs::read_to_string(&expected).expect("a golden file");
    for (found, want) in found.lines().zip(want.lines()) {
        assert_eq!(found, want, "{name}");
    }
    assert_eq!(found.lines().count(), want.lines().count(), "{name}");
}

/// The files of records: every `.log` of the folder.
pub(super) fn names() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("the folder of golden files");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".log")).collect();
    names.sort();
    names
}

#[test]
fn files_of_records_give_what_they_must() {
    let names = names();
    assert!(names.len() > 9, "{names:?}");
    names.iter().for_each(|name| golden(name));
}
