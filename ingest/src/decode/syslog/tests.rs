use super::*;

#[test]
fn the_host_of_a_header() {
    for (text, host) in [
        ("", None),
        ("<14>", None),
        ("<14>Nov 20 10:00:00 fw-1 ", Some("fw-1")),
        ("<14>Nov 20 10:00:00 10.0.0.1", Some("10.0.0.1")),
        ("<14>Nov 20 10:00:00 2001:db8::1 ", Some("2001:db8::1")),
        ("<14>Nov 20 2026 10:00:00 fw-1 ", Some("fw-1")),
        ("<14>Nov  2 10:00:00 fw-1 logd[77]: ", Some("fw-1")),
        ("<14> Nov 20 10:00:00 fw-1 ", Some("fw-1")),
        ("<14>2026-11-20T10:00:00.5+01:00 fw-1 ", Some("fw-1")),
        ("Nov 20 10:00:00 ", None),
        ("fw-1 ", Some("fw-1")),
        ("<14>1 2026-11-20T10:00:00Z fw-1 app - - -", Some("fw-1")),
        ("<14>1 2026-11-20T10:00:00Z - - - - -", None),
        ("<14>1 2026-11-20T10:00:00Z fw-1 - 77 - [x@1 a=\"b <c> d\" e=\"f\"]", Some("fw-1")),
        ("Nov 20 10:00:01 relay 894 <142>1 2026-11-20T10:00:00Z fw-1 logd - x -", Some("fw-1")),
        ("<14>1 ", None),
        ("<14", None),
        ("relay Nov 20 10:00:00 fw-1", Some("fw-1")),
        ("Nov 20 10:00:01 10.0.0.9 Nov 20 10:00:00 fw-1", Some("fw-1")),
    ] {
        assert_eq!(header(text).host, host, "{text}");
    }
}

/// Kind, time, host, app, process, message id, Cisco's mark and message.
fn parsed(line: &str) -> (String, String) {
    let p = parse(line);
    let mark = [p.facility, p.severity, p.mnemonic].join("-");
    let parts = [p.time, p.host, p.app, p.process, p.message_id, mark.trim_matches('-'), &line[p.message..]];
    (format!("{:?}", p.kind).to_lowercase(), parts.join("|"))
}

#[test]
fn headers_of_every_kind() {
    for (line, kind, want) in [
        ("a=1 b=2", "none", "||||||a=1 b=2"),
        ("<111>date=1 time=2", "priority", "||||||date=1 time=2"),
        ("<111> Nov 22 07:00:00 fw1 date=1", "rfc3164", "Nov 22 07:00:00|fw1|||||date=1"),
        ("<13>Nov  2 07:00:00 fw1 app[77]: text: it", "rfc3164", "Nov  2 07:00:00|fw1|app|77|||text: it"),
        ("Nov 22 07:00:00 app: hello", "rfc3164", "Nov 22 07:00:00||app||||hello"),
        ("Nov 22 07:00:00 192.0.2.1 CEF:0|v|p", "rfc3164", "Nov 22 07:00:00|192.0.2.1|||||CEF:0|v|p"),
        ("Nov 22 07:00:00 k=v a=b", "rfc3164", "Nov 22 07:00:00||||||k=v a=b"),
        ("2026-11-20T10:00:00.5Z fw1 app: x", "rfc3164", "2026-11-20T10:00:00.5Z|fw1|app||||x"),
        (
            "<166>Nov 20 2026 10:00:00 fw1 : %ASA-6-302013: Built",
            "rfc3164",
            "Nov 20 2026 10:00:00|fw1||||ASA-6-302013|Built",
        ),
        ("<166>Nov 20 2026 10:00:00: %FTD-session-6-302013: B", "rfc3164", "Nov 20 2026 10:00:00|||||FTD-6-302013|B"),
        ("<166>:Nov 20 10:00:00 UTC: %ASA-5-1: B", "rfc3164", "Nov 20 10:00:00 UTC|||||ASA-5-1|B"),
        (
            "<189>*Mar  1 18:48:50.483 UTC: %SYS-5-CONFIG_I: C",
            "rfc3164",
            "Mar  1 18:48:50.483 UTC|||||SYS-5-CONFIG_I|C",
        ),
        ("<166>%ASA-6-302013: Built", "priority", "|||||ASA-6-302013|Built"),
        ("<34>1 2026-11-20T10:00:00.003Z h app 7 ID47 - hi", "rfc5424", "2026-11-20T10:00:00.003Z|h|app|7|ID47||hi"),
        ("<34>1 2026-11-20 10:00:00 h app 7 - - hi", "rfc5424", "2026-11-20 10:00:00|h|app|7|||hi"),
        (r#"<34>1 - h - - - [a@1 k="v]\"" b="1"][c] hi"#, "rfc5424", "|h|||||hi"),
        ("<134>1 1795168800.641 MX84 flows src=1", "meraki", "1795168800.641|MX84|flows||||src=1"),
        ("<134>1795168800.641 MX84 urls src=1", "meraki", "1795168800.641|MX84|urls||||src=1"),
        ("1795168800.641 and More", "none", "||||||1795168800.641 and More"),
        ("<134>1 1795168800 AP_1 a=1", "meraki", "1795168800|AP_1|||||a=1"),
        (
            "<134>Nov 20 10:00:00 10.0.0.9 1 1795168800.641 MX84 ids-alerts signature=1:2:3",
            "meraki",
            "1795168800.641|MX84|ids-alerts||||signature=1:2:3",
        ),
        (
            r#"<14>Nov 20 10:00:00 relay 1 2026-11-20T09:59:58Z srx1 RT_FLOW - ID [a b="1"] hi"#,
            "rfc5424",
            "2026-11-20T09:59:58Z|srx1|RT_FLOW||ID||hi",
        ),
        (
            "<166>Nov 20 10:00:00 relay Nov 20 2026 09:59:58 fw1 : %ASA-6-1: B",
            "rfc3164",
            "Nov 20 2026 09:59:58|fw1||||ASA-6-1|B",
        ),
        ("2026-11-20 10:00:00 TLS: 192.0.2.1 hello", "file", "2026-11-20 10:00:00||||||TLS: 192.0.2.1 hello"),
        ("2026-11-20 10:00:00,5 x", "file", "2026-11-20 10:00:00,5||||||x"),
        ("2026-11-20 soon x", "none", "||||||2026-11-20 soon x"),
        ("Fri Nov 20 10:00:00 2026 x y", "file", "Nov 20 10:00:00 2026||||||x y"),
        ("Fri Nov 20 10:00:00 x y", "none", "||||||Fri Nov 20 10:00:00 x y"),
        ("<189>4711: Nov 20 10:00:00 GMT: %ADJ-3-R: F", "rfc3164", "Nov 20 10:00:00 GMT|||||ADJ-3-R|F"),
        ("<189>4711: sw1: *Nov 20 10:00:00: %ADJ-3-R: F", "rfc3164", "Nov 20 10:00:00|sw1||||ADJ-3-R|F"),
        ("<189>4711: hello", "priority", "||||||4711: hello"),
        ("<166>1Z fw1 : %ASA-3-710003: TCP", "priority", "|fw1||||ASA-3-710003|TCP"),
        ("a 5 %-8-X of b", "none", "||||||a 5 %-8-X of b"),
        (
            "<9>Nov 20 10:00:00 s1 %LOG_LOCAL0-2-SYSTEM_MSG [F1] x",
            "rfc3164",
            "Nov 20 10:00:00|s1||||LOG_LOCAL0-2-SYSTEM_MSG|[F1] x",
        ),
        ("<9>%MGBL-SYS-5-CONFIG_I : x", "priority", "|||||MGBL-5-CONFIG_I|x"),
        ("<34>1 yesterday h app 7 ID47 - hi", "priority", "||||||1 yesterday h app 7 ID47 - hi"),
        ("<999999>x", "none", "||||||<999999>x"),
        ("", "none", "||||||"),
    ] {
        assert_eq!(parsed(line), (kind.to_owned(), want.to_owned()), "{line}");
    }
}

#[test]
fn structured_data_end_at_their_last_bracket() {
    let line = r#"<34>1 - h - - - [a@1 k="v]\"" b="1"][c] hi"#;
    let (start, end) = parse(line).data;
    assert_eq!(&line[start..end], r#"[a@1 k="v]\"" b="1"][c]"#);
}

#[test]
fn times_of_headers() {
    let received = values::time("2026-11-20T10:00:00Z").expect("a time");
    for (text, want) in [
        ("Nov 20 09:59:58", "2026-11-20T09:59:58Z"),
        ("Nov  2 09:59:58.25", "2026-11-02T09:59:58.25Z"),
        ("Nov 20 2025 09:59:58 UTC", "2025-11-20T09:59:58Z"),
        ("Nov 20 09:59:58 2025", "2025-11-20T09:59:58Z"),
        ("Dec 31 23:59:59", "2025-12-31T23:59:59Z"),
        ("Nov 21 09:59:59", "2026-11-21T09:59:59Z"),
        ("Jan  1 00:00:00", "2026-01-01T00:00:00Z"),
        ("2026-11-20T09:59:58+01:00", "2026-11-20T09:59:58+01:00"),
    ] {
        assert_eq!(time(text, received), values::time(want), "{text}");
    }
    let new_year = values::time("2027-01-01T00:00:05Z").expect("a time");
    assert_eq!(time("Dec 31 23:59:59", new_year), values::time("2026-12-31T23:59:59Z"));
    assert_eq!([time("Nov 40 10:00:00", received), time("Nov 20", received), time("", received)], [None; 3]);
    let years = ["Nov 20 24294967296 10:00:00", "Nov 20 10000 10:00:00", "Nov 20 2026 10:00:00.-1"];
    assert_eq!(years.map(|text| time(text, received)), [None; 3]);
}

proptest::proptest! {
    #![proptest_config(crate::decode::tests::cases(512))]

    #[test]
    fn any_line_has_a_message(line in "(<13>)?(1 )?[A-Za-z0-9:\\[\\]\"\\\\% .é-]{0,60}", head in "(Nov 20 10:00:00 )?") {
        let line = format!("{head}{line}");
        let found = parse(&line);
        proptest::prop_assert!(line.get(found.message..).is_some());
    }
}

proptest::proptest! {
    #![proptest_config(crate::decode::tests::cases(512))]

    /// The usual header is read at fixed places, to the same end.
    #[test]
    fn the_usual_host_is_any_host(
        text in "<[0-9]{1,3}>(Nov|1 x|N v|[a-zA-Z]{3}) [ 0-9<][0-9] [0-9:]{2}:[0-9]{2}:[0-9]{2} [a-zA-Z0-9:.<> é]{1,12} ?",
    ) {
        if let Some(host) = usual_host(&text) {
            proptest::prop_assert_eq!(host, any_host(&text), "{:?}", text);
        }
    }
}

#[test]
fn the_usual_header_is_read_at_fixed_places() {
    for (text, want) in [
        ("<14>Nov 20 09:58:01 fw-1 ", Some(Some("fw-1"))),
        ("<190>Nov  2 09:58:01 192.0.2.1 ", Some(Some("192.0.2.1"))),
        ("<14>Nov 20 09:58:01 09:58:02 ", Some(None)),
        ("<14>Nov 20 09:58:01 fw-1", None),
        ("<14>Nov 20 09:58:01 fw-1 tag: ", None),
        ("<14>Nov 20 09:58:01  ", None),
        ("<1411>Nov 20 09:58:01 fw-1 ", None),
        ("", None),
    ] {
        assert_eq!(usual_host(text), want, "{text}");
    }
}
