use super::*;
use crate::testing::NOW;

/// The lists, loaded in order; a text that begins with a brace is a bundle.
fn load_all(lists: &[&str]) -> Result<Content, String> {
    load_at(lists, NOW)
}

fn load_at(lists: &[&str], now_us: i64) -> Result<Content, String> {
    let input = |(i, list): (usize, &&str)| {
        let (format, end) = if list.starts_with('{') { (Format::Stix, "json") } else { (Format::Csv, "csv") };
        Input { name: format!("{i}.{end}"), format, bytes: list.as_bytes().to_vec() }
    };
    load(lists.iter().enumerate().map(input).collect(), now_us).map_err(|e| e.to_string())
}

/// Category and confidence of a record: `c2 90`, `-` for none.
fn say(columns: &[Column], record: i32) -> String {
    let Ok(record) = usize::try_from(record) else { return "-".to_owned() };
    let [Values::Keywords(category), Values::I32(confidence)] = [&*columns[0].values, &*columns[1].values] else {
        panic!("a category and a confidence")
    };
    format!("{} {}", category.names()[category.ids()[record] as usize], confidence[record])
}

fn of_ip(content: &Content, ip: &str) -> String {
    let lookup = content.addresses.as_ref().expect("indicators of addresses");
    say(&lookup.columns, Address::parse(ip).map_or(NULL, |ip| lookup.index.find("", &ip)))
}

fn of_host(content: &Content, host: &str) -> String {
    let lookup = content.hosts.as_ref().expect("indicators of hosts");
    say(&lookup.columns, lookup.index.find("", host))
}

#[test]
fn addresses_and_networks_match_and_the_surest_counts() {
    let content = load_all(&[concat!(
        "ip,category,confidence\n",
        "192.0.2.0/24,scanner,50\n",
        "192.0.2.8/29,phishing,60\n",
        "192.0.2.9,c2,99\n",
        "192.0.2.10,weak,10\n",
        "192.0.2.11,equal,60\n",
        "198.51.100.77/16,malware,0\n",
        "2001:db8::/32,tor-exit,70\n",
        "2001:db8::5,c2,100\n",
        "::ffff:203.0.113.1,malware,80\n",
    )])
    .expect("valid");
    for (ip, want) in [
        ("192.0.2.1", "scanner 50"),
        ("192.0.2.8", "phishing 60"),
        ("192.0.2.9", "c2 99"),
        ("192.0.2.10", "phishing 60"),
        ("192.0.2.11", "equal 60"),
        ("::ffff:192.0.2.9", "c2 99"),
        ("192.0.3.1", "-"),
        ("198.51.0.1", "malware 0"),
        ("2001:db8::5", "c2 100"),
        ("2001:db8::6", "tor-exit 70"),
        ("2001:db9::6", "-"),
        ("203.0.113.1", "malware 80"),
        ("192.0.2.9 ", "-"),
    ] {
        assert_eq!(of_ip(&content, ip), want, "{ip}");
    }
    assert_eq!(content.entries, 9);
}

#[test]
fn of_equal_indicators_the_surest_counts_then_the_first() {
    let content = load_all(&[
        "ip,category,confidence\n192.0.2.1,first,60\n192.0.2.1,later,60\n192.0.2.2,weak,10\n",
        "confidence,ip,category\n90,192.0.2.2,strong\n10,192.0.2.1,weak\n",
    ])
    .expect("valid");
    assert_eq!([of_ip(&content, "192.0.2.1"), of_ip(&content, "192.0.2.2")], ["first 60", "strong 90"]);
}

#[test]
fn host_names_match_with_what_is_above_them() {
    let content = load_all(&[concat!(
        "domain,category,confidence,ip\n",
        "Evil.example.,c2,90,\n",
        "*.wild.example,phishing,70,\n",
        "weak.evil.example,scam,20,\n",
        "both.example,malware,60,192.0.2.1\n",
        ",scanner,40,192.0.2.0/24\n",
    )])
    .expect("valid");
    for (host, want) in [
        ("evil.EXAMPLE", "c2 90"),
        ("a.b.evil.example.", "c2 90"),
        ("weak.evil.example", "c2 90"),
        ("wild.example", "-"),
        ("x.wild.example", "phishing 70"),
        ("both.example", "malware 60"),
        ("192.0.2.1", "malware 60"),
        ("192.0.2.2", "scanner 40"),
        ("[::ffff:192.0.2.2]", "scanner 40"),
        ("example", "-"),
        ("", "-"),
    ] {
        assert_eq!(of_host(&content, host), want, "{host}");
    }
}

#[test]
fn lists_as_feeds_write_them() {
    let content = load_all(&[concat!(
        "\u{feff}# a feed\r\n",
        "\r\n",
        "first_seen , IP, \"Category\",Confidence,note\r\n",
        "2026-01-01, 192.0.2.1 ,\"say \"\"c2\"\"\" , 75 ,\"a, b\"\r\n",
        "# a comment\r\n",
        ",192.0.2.2,scanner,5",
    )])
    .expect("valid");
    assert_eq!([of_ip(&content, "192.0.2.1"), of_ip(&content, "192.0.2.2")], ["say \"c2\" 75", "scanner 5"]);
}

#[test]
fn a_wrong_line_is_told_with_its_place() {
    let head = "ip,category,confidence\n";
    for (list, want) in [
        ("", "0.csv:1:1: the first line has to be a header of the columns category, confidence, ip, domain"),
        ("# only comments\n", "0.csv:2:1: the first line has to be a header"),
        ("192.0.2.1,c2,50\n", "0.csv:1:1: the first line has to be a header"),
        ("ip;category;confidence\n", "0.csv:1:1: "),
        (
            "ip,category\n",
            "0.csv:1:1: the first line has to be a header of the columns category, confidence, ip, domain; it lacks",
        ),
        (
            "category,confidence\n",
            "0.csv:1:1: the first line has to be a header of the columns category, confidence, ip, domain; it lacks ip or domain",
        ),
        ("ip,catgory,confidence\n", "0.csv:1:4: unknown column `catgory`; did you mean `category`?"),
        (&format!("{head}192.0.2.1,c2,50\n\n192.0.2,c2,50\n"), "0.csv:4:1: \"192.0.2\" is not an address"),
        (&format!("{head}192.0.2.0/33,c2,50\n"), "0.csv:2:1: \"192.0.2.0/33\" is not an address"),
        (&format!("{head}192.0.2.1,c2,101\n"), "0.csv:2:14: confidence \"101\" is not a number from 0 to 100"),
        (&format!("{head}192.0.2.1,c2,high\n"), "0.csv:2:14: confidence \"high\""),
        (&format!("{head}192.0.2.1,,50\n"), "0.csv:2:11: the line has no category"),
        (&format!("{head}192.0.2.1,c2\n"), "0.csv:2:1: the line has no confidence"),
        (&format!("{head},c2,50\n"), "0.csv:2:1: the line has neither ip nor domain"),
        (&format!("{head}192.0.2.1,\"c2,50\n"), "0.csv:2:11: a quoted field does not end"),
        (&format!("{head}192.0.2.1,\"c2\"x,50\n"), "0.csv:2:11: \"x,50\" follows a quoted field"),
        (&format!("{head}{}\n", "9".repeat(70_000)), "0.csv:2:65537: the line is longer than 65536 bytes"),
        ("domain,category,confidence\nhttp://x,c2,5\n", "0.csv:2:1: \"http://x\" is not a host name"),
        ("domain,category,confidence\n192.0.2.1,c2,5\n", "0.csv:2:1: \"192.0.2.1\" is an address; it belongs into"),
    ] {
        let error = load_all(&[list]).err().unwrap_or_else(|| panic!("{list:?} was taken"));
        assert!(error.starts_with(want), "{error}\nlacks {want}");
    }
}

#[test]
fn a_list_that_is_no_text_is_an_error_and_never_a_panic() {
    for (bytes, want) in [
        (b"ip,category,confidence\n\xff\xfe,c2,50\n".as_slice(), "x.csv:2:1: not UTF-8; is it a text file?"),
        (b"\x1f\x8b\x08\x00".as_slice(), "x.csv:1:2: not UTF-8"),
    ] {
        let input = Input { name: "x.csv".to_owned(), format: Format::Csv, bytes: bytes.to_vec() };
        let error = load(vec![input], NOW).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.starts_with(want), "{error} lacks {want}");
    }
}

#[test]
fn more_categories_than_make_sense_is_an_error_at_its_line() {
    let mut list = "ip,category,confidence\n".to_owned();
    for i in 0..=65_536u32 {
        list.push_str(&format!("192.0.2.1,c{i},1\n"));
    }
    let error = load_all(&[&list]).err().unwrap_or_default();
    assert!(error.starts_with("0.csv:65538:11: more than 65,536 different categories"), "{error}");
}

fn bundle(objects: &[&str]) -> String {
    format!(r#"{{"type":"bundle","id":"bundle--1","objects":[{}]}}"#, objects.join(","))
}

fn indicator(id: &str, pattern: &str, more: &str) -> String {
    let pattern = pattern.replace('"', "\\\"");
    format!(
        r#"{{"type":"indicator","spec_version":"2.1","id":"indicator--{id}","created":"2001-01-01T00:00:00Z","pattern":"{pattern}","pattern_type":"stix","valid_from":"2001-01-01T00:00:00.000Z"{more}}}"#
    )
}

#[test]
fn bundles_are_read_beside_lists() {
    let text = bundle(&[
        &indicator(
            "1",
            "[ipv4-addr:value = '192.0.2.1']",
            r#","confidence":80,"indicator_types":["c2"],"labels":["x"]"#,
        ),
        &indicator("2", "[ipv4-addr:value ISSUBSET '192.0.2.0/24']", r#","labels":["scan"]"#),
        &indicator("3", "[domain-name:value = 'evil.example'] OR [url:value = 'http://a.cdn.example/x']", ""),
        r#"{"type":"malware","id":"malware--1","name":"ignored"}"#,
    ]);
    let content = load_all(&["ip,category,confidence\n192.0.2.1,list,79\n192.0.2.2,list,51\n", &text]).expect("valid");
    for (ip, want) in [("192.0.2.1", "c2 80"), ("192.0.2.2", "list 51"), ("192.0.2.3", "scan 50")] {
        assert_eq!(of_ip(&content, ip), want, "{ip}");
    }
    for (host, want) in [
        ("x.evil.example", "unknown 50"),
        ("a.cdn.example", "unknown 50"),
        ("b.a.cdn.example", "-"),
        ("cdn.example", "-"),
    ] {
        assert_eq!(of_host(&content, host), want, "{host}");
    }
    assert_eq!(content.skipped, Skipped::default());
}

#[test]
fn indicators_count_while_they_are_valid() {
    let until = r#","valid_until":"2001-09-10T00:00:00Z""#;
    let text = bundle(&[
        &indicator("1", "[domain-name:value = 'always.example']", ""),
        &indicator("2", "[domain-name:value = 'ends.example']", until),
        &indicator("3", "[domain-name:value = 'begins.example']", "")
            .replace("2001-01-01T00:00:00.000Z", "2001-09-09T12:00:00Z"),
        &indicator("4", "[domain-name:value = 'revoked.example']", r#","revoked":true"#),
        &indicator("5", "[domain-name:value = 'old.example']", r#","modified":"2001-01-02T00:00:00Z""#),
        &indicator("5", "[domain-name:value = 'old.example']", r#","modified":"2001-01-03T00:00:00Z","revoked":true"#),
        &indicator("5", "[domain-name:value = 'old.example']", r#","modified":"2001-01-01T00:00:00Z""#),
    ]);
    let noon = 1_000_036_800_000_000; // 2001-09-09T12:00:00Z
    let midnight = 1_000_080_000_000_000;
    for (now, valid, since, until) in [
        (NOW, "always ends", 978_307_200_000_000, Some(noon)),
        (noon - 1, "always ends", 978_307_200_000_000, Some(noon)),
        (noon, "always ends begins", noon, Some(midnight)),
        (midnight, "always begins", midnight, None),
    ] {
        let content = load_at(&[&text], now).expect("valid");
        let names = ["always", "ends", "begins", "revoked", "old"];
        let found = names.into_iter().filter(|name| of_host(&content, &format!("{name}.example")) != "-");
        assert_eq!(found.collect::<Vec<_>>().join(" "), valid, "at {now}");
        assert_eq!(content.validity, Validity { since: Some(since), until });
        assert_eq!(content.skipped.count, 0);
    }
}

#[test]
fn what_is_not_understood_is_reported_and_the_rest_counts() {
    let text = bundle(&[
        &indicator("1", "[ipv4-addr:value = '192.0.2.1' AND domain-name:value = 'x.example']", ""),
        &indicator("2", "[file:name = 'x' OR domain-name:value = 'known.example']", ""),
        &indicator("3", "rule x { condition: true }", "").replace(r#""stix""#, r#""yara""#),
        &indicator("4", "[domain-name:value = 'x.example']", r#","confidence":101"#),
        &indicator("5", "[domain-name:value = 'x y']", ""),
        r#"{"type":"indicator","id":"indicator--6"}"#,
        r#"{"type":"indicator"}"#,
        &indicator("8", "[domain-name:value = 'good.example']", ""),
    ]);
    let content = load_all(&[&text]).expect("the file loads");
    assert_eq!([of_host(&content, "known.example"), of_host(&content, "good.example")], ["unknown 50", "unknown 50"]);
    assert_eq!(of_host(&content, "x.example"), "-");
    let wants = [
        "0.json: objects[6]: missing field `id`",
        "0.json: indicator--1: the pattern \"[ipv4-addr:value = '192.0.2.1' AND",
        "0.json: indicator--2: the pattern \"[file:name = 'x' OR",
        "0.json: indicator--3: a pattern of type `yara`",
        "0.json: indicator--4: confidence 101 is not",
        "0.json: indicator--5: \"x y\" is not a host name",
        "0.json: indicator--6: missing field `pattern`",
    ];
    assert_eq!(content.skipped.count, 7);
    for (found, want) in content.skipped.first.iter().zip(wants) {
        assert!(found.starts_with(want), "{found}\nlacks {want}");
    }
}

#[test]
fn a_file_that_is_no_bundle_is_refused() {
    for (text, want) in [
        ("{\n  \"type\": ", "0.json:2:"),
        ("{\"type\": \"indicator\", \"id\": \"x\"}", "0.json:1:1: a STIX `indicator`, not a `bundle`"),
        ("{\"objects\": []}", "0.json:1:15: not a STIX bundle: missing field `type`"),
    ] {
        let error = load_all(&[text]).err().unwrap_or_else(|| panic!("{text} was taken"));
        assert!(error.starts_with(want), "{error}\nlacks {want}");
    }
}
