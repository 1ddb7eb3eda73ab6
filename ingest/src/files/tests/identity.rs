use super::super::incarnation;
use super::*;

#[test]
fn a_record_is_its_files_number_and_its_index() {
    let folder = Folder::new();
    folder.write("b.log", "b0\nb1\n");
    folder.write("a.log", "a0\r\n\na2");
    folder.write("c.log", "\u{feff}c0\n");
    let got = all(&mut folder.open_with(|c| c.partitions = 2));
    assert_eq!(texts(&got), ["0:0/0 a0", "0:0/1 ", "0:0/2 a2", "1:1/0 b0", "1:1/1 b1", "0:2/0 c0"]);
    assert!(got.iter().all(|r| !r.is_cut()));
}

#[test]
fn partitions_take_turns_and_say_when_they_are_done() {
    let folder = Folder::new();
    folder.write("a.log", "a0\na1\n");
    folder.write("b.log", "b0\nb1\n");
    let mut worker = folder.open_with(|c| (c.partitions, c.chunk_bytes) = (3, 1));
    let mut events = Vec::new();
    loop {
        match worker.step(false).expect("reads") {
            Step::Event(SourceEvent::Chunk(chunk)) => {
                let record = chunk.records().next();
                let text = record.map_or("-".to_owned(), |r| String::from_utf8_lossy(r.payload).into_owned());
                events.push(format!("{}:{text}", chunk.partition.partition));
            }
            Step::Event(SourceEvent::CaughtUp(id)) => events.push(format!("{} done", id.partition)),
            Step::Event(SourceEvent::EndOfInput) => events.push("end".to_owned()),
            Step::Event(other) => panic!("a source of its own files: {other:?}"),
            Step::Wait | Step::Ended => break,
        }
    }
    assert_eq!(events, ["0:a0", "1:b0", "2 done", "0:a1", "1:b1", "0 done", "1 done", "end"]);
    assert!(matches!(worker.step(false), Ok(Step::Ended)), "the end is said once");
}

#[test]
fn the_incarnation_follows_the_topic() {
    assert_eq!(incarnation("fw"), incarnation("fw"));
    assert_ne!(incarnation("fw"), incarnation("vpn"));
    assert_eq!(incarnation("fw").get_version_num(), 5);
    let folder = Folder::new();
    folder.write("a.log", "x\n");
    let id = folder.open().partitions().remove(0);
    assert_eq!((&*id.topic, id.incarnation.to_string()), ("fw", incarnation("fw").to_string()));
}

#[test]
fn empty_files_and_folders_hold_no_records() {
    let folder = Folder::new();
    folder.write("a.log", "");
    folder.write("b.log", "\u{feff}");
    folder.write("c.log.gz", gzip(b""));
    folder.write("d.log.zst", zstd(b""));
    fs::create_dir(folder.path("e.log")).expect("a folder");
    folder.write("f.log", "f0");
    assert_eq!(texts(&all(&mut folder.open())), ["0:3/0 f0"]);
}

#[test]
fn wrong_settings_are_refused() {
    let folder = Folder::new();
    folder.write("a.log", "x\n");
    for (change, want) in [
        ((|c| c.partitions = 0) as fn(&mut FilesConfig), "partitions"),
        (|c| c.globs.clear(), "globs is empty"),
        (|c| c.globs = vec!["/no/such/*.log".to_owned()], "\"/no/such/*.log\" matches no file"),
        (|c| c.globs.push("/no/such".to_owned()), "\"/no/such\" matches no file"),
        (|c| c.globs = vec!["a/***".to_owned()], "glob \"a/***\""),
        (|c| c.line_limit = 0, "line_limit"),
        (|c| c.chunk_bytes = 2 << 30, "chunk_bytes"),
    ] {
        let mut config = folder.config();
        change(&mut config);
        let error = Worker::open(config, now).expect_err(want).to_string();
        assert!(error.contains(want), "{error} lacks {want}");
    }
}
