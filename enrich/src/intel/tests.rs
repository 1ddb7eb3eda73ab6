use std::io::Write;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;

use super::*;
use crate::testing::{batch, texts};

/// The lists as files, loaded in order.
fn load(lists: &[&str]) -> Result<Intel, EnrichError> {
    let dir = tempfile::tempdir().expect("a folder");
    let sources: Vec<TableSource> = (0..)
        .zip(lists)
        .map(|(i, list)| {
            let path = dir.path().join(format!("{i}.csv"));
            File::create(&path).and_then(|mut f| f.write_all(list.as_bytes())).expect("written");
            TableSource::File(path)
        })
        .collect();
    Intel::load(&sources)
}

fn look_up(intel: &mut Intel, ip: &str) -> Option<(String, i32)> {
    let columns = intel.enrich(&batch(&[(None, Some(ip))]));
    assert_eq!((columns[0].null_count(), columns[2].null_count()), (1, 1), "there is no source address");
    let confidence = columns[3].as_primitive::<Int32Type>().iter().next().flatten();
    texts(&columns[1]).remove(0).zip(confidence)
}

#[test]
fn addresses_and_networks_match_and_the_longest_prefix_counts() {
    let mut intel = load(&[concat!(
        "ip,category,confidence\n",
        "192.0.2.0/24,scanner,50\n",
        "192.0.2.8/29,phishing,60\n",
        "192.0.2.9,c2,99\n",
        "198.51.100.77/16,malware,0\n",
        "2001:db8::/32,tor-exit,70\n",
        "2001:db8::5,c2,100\n",
        "::ffff:203.0.113.1,malware,80\n",
    )])
    .expect("valid");
    for (ip, want) in [
        ("192.0.2.1", Some(("scanner", 50))),
        ("192.0.2.8", Some(("phishing", 60))),
        ("192.0.2.9", Some(("c2", 99))),
        ("::ffff:192.0.2.9", Some(("c2", 99))),
        ("192.0.3.1", None),
        ("198.51.0.1", Some(("malware", 0))),
        ("2001:db8::5", Some(("c2", 100))),
        ("2001:db8::6", Some(("tor-exit", 70))),
        ("2001:db9::6", None),
        ("203.0.113.1", Some(("malware", 80))),
        ("192.0.2.9 ", None),
    ] {
        assert_eq!(look_up(&mut intel, ip), want.map(|(c, n)| (c.to_owned(), n)), "{ip}");
    }
    assert_eq!((intel.len(), intel.is_empty(), intel.matches()), (7, false, 8));
}

#[test]
fn of_equal_indicators_the_most_certain_counts_then_the_first() {
    let mut intel = load(&[
        "ip,category,confidence\n192.0.2.1,first,60\n192.0.2.1,later,60\n192.0.2.2,weak,10\n",
        "confidence,ip,category\n90,192.0.2.2,strong\n10,192.0.2.1,weak\n",
    ])
    .expect("valid");
    assert_eq!(look_up(&mut intel, "192.0.2.1"), Some(("first".to_owned(), 60)));
    assert_eq!(look_up(&mut intel, "192.0.2.2"), Some(("strong".to_owned(), 90)));
}

#[test]
fn lists_as_feeds_write_them() {
    let mut intel = load(&[concat!(
        "\u{feff}# a feed\r\n",
        "\r\n",
        "first_seen , IP, \"Category\",Confidence,note\r\n",
        "2026-01-01, 192.0.2.1 ,\"say \"\"c2\"\"\" , 75 ,\"a, b\"\r\n",
        "# a comment\r\n",
        ",192.0.2.2,scanner,5",
    )])
    .expect("valid");
    assert_eq!(look_up(&mut intel, "192.0.2.1"), Some(("say \"c2\"".to_owned(), 75)));
    assert_eq!(look_up(&mut intel, "192.0.2.2"), Some(("scanner".to_owned(), 5)));
}

#[test]
fn a_wrong_line_is_named_by_file_and_line() {
    let head = "ip,category,confidence\n";
    for (list, want) in [
        ("", ".csv:1: the first line has to be a header"),
        ("# only comments\n", ".csv:2: the first line has to be a header"),
        ("192.0.2.1,c2,50\n", ".csv:1: the first line has to be a header"),
        ("ip,category\n", ".csv:1: the first line has to be a header"),
        (&format!("{head}192.0.2.1,c2,50\n\n192.0.2,c2,50\n"), ".csv:4: \"192.0.2\" is not an address"),
        (&format!("{head}192.0.2.0/33,c2,50\n"), ".csv:2: \"192.0.2.0/33\" is not an address"),
        (&format!("{head}192.0.2.1,c2,101\n"), ".csv:2: confidence \"101\" is not a number from 0 to 100"),
        (&format!("{head}192.0.2.1,c2,high\n"), ".csv:2: confidence \"high\""),
        (&format!("{head}192.0.2.1,,50\n"), ".csv:2: the line has no category"),
        (&format!("{head}192.0.2.1,c2\n"), ".csv:2: the line has no confidence"),
        (&format!("{head}192.0.2.1,\"c2,50\n"), ".csv:2: a quoted field does not end"),
        (&format!("{head}192.0.2.1,\"c2\"x,50\n"), ".csv:2: \"x,50\" follows a quoted field"),
        (&format!("{head}{}\n", "9".repeat(70_000)), ".csv:2: the line is longer than 65536 bytes"),
    ] {
        let error = load(&[list]).expect_err(list).to_string();
        assert!(error.contains(want), "{error} lacks {want}");
    }
    let error = Intel::load(&[TableSource::File("/no/such.csv".into())]).expect_err("no such file");
    assert!(error.to_string().contains("/no/such.csv"), "{error}");
}

#[test]
fn the_version_is_the_content_of_all_lists() {
    let (a, b) = ("ip,category,confidence\n192.0.2.1,c2,50\n", "ip,category,confidence\n192.0.2.1,c2,51\n");
    let version = |lists: &[&str]| load(lists).expect("valid").version().to_owned();
    assert_eq!(version(&[a]), version(&[a]));
    assert_ne!(version(&[a]), version(&[b]));
    assert_ne!(version(&[a]), version(&[a, a]));
}

#[test]
fn more_categories_than_keys_is_an_error_at_its_line() {
    let mut list = "ip,category,confidence\n".to_owned();
    for i in 0..=65_536u32 {
        list.push_str(&format!("192.0.2.1,c{i},1\n"));
    }
    let error = load(&[&list]).expect_err("one too many").to_string();
    assert!(error.contains(".csv:65538: more than 65,536 different categories"), "{error}");
}

#[test]
fn the_builtin_list_is_the_one_of_the_demo() {
    let mut intel = Intel::load(&[TableSource::Builtin]).expect("valid");
    assert_eq!(intel.len(), 200);
    assert_eq!(look_up(&mut intel, "198.19.7.15"), Some(("c2".to_owned(), 50)));
    assert_eq!(look_up(&mut intel, "198.18.7.15"), None);
}

#[test]
fn a_list_that_is_no_text_is_an_error_and_never_a_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("list.csv");
    for (bytes, want) in [
        (b"ip,category,confidence\n\xff\xfe,c2,50\n".as_slice(), "list.csv:2: not UTF-8 at byte 0"),
        (b"\x1f\x8b\x08\x00".as_slice(), "list.csv:1: not UTF-8 at byte 1"),
        (b"ip;category;confidence\n".as_slice(), "list.csv:1: the first line has to be a header"),
    ] {
        std::fs::write(&path, bytes).expect("written");
        let error = Intel::load(&[TableSource::File(path.clone())]).expect_err(want).to_string();
        assert!(error.contains(want), "{error} lacks {want}");
    }
}
