use super::*;

#[test]
fn the_host_of_a_header() {
    for (text, host) in [
        ("", None),
        ("<14>", None),
        ("<14>Nov 20 10:00:00 fw-1 ", Some("fw-1")),
        ("<14>Nov 20 10:00:00 10.0.0.1", Some("10.0.0.1")),
        ("Nov 20 10:00:00 ", None),
        ("<14>1 2026-11-20T10:00:00Z fw-1 app - - -", Some("fw-1")),
        ("<14>1 2026-11-20T10:00:00Z - - - - -", None),
        ("<14>1 ", None),
        ("<14", Some("<14")),
        ("relay Nov 20 10:00:00 fw-1", Some("fw-1")),
    ] {
        let want = host.filter(|h| !h.starts_with('<'));
        assert_eq!(header(text).host, want, "{text}");
    }
}
