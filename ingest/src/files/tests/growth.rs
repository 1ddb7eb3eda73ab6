use super::*;

/// Reads what is new since `at`, with a fresh source.
fn resume(folder: &Folder, at: &mut BTreeMap<i32, i64>) -> Vec<String> {
    let mut worker = folder.open();
    let list: Vec<_> = at.iter().map(|(&p, &o)| (p, o)).collect();
    worker.seek(&positions(&worker, &list)).expect("known");
    texts(&drain(&mut worker, at).expect("reads"))
}

#[test]
fn what_was_added_is_registered_again() {
    let folder = Folder::new();
    folder.write("a.log", "a0\n");
    let mut at = BTreeMap::new();
    assert_eq!(resume(&folder, &mut at), ["0:0/0 a0"]);
    assert_eq!(resume(&folder, &mut at), [""; 0]);
    folder.append("a.log", "a1\na2\n");
    folder.write("b.log", "b0\n");
    assert_eq!(resume(&folder, &mut at), ["0:1/0 a1", "0:1/1 a2", "0:2/0 b0"]);
    assert_eq!(texts(&all(&mut folder.open())).len(), 4, "and all of it from the beginning");
}

#[test]
fn a_line_end_that_comes_later_makes_no_empty_line() {
    for (first, later, want) in [
        ("a0", "\na1\n", vec!["0:1/0 a1"]),
        ("a0", "\r\na1\n", vec!["0:1/0 a1"]),
        ("a0", "\n", vec![]),
        ("a0\n", "\na2\n", vec!["0:1/0 ", "0:1/1 a2"]),
        ("a0", "more\n", vec!["0:1/0 more"]),
    ] {
        let folder = Folder::new();
        folder.write("a.log", first);
        let mut at = BTreeMap::new();
        assert_eq!(resume(&folder, &mut at), ["0:0/0 a0"]);
        folder.append("a.log", later);
        assert_eq!(resume(&folder, &mut at), want, "{first:?} then {later:?}");
        assert_eq!(resume(&folder, &mut at), [""; 0], "{first:?} then {later:?}, again");
    }
}

#[test]
fn a_long_file_is_registered_in_pieces_at_line_ends() {
    let folder = Folder::new();
    let lines: Vec<String> = (0..100).map(|i| format!("{i:0width$}", width = 1 + i % 37)).collect();
    folder.write("a.log", "");
    let mut worker = folder.open_with(|c| (c.partitions, c.follow) = (4, true));
    worker.scanner.piece_bytes = 100;
    folder.write("a.log", lines.join("\n") + "\n" + &"x".repeat(500) + "\nend\n");
    worker.step(true).map(drop).expect("scans");
    let mut worker = folder.open_with(|c| c.partitions = 4);
    let mut got = all(&mut worker);
    got.sort_by_key(|r| r.offset);
    let payloads: Vec<_> = got.iter().map(|r| String::from_utf8_lossy(&r.payload).into_owned()).collect();
    assert_eq!(payloads[..100], lines);
    assert_eq!(payloads[100..], ["x".repeat(500), "end".to_owned()]);
    for partition in 0..4 {
        assert!(got.iter().filter(|r| r.partition == partition).count() > 15, "partition {partition} has its share");
    }
}

#[test]
fn a_changed_file_is_an_error_that_names_it() {
    let long = "0123456789abcdef\n".repeat(1_000);
    for (before, after, want) in [
        ("a0\na1\n".into(), "a0\n".into(), "shrank from at least 6 to 3 bytes"),
        ("a0\na1\n".into(), "b0\na1\nmore\n".into(), "has other content"),
        ("a0\na1\n".into(), gzip(b"a0\n"), "has other content"),
        (gzip(b"a0\n"), [gzip(b"a0\n"), gzip(b"a1\n")].concat(), "is compressed and grew"),
        (gzip(long.as_bytes()), gzip(long.replace('7', "8").as_bytes()), "has other content"),
        (zstd(long.as_bytes()), zstd(b"x\n"), "shrank"),
    ] as [(Vec<u8>, Vec<u8>, &str); 6]
    {
        let folder = Folder::new();
        folder.write("a.log", &before);
        folder.open();
        folder.write("a.log", &after);
        let error = folder.open_error();
        assert!(error.contains("a.log (registered as number 0)") && error.contains(want), "{error} lacks {want}");
        assert!(error.contains("give every new file its own name"), "{error} shows the way out");
    }
}

#[test]
fn a_file_that_changes_between_registration_and_reading_is_an_error() {
    for (after, want) in [
        (Some("a0\n"), "has 3 bytes; 6 were registered"),
        (Some("b0\na1\nlonger\n"), "has other content"),
        (None, "is gone, and its records from index 0 on are not yet committed"),
    ] {
        let folder = Folder::new();
        folder.write("a.log", "a0\na1\n");
        let mut worker = folder.open();
        match after {
            Some(after) => folder.write("a.log", after),
            None => fs::remove_file(folder.path("a.log")).expect("removed"),
        }
        let error = worker.step(false).expect_err(want).to_string();
        assert!(error.contains("a.log (registered as number 0)") && error.contains(want), "{error} lacks {want}");
        folder.write("a.log", "a0\na1\n");
        assert_eq!(texts(&all(&mut worker)), ["0:0/0 a0", "0:0/1 a1"], "once it is put back, nothing is lost");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_an_error() {
    let folder = Folder::new();
    let line = "x".repeat(999) + "\n";
    folder.write("a.log", line.repeat(2_000));
    let mut worker = folder.open();
    let mut at = BTreeMap::new();
    let Ok(Step::Event(SourceEvent::Chunk(chunk))) = worker.step(false) else { panic!("a chunk") };
    take(&chunk, &mut at, &mut Vec::new());
    let file = fs::File::options().write(true).open(folder.path("a.log")).expect("a file");
    file.set_len(1_600_000).expect("cut");
    let error = drain(&mut worker, &mut at).expect_err("too short").to_string();
    assert!(error.contains("shrank while it was read"), "{error}");
}

#[test]
fn a_registered_range_stays_while_the_file_grows() {
    let folder = Folder::new();
    folder.write("a.log", "a0\na1");
    let mut worker = folder.open();
    folder.append("a.log", " goes on\na2\n");
    assert_eq!(texts(&all(&mut worker)), ["0:0/0 a0", "0:0/1 a1"], "what came after registration is another range");
    let want = ["0:0/0 a0", "0:0/1 a1", "0:1/0  goes on", "0:1/1 a2"];
    assert_eq!(texts(&all(&mut folder.open())), want);
}

#[test]
fn files_under_several_globs_are_read_once() {
    let folder = Folder::new();
    folder.write("a.log", "a0\n");
    folder.write("b.log", "b0\n");
    let again = folder.path("b.*").to_str().expect("UTF-8").to_owned();
    assert_eq!(all(&mut folder.open_with(|c| c.globs.push(again))).len(), 2);
}
