use dataflow::time::rfc3339;

use super::*;

#[test]
fn times() {
    for (text, want) in [
        ("2026/11/20 10:04:05", "2026-11-20T10:04:05.000000Z"),
        ("2026-11-20T10:04:05Z", "2026-11-20T10:04:05.000000Z"),
        ("2026-11-20T10:04:05", "2026-11-20T10:04:05.000000Z"),
        ("2026-11-20 10:04:05.5", "2026-11-20T10:04:05.500000Z"),
        ("2026-11-20t10:04:05.1234567z", "2026-11-20T10:04:05.123456Z"),
        ("2026-11-20T10:04:05.123-08:00", "2026-11-20T18:04:05.123000Z"),
        ("2026-11-20T00:04:05+0530", "2026-11-19T18:34:05.000000Z"),
        ("2026-11-20T10:04:05+01", "2026-11-20T09:04:05.000000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ("1632429379", "2021-09-23T20:36:19.000000Z"),
        ("1632429379.25", "2021-09-23T20:36:19.250000Z"),
        ("1632429379123", "2021-09-23T20:36:19.123000Z"),
        ("1632429379123456", "2021-09-23T20:36:19.123456Z"),
        ("0", "1970-01-01T00:00:00.000000Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ] {
        assert_eq!(time(text).map(rfc3339).as_deref(), Some(want), "{text}");
    }
}

#[test]
fn what_is_no_time() {
    for text in [
        "",
        "-",
        "...",
        "1.",
        "-1",
        "12:00",
        "2026-11-20",
        "2026-11-20T10:04",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T10:60:05Z",
        "2026-11-20T10:04:61Z",
        "2026-11-20T10:04:05.Z",
        "2026-11-20T10:04:05X",
        "2026-11-20T10:04:05+1",
        "2026-11-20T10:04:05+16:00",
        "2026-11-20T10:04:05+01:60",
        "2026/11-20 10:04:05",
        "2026-11-20X10:04:05",
        "2026-11-20T10.04.05",
        "123456789012",
        "12345678901234567",
        "1632429379123.5",
        "2026-1é-20T10:04:05Z",
        "2026-11-20T10:04:05.1234567890123456789Z",
    ] {
        assert_eq!(time(text), None, "{text}");
    }
}

#[test]
fn addresses() {
    for (text, want) in [
        ("192.0.2.1", Some("192.0.2.1")),
        ("0.0.0.0", Some("0.0.0.0")),
        ("2001:DB8:0:0:0:0:0:1", Some("2001:db8::1")),
        ("::", Some("::")),
        ("::ffff:192.0.2.7", Some("192.0.2.7")),
        ("::FFFF:C000:207", Some("192.0.2.7")),
        ("192.0.2.256", None),
        ("192.0.02.1", None),
        ("192.0.2.1:80", None),
        ("fe80::1%eth0", None),
        ("XXX.XXX.XXX.XXX", None),
        ("", None),
    ] {
        assert_eq!(ip(text).map(|i| i.to_string()).as_deref(), want, "{text}");
    }
}

#[test]
fn mac_addresses() {
    for (text, want) in [
        ("00:1B:44:11:3a:b7", Some("00:1b:44:11:3a:b7")),
        ("00-1b-44-11-3a-b7", Some("00:1b:44:11:3a:b7")),
        ("001b44113ab7", Some("00:1b:44:11:3a:b7")),
        ("00:1b:44:11:3a", None),
        ("00:1b:44:11:3a:g7", None),
        ("00.1b.44.11.3a.b7", None),
        ("001b44113abé", None),
        ("", None),
    ] {
        let mut out = String::from("left over");
        assert_eq!(mac(text, &mut out).then_some(out.as_str()), want, "{text}");
    }
}

#[test]
fn integers() {
    for (text, want) in [
        ("0", Some(0)),
        ("-7", Some(-7)),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("007", None),
        ("+7", None),
        ("1.0", None),
        ("1e3", None),
        ("-", None),
        ("", None),
        ("0x10", None),
    ] {
        assert_eq!(integer(text), want, "{text}");
    }
}

#[test]
fn users() {
    for (text, want) in [
        (r"corp\ann", (Some("corp"), "ann")),
        ("ann@corp.example", (None, "ann@corp.example")),
        ("ann", (None, "ann")),
        (r"\ann", (None, r"\ann")),
        (r"corp\", (None, r"corp\")),
        (r"a\b\c", (None, r"a\b\c")),
        ("", (None, "")),
    ] {
        assert_eq!(split_user(text), want, "{text}");
    }
}

#[test]
fn urls() {
    let parts = |scheme, host, port, path, query| UrlParts { scheme, host, port, path, query };
    for (text, want) in [
        ("www.example.com/a/b?q=1", parts(None, Some("www.example.com"), None, Some("/a/b"), Some("q=1"))),
        ("https://www.example.com:8443/", parts(Some("https"), Some("www.example.com"), Some(8443), Some("/"), None)),
        ("example.com?x=http://y", parts(None, Some("example.com"), None, None, Some("x=http://y"))),
        ("[2001:db8::1]:443/a", parts(None, Some("[2001:db8::1]"), Some(443), Some("/a"), None)),
        ("[2001:db8::1]/a", parts(None, Some("[2001:db8::1]"), None, Some("/a"), None)),
        ("example.com:99999/", parts(None, Some("example.com:99999"), None, Some("/"), None)),
        ("/", parts(None, None, None, Some("/"), None)),
        ("", UrlParts::default()),
    ] {
        assert_eq!(url(text), want, "{text}");
    }
}

#[test]
fn times_with_the_name_of_their_month() {
    for (text, want) in [
        ("Nov 20 2026 10:00:00 GMT", Some("2026-11-20T10:00:00Z")),
        ("Nov 20 2026 10:00:00", Some("2026-11-20T10:00:00Z")),
        ("Feb 29 2028 23:59:60 UTC", Some("2028-03-01T00:00:00Z")),
        ("Feb 29 2026 10:00:00 GMT", None),
        ("Nov 0 2026 10:00:00", None),
        ("Nov 20 26 10:00:00", None),
        ("Nov 20 2026 24:00:00", None),
        ("Nov 20 2026 10:00", None),
        ("Nov 20 2026 10:00:00 CET", None),
        ("Nov 20 2026 10:00:00 GMT more", None),
        ("November 20 2026 10:00:00", None),
        ("Nov", None),
    ] {
        assert_eq!(time(text), want.and_then(time), "{text}");
        assert!(want.is_none() || time(text).is_some(), "{text}");
    }
}

#[test]
fn yes_and_no() {
    for (text, want) in
        [("true", Some(true)), ("YES", Some(true)), ("0", Some(false)), ("No", Some(false)), ("on", None)]
    {
        assert_eq!(boolean(text), want, "{text}");
    }
}

#[test]
fn addresses_with_ports() {
    for (text, want) in [
        ("192.0.2.1", ("192.0.2.1", "")),
        ("192.0.2.1:80", ("192.0.2.1", "80")),
        ("192.0.2.1/80", ("192.0.2.1", "80")),
        ("192.0.2.1(80)", ("192.0.2.1", "80")),
        ("[2001:db8::1]:80", ("2001:db8::1", "80")),
        ("[2001:db8::1]", ("2001:db8::1", "")),
        ("2001:db8::1/80", ("2001:db8::1", "80")),
        ("2001:db8::1:80", ("2001:db8::1:80", "")),
        ("host:80", ("host:80", "")),
        (":80", (":80", "")),
        ("", ("", "")),
    ] {
        assert_eq!(endpoint(text), want, "{text}");
    }
}

#[test]
fn addresses_of_mail() {
    for (text, want) in [
        ("ann@example.com", true),
        ("a.b+c'd@x-1.mail.example.com", true),
        ("a,b@c.d", true),
        ("a@b@c.d", false),
        ("ä@b.c", false),
        ("system:serviceaccount:shop:web", false),
        ("ann@localhost", false),
        ("@example.com", false),
        ("ann@.com", false),
        ("ann@example.", false),
        ("a n@example.com", false),
        ("", false),
    ] {
        assert_eq!(is_email(text), want, "{text}");
    }
}
