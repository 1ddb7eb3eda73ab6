use dataflow::Table;

use super::*;

#[test]
fn activities_end_in_other_and_begin_with_unknown() {
    for table in Table::EVENTS {
        let all = activities(table);
        assert_eq!((all[0], all[all.len() - 1]), ((0, "Unknown"), (99, "Other")), "{table}");
        assert!(all.windows(2).all(|w| w[0].0 < w[1].0), "{table}");
    }
}

#[test]
fn types_are_named_by_class_and_activity() {
    let product = Product { name: "p", vendor: "v" };
    for (table, id, uid, name) in [
        (Table::NetworkActivity, 5, 400_105, "Network Activity: Refuse"),
        (Table::HttpActivity, 3, 400_203, "HTTP Activity: Get"),
        (Table::Authentication, 1, 300_201, "Authentication: Logon"),
        (Table::TunnelActivity, 3, 401_403, "Tunnel Activity: Renew"),
        (Table::ApiActivity, 4, 600_304, "API Activity: Delete"),
        (Table::DetectionFinding, 1, 200_401, "Detection Finding: Create"),
        (Table::BaseEvent, 0, 0, "Base Event: Unknown"),
        (Table::BaseEvent, 99, 99, "Base Event: Other"),
    ] {
        let class = Class::new(table, product, &[]);
        let activity = class.activities.iter().find(|a| a.id == id).expect("an activity");
        assert_eq!((activity.type_uid, activity.type_name.as_str()), (uid, name));
    }
}

#[test]
fn actions_by_their_words() {
    for (word, action, disposition, exact) in [
        ("allow", "Allowed", "Allowed", true),
        ("ALLOW", "Allowed", "Allowed", true),
        ("alert", "Allowed", "Alert", true),
        ("deny", "Denied", "Blocked", true),
        ("drop", "Denied", "Dropped", true),
        ("reset-client", "Denied", "Reset", false),
        ("block-url", "Denied", "Blocked", false),
        ("block-continue", "Denied", "Challenge", false),
        ("sinkhole", "Denied", "Blocked", false),
        ("forward", "Allowed", "Logged", false),
        ("REJECT", "Denied", "Blocked", true),
        ("novel", "novel", "novel", true),
        ("", "Unknown", "Unknown", true),
    ] {
        let found = action::find(word);
        assert_eq!((found.action.1, found.disposition.1, found.exact), (action, disposition, exact), "{word}");
    }
    assert_eq!((action::find("novel").action.0, action::find("").disposition.0), (99, 0));
}

#[test]
fn words_of_severity_protocol_and_method() {
    assert_eq!(enums::severity("High"), Some((4, "High")));
    assert_eq!(enums::severity("severe"), None);
    for (name, number) in [("tcp", Some(6)), ("UDP", Some(17)), ("ipv6-icmp", Some(58)), ("hopopt?", None)] {
        assert_eq!(enums::protocol(name), number, "{name}");
    }
    for (number, name) in [(6, Some("tcp")), (58, Some("ipv6-icmp")), (255, None)] {
        assert_eq!(enums::protocol_name(number), name);
    }
    for (word, want) in [("get", Some((3, "GET"))), ("Post", Some((6, "POST"))), ("PROPFIND", None), ("", None)] {
        assert_eq!(enums::http_method(word), want, "{word}");
    }
}
