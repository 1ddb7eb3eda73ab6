//! What is mutated: the golden records, and the mapping files that ship.

use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// The files of a folder, in order.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Golden records of which this is true: the file's name, and the record.
pub(super) fn records(is_wanted: fn(&str, &str) -> bool) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for path in files(&testdata()).iter().filter(|path| path.extension().is_some_and(|e| e == "log")) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = read(path);
        let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        found.extend(lines.filter(|line| is_wanted(&name, &String::from_utf8_lossy(line))).map(<[u8]>::to_vec));
    }
    found
}

/// The mapping files, and each of their documents that stands alone.
pub(super) fn mappings(_: fn(&str, &str) -> bool) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let files = files(&root).into_iter().flat_map(|vendor| files(&vendor));
    let texts: Vec<Vec<u8>> = files.map(|path| read(&path)).collect();
    let alone = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned());
    let alone: Vec<Vec<u8>> = alone
        .flat_map(|text| text.split("\n---\n").map(str::to_owned).collect::<Vec<_>>())
        .filter(|document| !document.contains("\nuse:") && !document.contains("template:"))
        .map(String::into_bytes)
        .collect();
    [texts, alone].concat()
}
