use super::*;

/// Lines that do not compress to nothing.
fn text(lines: u32) -> Vec<u8> {
    (0..lines).flat_map(|i| format!("{i} {:08x}\n", i.wrapping_mul(2_654_435_761)).into_bytes()).collect()
}

/// The records before the mark, and the mark.
fn split_mark(mut got: Vec<Got>) -> (Vec<Got>, Got) {
    let mark = got.pop().expect("a mark");
    assert!(mark.is_cut(), "{}", mark.text());
    assert!(got.iter().all(|r| !r.is_cut()), "one mark only");
    (got, mark)
}

#[test]
fn a_cut_off_file_gives_what_it_holds_and_a_mark() {
    let content = text(20_000);
    for (name, whole) in [("gzip", gzip(&content)), ("zstd", zstd(&content))] {
        let folder = Folder::new();
        folder.write("a.log", &whole[..whole.len() - 9]);
        folder.write("b.log", "after\n");
        let mut got = all(&mut folder.open());
        assert_eq!(got.pop().map(|r| r.text()).as_deref(), Some("0:1/0 after"), "the next file is read");
        let (lines, mark) = split_mark(got);
        let want: Vec<&[u8]> = content.split(|b| *b == b'\n').collect();
        assert!(lines.len() > 10_000, "{name}: {} lines", lines.len());
        assert!(lines.iter().zip(want).all(|(r, w)| r.payload == w), "{name}");
        assert_eq!(mark.offset, lines.len() as i64, "the mark is the record after the last");
        let said = mark.text();
        assert!(said.contains("a.log: ") && said.contains(&format!("{name} data is damaged or incomplete")), "{said}");
    }
}

#[test]
fn wrong_bytes_end_a_file_the_same_way_each_time() {
    let content = text(20_000);
    for (name, mut bytes) in [("gzip", gzip(&content)), ("zstd", zstd(&content)), ("tail", gzip(&content))] {
        let at = if name == "tail" { bytes.len() - 2 } else { bytes.len() / 2 };
        bytes[at] ^= 0x55;
        let folder = Folder::new();
        folder.write("a.log", &bytes);
        let first = all(&mut folder.open());
        assert_eq!(all(&mut folder.open_with(|c| c.chunk_bytes = 777)), first, "{name}");
        for position in [1, first.len() as i64 - 1, first.len() as i64] {
            let mut worker = folder.open();
            worker.seek(&positions(&worker, &[(0, position)])).expect("known");
            let rest = drain(&mut worker, &mut BTreeMap::from([(0, position)])).expect("reads");
            assert_eq!(rest, first[position as usize..], "{name} from {position}");
        }
    }
}

#[test]
fn what_follows_a_gzip_member_and_is_none_is_marked() {
    let folder = Folder::new();
    folder.write("a.log", [gzip(b"x\ny\n").as_slice(), b"trailing garbage"].concat());
    let (lines, mark) = split_mark(all(&mut folder.open()));
    assert_eq!(texts(&lines), ["0:0/0 x", "0:0/1 y"]);
    assert!(mark.text().contains("what follows its first 4 bytes was not read"), "{}", mark.text());
}

#[test]
fn the_line_under_way_stands_in_the_mark() {
    let folder = Folder::new();
    folder.write("a.log", [gzip(b"x\nhalf a li").as_slice(), b"garbage"].concat());
    let (_, mark) = split_mark(all(&mut folder.open()));
    assert!(mark.text().ends_with("\nhalf a li"), "{}", mark.text());
    let folder = Folder::new();
    folder.write("a.log", [gzip(b"x\nhalf a li").as_slice(), b"garbage"].concat());
    let (_, mark) = split_mark(all(&mut folder.open_with(|c| c.line_limit = 20)));
    assert_eq!(mark.payload.len(), 20);
}

#[test]
fn a_bomb_ends_in_one_mark() {
    let zeros = vec![0; 1 << 20];
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&zeros).expect("compressed");
    let member = encoder.finish().expect("compressed");
    let bombs = [("gzip", member.repeat(96)), ("zstd", zstd(&zeros).repeat(96))];
    for (name, bytes) in bombs {
        let folder = Folder::new();
        folder.write("a.log", &bytes);
        let (lines, mark) = split_mark(all(&mut folder.open()));
        assert!(lines.is_empty() && bytes.len() < 2 << 20, "{name}");
        assert_eq!(mark.payload.len(), 1 << 20, "{name}: no more than the line limit is held");
        let said = String::from_utf8_lossy(&mark.payload[..400]).into_owned();
        let limit = (64u64 << 20).max(bytes.len() as u64 * 200);
        assert!(said.contains("expands to more than 200 times"), "{said}");
        assert!(said.contains(&format!("its first {limit} bytes")), "{said}");
    }
}

#[test]
fn a_small_file_of_equal_lines_is_no_bomb() {
    let folder = Folder::new();
    folder.write("a.log", zstd(&b"the same line\n".repeat(100_000)));
    let got = all(&mut folder.open());
    assert_eq!(got.len(), 100_000);
    assert!(got.iter().all(|r| !r.is_cut()));
}

#[test]
fn a_zstd_window_beyond_the_limit_is_marked() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(27).expect("a window");
    encoder.include_contentsize(false).expect("set");
    encoder.write_all(b"x\n").expect("compressed");
    let folder = Folder::new();
    folder.write("a.log", encoder.finish().expect("compressed"));
    let (lines, _) = split_mark(all(&mut folder.open()));
    assert!(lines.is_empty());
}

#[test]
fn empty_lines_fill_chunks_too() {
    let folder = Folder::new();
    folder.write("a.log", zstd(&b"\n".repeat(1_000_000)));
    let mut worker = folder.open();
    let mut largest = 0;
    while let Step::Event(event) = worker.step(false).expect("reads") {
        if let SourceEvent::Chunk(chunk) = event {
            largest = largest.max(chunk.bytes());
        }
    }
    assert!(largest <= (1 << 20) + 100, "{largest} bytes in a chunk");
}

#[test]
fn cut_off_anywhere_nothing_panics_and_nothing_is_silent() {
    let content = text(40);
    for whole in [gzip(&content), zstd(&content)] {
        for len in (4..whole.len()).step_by(7) {
            let folder = Folder::new();
            folder.write("a.log", &whole[..len]);
            let (lines, mark) = split_mark(all(&mut folder.open()));
            assert!(lines.len() <= 40, "{len} of {} bytes", whole.len());
            assert!(mark.text().contains("damaged or incomplete"), "{}", mark.text());
        }
    }
}

#[test]
fn a_skippable_zstd_frame_holds_no_records() {
    let folder = Folder::new();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    folder.write("a.log", [&skippable[..], &zstd(b"x\n"), &skippable[..], &zstd(b"y\n")].concat());
    assert_eq!(texts(&all(&mut folder.open())), ["0:0/0 x", "0:0/1 y"]);
}

#[test]
fn bytes_that_only_look_compressed_are_marked_and_names_do_not_count() {
    let folder = Folder::new();
    folder.write("a.log", b"\x1f\x8bno gzip\n");
    folder.write("b.log.gz", "plain text\n");
    folder.write("c.log", b"\xff\xfe\x00 any bytes\n");
    let got = all(&mut folder.open());
    assert!(got[0].is_cut() && got[0].text().contains("gzip data is damaged"), "{}", got[0].text());
    assert_eq!(
        (got[1].text().as_str(), got[2].payload.as_slice()),
        ("0:1/0 plain text", &b"\xff\xfe\x00 any bytes"[..])
    );
}
