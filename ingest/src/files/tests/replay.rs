use proptest::prelude::*;

use super::*;

/// One file: lines, whether the last one ends, and how it is stored (0 plain, 1 gzip, 2 zstd; in two parts if odd cut).
#[derive(Debug, Clone)]
struct Input {
    lines: Vec<String>,
    ends: bool,
    storage: u8,
    cut: usize,
}

impl Input {
    fn content(&self) -> String {
        let end = if self.ends && !self.lines.is_empty() { "\n" } else { "" };
        format!("{}{end}", self.lines.join("\n"))
    }

    fn stored(&self) -> Vec<u8> {
        let content = self.content().into_bytes();
        let (head, tail) = content.split_at(self.cut.min(content.len()));
        match self.storage {
            0 => content,
            1 => [gzip(head), gzip(tail)].concat(),
            _ => [zstd(head), zstd(tail)].concat(),
        }
    }
}

fn a_line() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z\r]{0,12}", 1 => "[a-z]{40,90}"]
}

/// An array of records within the limit of a line or past it, most of them whole.
fn an_array() -> impl Strategy<Value = String> {
    "\\{\"Records\":\\[(\\{\"k\":\"[a-z\\],]{0,9}\"\\},){0,9}[0-9]{0,60}(\\]\\})?"
}

fn an_input(line: impl Strategy<Value = String>) -> impl Strategy<Value = Input> {
    (prop::collection::vec(line, 0..12), any::<bool>(), 0u8..3, 0usize..200)
        .prop_map(|(lines, ends, storage, cut)| Input { lines, ends, storage, cut })
}

/// What the lines of a text are, said as simply as possible.
fn expected(content: &str, limit: usize) -> Vec<(Vec<u8>, u64)> {
    let mut lines: Vec<&str> = content.split_inclusive('\n').collect();
    lines.retain(|line| !line.is_empty());
    let strip = |line: &&str| match line.strip_suffix('\n') {
        Some(line) => line.strip_suffix('\r').unwrap_or(line).to_owned(),
        None => (*line).to_owned(),
    };
    let cut = |line: String| (line.as_bytes()[..line.len().min(limit)].to_vec(), line.len() as u64);
    lines.iter().map(strip).map(cut).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_file_gives_its_lines_however_it_is_stored_and_chunked(
        inputs in prop::collection::vec(an_input(a_line()), 1..5),
        partitions in 1u32..4,
        chunk_bytes in 1usize..300,
    ) {
        let folder = Folder::new();
        for (i, input) in inputs.iter().enumerate() {
            folder.write(&format!("{i}.log"), input.stored());
        }
        let mut got = all(&mut folder.open_with(|c| {
            (c.partitions, c.chunk_bytes, c.line_limit) = (partitions, chunk_bytes, 50);
        }));
        got.sort_by_key(|r| r.offset);
        let stored = inputs.iter().filter(|input| !input.stored().is_empty());
        let want: Vec<_> = stored.clone().flat_map(|input| expected(&input.content(), 50)).collect();
        let lines: Vec<_> = got.iter().map(|r| (r.payload.clone(), r.full_len)).collect();
        prop_assert_eq!(lines, want);
        prop_assert!(got.iter().all(|r| (r.offset >> 32) % i64::from(partitions) == i64::from(r.partition)));
    }

    #[test]
    fn from_every_position_the_same_records_follow(
        inputs in prop::collection::vec(an_input(prop_oneof![a_line(), an_array()]), 1..4),
        chunk_bytes in 1usize..300,
        again in 1usize..300,
        forget in any::<bool>(),
    ) {
        let folder = Folder::new();
        for (i, input) in inputs.iter().enumerate() {
            folder.write(&format!("{i}.log"), input.stored());
        }
        let want = all(&mut folder.open_with(|c| (c.chunk_bytes, c.line_limit) = (chunk_bytes, 50)));
        if forget {
            forget_record_counts(&folder);
        }
        let ends = want.iter().map(|r| r.offset + 1);
        for position in want.iter().map(|r| r.offset).chain(ends).chain([0]) {
            let mut worker = folder.open_with(|c| (c.chunk_bytes, c.line_limit) = (again, 50));
            worker.seek(&positions(&worker, &[(0, position)])).expect("a known position");
            let got = drain(&mut worker, &mut BTreeMap::from([(0, position)])).expect("reads");
            let rest: Vec<_> = want.iter().filter(|r| r.offset >= position).cloned().collect();
            prop_assert_eq!(got, rest, "from {}", position);
        }
    }
}

fn forget_record_counts(folder: &Folder) {
    for entry in fs::read_dir(folder.path("registry")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "records") {
            fs::remove_file(path).expect("removed");
        }
    }
}

#[test]
fn a_position_in_the_middle_of_each_partition() {
    let folder = Folder::new();
    for name in ["a", "b", "c", "d"] {
        folder.write(&format!("{name}.log"), format!("{name}0\n{name}1\n{name}2\n"));
    }
    let open = || folder.open_with(|c| c.partitions = 2);
    all(&mut open());
    let mut worker = open();
    worker.seek(&positions(&worker, &[(0, 2), (1, (3 << 32) + 1)])).expect("known");
    let got = drain(&mut worker, &mut BTreeMap::from([(0, 2), (1, (3 << 32) + 1)])).expect("reads");
    assert_eq!(texts(&got), ["0:0/2 a2", "1:3/1 d1", "1:3/2 d2", "0:2/0 c0", "0:2/1 c1", "0:2/2 c2"]);
}

/// Found by the property above: the count noted for a file is met while it is still open.
#[test]
fn a_chunk_that_ends_with_a_files_last_record_does_not_mix_files() {
    let folder = Folder::new();
    folder.write("a.log", "a0\n");
    folder.write("b.log", "b0\nb1\n");
    let want = all(&mut folder.open());
    assert_eq!(all(&mut folder.open_with(|c| c.chunk_bytes = 1)), want);
}

#[test]
fn a_position_that_nothing_explains_is_refused() {
    let folder = Folder::new();
    folder.write("a.log", "x\n");
    let mut worker = folder.open();
    for (position, want) in [(-1, "negative"), (2 << 32, "no such file was ever registered")] {
        let error = worker.seek(&positions(&worker, &[(0, position)])).expect_err(want).to_string();
        assert!(error.contains(want) && error.contains("fw@"), "{error}");
    }
    let stranger = dataflow::PartitionId::new("fw", "other", 0);
    let error = worker.seek(&Positions::from([(stranger, 0)])).expect_err("another incarnation").to_string();
    assert!(error.contains("no such partition"), "{error}");
}

#[test]
fn a_position_behind_the_files_end_means_it_was_changed() {
    let folder = Folder::new();
    folder.write("a.log", "x\ny\n");
    let mut worker = folder.open();
    worker.seek(&positions(&worker, &[(0, 3)])).expect("within the registry");
    let error = drain(&mut worker, &mut BTreeMap::from([(0, 3)])).expect_err("two records only").to_string();
    assert!(error.contains("a.log (registered as number 0) holds 2 records; 3 were read"), "{error}");
}

#[test]
fn a_file_that_was_read_to_its_end_may_go() {
    let folder = Folder::new();
    folder.write("a.log", "a0\n");
    folder.write("b.log", "b0\n");
    let mut at = BTreeMap::new();
    drain(&mut folder.open(), &mut at).expect("reads");
    fs::remove_file(folder.path("a.log")).expect("removed");
    let mut worker = folder.open();
    worker.seek(&positions(&worker, &[(0, 1)])).expect("known");
    let got = drain(&mut worker, &mut BTreeMap::from([(0, 1)])).expect("a.log is not opened");
    assert_eq!(texts(&got), ["0:1/0 b0"]);
}
