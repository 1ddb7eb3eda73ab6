//! Every file of the tree: source files stay short, tests are run and never wait for luck, crates have a front, documents
//! name what exists.

use std::collections::BTreeSet;
use std::path::Path;

use super::{assert_none, read, root};

const FILE_LINES_MAX: usize = 700;

/// Written in two halves, so that this file does not match itself.
const IGNORED: &str = concat!("#[", "ignore");
const WAITS: &str = concat!("sle", "ep(");

/// Every file of the repository, by its path from the root, in order. What `.gitignore` names is none of it.
pub(super) fn files() -> Vec<String> {
    let ignore = read(".gitignore");
    let mut found = Vec::new();
    walk(&root(), "", &ignore.lines().collect::<Vec<_>>(), &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, prefix: &str, ignore: &[&str], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let entry = entry.expect("a folder of the repository can be read");
        let name = entry.file_name().into_string().expect("names in the repository are UTF-8");
        let path = format!("{prefix}{name}");
        if name == ".git" || name == "__pycache__" || is_ignored(&path, &name, ignore) {
            continue;
        }
        if entry.file_type().expect("a file has a type").is_dir() {
            walk(&entry.path(), &format!("{path}/"), ignore, found);
        } else {
            found.push(path);
        }
    }
}

/// The forms that our `.gitignore` uses: `/path`, `*.ext`, `name` and `name/`.
fn is_ignored(path: &str, name: &str, ignore: &[&str]) -> bool {
    ignore.iter().map(|pattern| pattern.trim_end_matches('/')).any(|pattern| match pattern.strip_prefix('/') {
        Some(anchored) => path == anchored,
        None => pattern.strip_prefix('*').map_or(name == pattern, |end| !end.is_empty() && name.ends_with(end)),
    })
}

fn rust_files() -> Vec<String> {
    files().into_iter().filter(|f| f.ends_with(".rs")).collect()
}

fn source_faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let count = text.lines().count();
    if count >= FILE_LINES_MAX {
        faults.push(format!("{path}: {count} lines; one file, one subject, under {FILE_LINES_MAX}"));
    }
    let mut in_tests = path.contains("/tests/") || path.ends_with("/tests.rs");
    for (number, line) in text.lines().enumerate().map(|(i, line)| (i + 1, line.trim_start())) {
        in_tests |= line.starts_with("#[cfg(test)]");
        if line.starts_with("//") {
            continue;
        }
        if line.contains(IGNORED) {
            faults.push(format!("{path}:{number}: an ignored test; repair it or delete it"));
        }
        if in_tests && line.contains(WAITS) {
            faults.push(format!("{path}:{number}: a test that waits for time; wait for the event"));
        }
    }
    faults
}

/// The crate's front says what comes in, what goes out, and what is absent on purpose.
fn front_faults(path: &str, text: &str) -> Vec<String> {
    let front: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    let front = front.join("\n").to_lowercase();
    let missing = ["data in", "data out", "absent"].into_iter().filter(|word| !front.contains(word));
    missing.map(|word| format!("{path}: its front (//!) does not say `{word}`")).collect()
}

/// Top-level folders that are not named, and paths in backticks that lead nowhere.
fn map_faults(map: &str, files: &[String]) -> Vec<String> {
    let parents = |f: &String| Path::new(f).ancestors().skip(1).map(|p| p.to_string_lossy().into_owned()).collect();
    let folders: BTreeSet<String> = files.iter().filter_map(|f| Some(f.split_once('/')?.0.to_owned())).collect();
    let known: BTreeSet<String> = files.iter().flat_map(|f| -> Vec<String> { parents(f) }).collect();
    let unnamed = folders.iter().filter(|folder| !map.contains(&format!("{folder}/")));
    let dead = map.split('`').skip(1).step_by(2).filter(|name| {
        let top = name.split('/').next().unwrap_or_default();
        let is_path = name.contains('/') && known.contains(top) && name.chars().all(is_path_char);
        let name = name.trim_end_matches('/');
        is_path && !known.contains(name) && !files.iter().any(|f| f == name)
    });
    let unnamed = unnamed.map(|f| format!("ARCHITECTURE.md: does not name `{f}/`"));
    unnamed.chain(dead.map(|d| format!("ARCHITECTURE.md: `{d}` is not in the tree"))).collect()
}

fn is_path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./-".contains(c)
}

/// The shell lines of a document: what stands in its ```sh blocks.
fn shell_lines(markdown: &str) -> Vec<&str> {
    let blocks = markdown.split("```sh\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines()).map(str::trim).collect()
}

#[test]
fn sources_are_short_and_their_tests_run() {
    let found: Vec<String> = rust_files().iter().flat_map(|path| source_faults(path, &read(path))).collect();
    assert_none(&found);
}

#[test]
fn every_crate_has_a_front() {
    let fronts = rust_files().into_iter().filter(|f| f.ends_with("/src/lib.rs") || f.ends_with("/src/main.rs"));
    let found: Vec<String> = fronts.flat_map(|path| front_faults(&path, &read(&path))).collect();
    assert_none(&found);
}

#[test]
fn the_architecture_names_every_folder_and_nothing_else() {
    assert_none(&map_faults(&read("ARCHITECTURE.md"), &files()));
}

#[test]
fn the_gate_runs_the_test_command_of_the_readme() {
    let readme = read("README.md");
    let command = "cargo test --workspace";
    assert!(shell_lines(&readme).iter().any(|line| line.split('#').next().is_some_and(|l| l.trim() == command)));
    assert!(
        read(".ci/run").lines().any(|line| line == format!("stage tests {command}")),
        ".ci/run runs another command"
    );
}

#[test]
fn each_rule_of_source_is_seen_to_refuse() {
    let long = "\n".repeat(FILE_LINES_MAX);
    let waits = format!("thread::{WAITS}1)");
    for (path, text, want) in [
        ("a/src/lib.rs", waits.clone(), None),
        ("a/src/lib.rs", format!("// {IGNORED}]\n#[cfg(test)]\nmod tests {{}}"), None),
        ("a/src/lib.rs", format!("#[cfg(test)]\n{waits}"), Some("a/src/lib.rs:2: a test that waits")),
        ("a/src/tests.rs", waits.clone(), Some("a/src/tests.rs:1: a test that waits")),
        ("a/tests/b/c.rs", waits.clone(), Some("a/tests/b/c.rs:1: a test that waits")),
        ("a/src/lib.rs", format!("{IGNORED} = \"slow\"]"), Some("a/src/lib.rs:1: an ignored test")),
        ("a/src/lib.rs", long[1..].to_owned(), None),
        ("a/src/lib.rs", long.clone(), Some("a/src/lib.rs: 700 lines")),
    ] {
        let found = source_faults(path, &text);
        match want {
            None => assert_none(&found),
            Some(want) => assert!(found.len() == 1 && found[0].starts_with(want), "{path} {text:?}: {found:?}"),
        }
    }
}

#[test]
fn each_rule_of_the_map_is_seen_to_refuse() {
    let files = ["a/src/b/c.rs", "a/Cargo.toml", "README.md"].map(str::to_owned);
    assert_none(&map_faults("`a/src/b/` does b, see `a/src/b/c.rs`, `x/y` and `text/plain`", &files));
    assert_eq!(map_faults("a", &files), ["ARCHITECTURE.md: does not name `a/`"]);
    assert_eq!(map_faults("`a/src/b/` `a/gone/`", &files), ["ARCHITECTURE.md: `a/gone/` is not in the tree"]);
    assert_eq!(front_faults("l", "//! Data in: x\n\n//! data out: y, absent: z").len(), 2);
    let ignore = ["/target", "*.profraw", "notes/"];
    let ignored = |path: &str, name: &str| is_ignored(path, name, &ignore);
    assert!(ignored("target", "target") && ignored("a/x.profraw", "x.profraw") && ignored("a/notes", "notes"));
    assert!(!ignored("a/target", "target") && !ignored("a/notes.md", "notes.md"));
    assert_eq!(shell_lines("```sh\na # b\n```\n```sql\nc\n```"), ["a # b"]);
}
