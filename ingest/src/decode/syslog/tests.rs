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
