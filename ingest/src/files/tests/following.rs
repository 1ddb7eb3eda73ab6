use std::time::Duration;

use dataflow::Source;

use super::super::FileSource;
use super::*;

fn follow(c: &mut FilesConfig) {
    c.follow = true;
}

/// Scans once and reads what was found.
fn poll(worker: &mut Worker, at: &mut BTreeMap<i32, i64>) -> Vec<String> {
    let mut got = Vec::new();
    if let Step::Event(SourceEvent::Chunk(chunk)) = worker.step(true).expect("scans") {
        take(&chunk, at, &mut got);
    }
    got.extend(drain(worker, at).expect("reads"));
    texts(&got)
}

#[test]
fn whole_lines_are_read_as_they_come() {
    let folder = Folder::new();
    let (mut worker, mut at) = (folder.open_with(follow), BTreeMap::new());
    assert_eq!(poll(&mut worker, &mut at), [""; 0]);
    folder.write("a.log", "a0\na1 is not com");
    assert_eq!(poll(&mut worker, &mut at), ["0:0/0 a0"]);
    folder.append("a.log", "plete");
    assert_eq!(poll(&mut worker, &mut at), [""; 0]);
    folder.append("a.log", " yet\na2");
    folder.write("b.log", "b0\n");
    assert_eq!(poll(&mut worker, &mut at), ["0:1/0 a1 is not complete yet", "0:2/0 b0"]);
    assert_eq!(poll(&mut worker, &mut at), [""; 0]);
    let again = texts(&all(&mut folder.open_with(follow)));
    assert_eq!(again, ["0:0/0 a0", "0:1/0 a1 is not complete yet", "0:2/0 b0"]);
}

#[test]
fn a_compressed_file_is_read_when_it_stopped_growing() {
    let folder = Folder::new();
    let (mut worker, mut at) = (folder.open_with(follow), BTreeMap::new());
    let bytes = gzip(b"x\ny\n");
    folder.write("a.log", &bytes[..12]);
    assert_eq!(poll(&mut worker, &mut at), [""; 0]);
    folder.append("a.log", &bytes[12..]);
    assert_eq!(poll(&mut worker, &mut at), [""; 0], "it grew since the last scan");
    assert_eq!(poll(&mut worker, &mut at), ["0:0/0 x", "0:0/1 y"]);
}

#[test]
fn a_partition_says_again_that_it_is_caught_up() {
    let folder = Folder::new();
    folder.write("a.log", "x\n");
    let mut worker = folder.open_with(follow);
    for round in 0..3 {
        let Ok(Step::Event(SourceEvent::Chunk(_))) = worker.step(true) else { panic!("round {round}: a chunk") };
        let Ok(Step::Event(SourceEvent::CaughtUp(_))) = worker.step(false) else { panic!("round {round}: caught up") };
        assert!(matches!(worker.step(false), Ok(Step::Wait)), "round {round}");
        folder.append("a.log", "more\n");
    }
}

#[test]
fn after_an_error_the_files_that_were_found_are_not_forgotten() {
    let folder = Folder::new();
    let (mut worker, mut at) = (folder.open_with(follow), BTreeMap::new());
    folder.write("b.log", "b0\nb1\n");
    assert_eq!(poll(&mut worker, &mut at).len(), 2);
    folder.write("a.log", "a0\n");
    folder.write("b.log", "b0\n");
    let error = worker.step(true).expect_err("b.log shrank").to_string();
    assert!(error.contains("b.log"), "{error}");
    assert_eq!(texts(&drain(&mut worker, &mut at).expect("reads")), ["0:1/0 a0"]);
}

fn source(folder: &Folder, change: impl FnOnce(&mut FilesConfig)) -> FileSource {
    let mut config = folder.config();
    change(&mut config);
    let mut source = FileSource::open(config, now).expect("opens");
    source.poll = Duration::from_millis(1);
    source
}

#[tokio::test]
async fn a_dropped_call_loses_no_record() {
    let folder = Folder::new();
    folder.write("a.log", (0..500).map(|i| format!("{i}\n")).collect::<String>());
    let mut source = source(&folder, |c| c.chunk_bytes = 100);
    let (mut at, mut got) = (BTreeMap::new(), Vec::new());
    loop {
        let event = tokio::select! {
            biased;
            event = source.next_event() => event.expect("reads"),
            () = tokio::task::yield_now() => continue, // drops the call that is under way
        };
        match event {
            SourceEvent::Chunk(chunk) => take(&chunk, &mut at, &mut got),
            SourceEvent::CaughtUp(_) => {}
            SourceEvent::EndOfInput => break,
            other => panic!("a source of its own files: {other:?}"),
        }
    }
    let payloads: Vec<_> = got.iter().map(|r| String::from_utf8_lossy(&r.payload).into_owned()).collect();
    assert_eq!(payloads, (0..500).map(|i| i.to_string()).collect::<Vec<_>>());
    let positions: Positions = source.partitions().into_iter().map(|id| (id, at[&0])).collect();
    source.acknowledge(&positions).await.expect("a hint");
}

#[tokio::test]
async fn a_following_source_waits_for_more() {
    let folder = Folder::new();
    folder.write("a.log", "a0\n");
    let mut source = source(&folder, follow);
    let (mut at, mut got) = (BTreeMap::new(), Vec::new());
    while got.len() < 5 {
        match source.next_event().await.expect("reads") {
            SourceEvent::Chunk(chunk) => take(&chunk, &mut at, &mut got),
            SourceEvent::CaughtUp(_) => folder.append("a.log", format!("a{}\n", got.len())),
            other => panic!("a following source has no end, and nobody to share with: {other:?}"),
        }
    }
    assert_eq!(texts(&got), ["0:0/0 a0", "0:1/0 a1", "0:2/0 a2", "0:3/0 a3", "0:4/0 a4"]);
}

#[tokio::test]
async fn errors_say_which_source_and_whether_to_try_again() {
    let folder = Folder::new();
    folder.write("a.log", "a0\n");
    let mut source = source(&folder, |_| ());
    fs::remove_file(folder.path("a.log")).expect("removed");
    let error = source.next_event().await.expect_err("gone");
    assert_eq!((error.source_name.as_str(), error.transient), ("fw", false));
    assert!(error.to_string().contains("is gone"), "{error}");
    folder.write("a.log", "a0\n");
    assert!(matches!(source.next_event().await, Ok(SourceEvent::Chunk(_))));
}
