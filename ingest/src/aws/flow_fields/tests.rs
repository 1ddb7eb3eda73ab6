use super::*;

fn fields(names: &str) -> Result<FlowFields, FlowFieldsError> {
    names.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>().try_into()
}

#[test]
fn the_default_format_is_version_2() {
    let text = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
    assert_eq!(FlowFields::default().to_string(), text);
    assert_eq!(fields(text), Ok(FlowFields::default()));
    assert_eq!(NAMES.len(), 42);
    assert_eq!(fields(&NAMES.join(" ")).map(|f| f.names().len()), Ok(42));
}

#[test]
fn lists_that_describe_no_flow_log() {
    for (names, want) in [
        ("start scraddr", "\"scraddr\" is not a field of a VPC flow log"),
        ("start srcaddr start", "\"start\" stands twice"),
        ("srcaddr dstaddr", "neither start nor end is among the fields: no record would have a time"),
        ("", "neither start nor end is among the fields: no record would have a time"),
    ] {
        assert_eq!(fields(names).map_err(|e| e.to_string()), Err(want.to_owned()), "{names}");
    }
}

#[test]
fn lines_that_are_flows() {
    let shapes = FlowFields::default().shapes();
    for (line, want) in [
        ("2 111122223333 eni-0a1b 10.0.1.5 198.51.100.7 49152 443 6 10 840 1795168740 1795168800 ACCEPT OK", true),
        ("2 unknown eni-0a1b 2001:db8::1 2001:db8::2 0 0 58 1 64 1795168740 1795168800 REJECT OK", true),
        ("2 111122223333 eni-0a1b - - - - - - - 1795168740 1795168800 - NODATA", true),
        ("2 111122223333 eni-0a1b - - - - - - - 1795168740 1795168800 - NOTHING", false),
        ("2 111122223333 eni-0a1b 10.0.1.5 198.51.100.7 49152 443 6 10 840 1795168740 1795168800 ACCEPT", false),
        ("2 111122223333 eni-0a1b 10.0.1.5 198.51.100.7 49152 443 6 10 840 1795168740 1795168800 ACCEPT OK 1", false),
        ("2 1111 eni-0a1b 10.0.1.5 198.51.100.7 49152 443 6 10 840 1795168740 1795168800 ACCEPT OK", false),
        ("2 111122223333 eth0 10.0.1.5 198.51.100.7 49152 443 6 10 840 1795168740 1795168800 ACCEPT OK", false),
        ("2 111122223333 eni-0a1b ten 198.51.100.7 49152 443 6 10 840 1795168740 1795168800 ACCEPT OK", false),
        ("- - - - - - - - - - - - - -", false),
        ("a line of text with as many words as there are fields in the log", false),
        ("", false),
    ] {
        assert_eq!(is_flow(line, &shapes), want, "{line}");
    }
}

#[test]
fn a_flow_of_few_fields_needs_values_that_tell() {
    let shapes = fields("end region az-id").expect("right").shapes();
    assert!(!is_flow("1795168800 us-east-1 use1-az1", &shapes));
    let shapes = fields("srcaddr end bytes vpc-id").expect("right").shapes();
    assert!(is_flow("10.0.1.5 1795168800 840 -", &shapes));
    assert!(!is_flow("10.0.1.5 1795168800 840 subnet-1", &shapes));
}

#[test]
fn lines_that_are_headers() {
    for (line, want) in [
        (
            "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status",
            true,
        ),
        ("start srcaddr", true),
        ("start", false),
        ("version region", false),
        ("start of the action", false),
        ("Start End", false),
        ("", false),
    ] {
        assert_eq!(is_header(line), want, "{line}");
    }
}
