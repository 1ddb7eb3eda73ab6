//! What a file begins with is said with each of its parts.

use super::*;

/// Offset and head of each chunk until the source ends.
fn heads(worker: &mut Worker) -> Vec<(i64, Option<String>)> {
    let mut found = Vec::new();
    loop {
        match worker.step(false).expect("reads") {
            Step::Event(SourceEvent::Chunk(chunk)) => {
                let head = chunk.head.as_deref().map(|head| String::from_utf8_lossy(head).into_owned());
                found.push((chunk.offsets.start, head));
            }
            Step::Event(SourceEvent::EndOfInput) | Step::Wait | Step::Ended => return found,
            Step::Event(_) => {}
        }
    }
}

/// The one head of all chunks.
fn head(worker: &mut Worker) -> Option<String> {
    let found = heads(worker);
    assert!(!found.is_empty());
    assert!(found.windows(2).all(|pair| pair[0].1 == pair[1].1), "{found:?}");
    found.into_iter().next().and_then(|(_, head)| head)
}

#[test]
fn every_part_of_a_file_knows_its_first_line() {
    let content = "\u{feff}names of fields\r\n".to_owned() + &"a line\n".repeat(100);
    for stored in [content.clone().into_bytes(), gzip(content.as_bytes()), zstd(content.as_bytes())] {
        let folder = Folder::new();
        folder.write("a.log", stored);
        let mut worker = folder.open_with(|c| c.chunk_bytes = 200);
        let found = heads(&mut worker);
        assert!(found.len() > 10, "{found:?}");
        assert!(found.iter().all(|(_, head)| head.as_deref() == Some("names of fields")), "{found:?}");
        let mut again = folder.open_with(|c| c.chunk_bytes = 200);
        again.seek(&positions(&again, &[(0, found[5].0)])).expect("known");
        assert_eq!(heads(&mut again), found[5..]);
    }
}

#[test]
fn files_have_heads_of_their_own() {
    let folder = Folder::new();
    folder.write("a.log", "names\na\n");
    folder.write("b.log", "other names\nb\n");
    let found = heads(&mut folder.open());
    let want = [Some("names".to_owned()), Some("other names".to_owned())];
    assert_eq!(found.into_iter().map(|(_, head)| head).collect::<Vec<_>>(), want);
}

#[test]
fn what_is_added_later_has_the_same_head() {
    for (first, want) in [
        ("names\n".to_owned(), Some("names")),
        ("\u{feff}names\r\n".to_owned(), Some("names")),
        (format!("{}\n", "x".repeat(4000)), Some("xxxxx")),
        (format!("{}\n", "x".repeat(4001)), None),
        ("\n".to_owned(), Some("")),
    ] {
        let folder = Folder::new();
        folder.write("a.log", &first);
        assert_eq!(head(&mut folder.open()).is_some(), want.is_some());
        folder.append("a.log", "a line\n");
        let found = head(&mut folder.open());
        assert_eq!(found.as_deref().map(|head| &head[..head.len().min(5)]), want);
    }
    let folder = Folder::new();
    folder.write("a.log", "names of fields\n");
    folder.open();
    folder.append("a.log", "a line\n");
    assert_eq!(head(&mut folder.open_with(|c| c.line_limit = 10)), None, "a line that is cut is no head");
}
