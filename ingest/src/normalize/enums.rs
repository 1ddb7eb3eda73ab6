//! Vendors' words -> OCSF enum values with their captions.

/// `severity_id` and caption of a severity word; none for other words.
pub(crate) fn severity(word: &str) -> Option<(i32, &'static str)> {
    SEVERITIES.iter().find(|(w, ..)| w.eq_ignore_ascii_case(word)).map(|&(_, id, caption)| (id, caption))
}

/// The severity of an event that has none.
pub(crate) const UNKNOWN: (i32, &str) = (0, "Unknown");

/// The severity of an event that says what happens, not that something is wrong.
pub(crate) const INFORMATIONAL: (i32, &str) = (1, "Informational");

const SEVERITIES: [(&str, i32, &str); 5] = [
    ("informational", 1, "Informational"),
    ("low", 2, "Low"),
    ("medium", 3, "Medium"),
    ("high", 4, "High"),
    ("critical", 5, "Critical"),
];

/// The IANA number of an IP protocol by its name.
pub(crate) fn protocol(name: &str) -> Option<i32> {
    PROTOCOLS.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|&(_, number)| number)
}

/// The name of an IP protocol by its IANA number.
pub(crate) fn protocol_name(number: i32) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, n)| *n == number).map(|&(name, _)| name)
}

const PROTOCOLS: [(&str, i32); 16] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("ipv6-icmp", 58),
    ("icmp6", 58),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("sctp", 132),
    ("igmp", 2),
    ("ipip", 4),
    ("ipv6", 41),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
];

/// `status_id` and caption for a word of success or failure; none for other words.
pub(crate) fn status(word: &str) -> Option<(i32, &'static str)> {
    STATUSES.iter().find(|(w, ..)| w.eq_ignore_ascii_case(word)).map(|&(_, id, caption)| (id, caption))
}

const STATUSES: [(&str, i32, &str); 6] = [
    ("success", 1, "Success"),
    ("succeeded", 1, "Success"),
    ("failure", 2, "Failure"),
    ("failed", 2, "Failure"),
    ("fail", 2, "Failure"),
    ("unauthorized", 2, "Failure"),
];

/// `auth_protocol_id` and caption of an authentication method; none for one that OCSF has no value for.
pub(crate) fn auth_protocol(word: &str) -> Option<(i32, &'static str)> {
    AUTH_PROTOCOLS.iter().find(|(_, caption)| caption.eq_ignore_ascii_case(word)).copied()
}

const AUTH_PROTOCOLS: [(i32, &str); 10] = [
    (1, "NTLM"),
    (2, "Kerberos"),
    (3, "Digest"),
    (4, "OpenID"),
    (5, "SAML"),
    (7, "PAP"),
    (8, "CHAP"),
    (9, "EAP"),
    (10, "RADIUS"),
    (12, "LDAP"),
];

/// `os.type_id` and caption of a system's name, by the words that it begins with; none for an unheard one.
pub(crate) fn os(name: &str) -> Option<(i32, &'static str)> {
    let begins = |word: &str| name.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    SYSTEMS.iter().find(|(word, ..)| begins(word)).map(|&(_, id, caption)| (id, caption))
}

const SYSTEMS: [(&str, i32, &str); 9] = [
    ("windows", 100, "Windows"),
    ("microsoft windows", 100, "Windows"),
    ("linux", 200, "Linux"),
    ("ubuntu", 200, "Linux"),
    ("android", 201, "Android"),
    ("mac", 300, "macOS"),
    ("apple mac", 300, "macOS"),
    ("ios", 301, "iOS"),
    ("ipados", 302, "iPadOS"),
];

/// `activity_id` of HTTP Activity for a method, and the method as OCSF spells it.
pub(crate) fn http_method(word: &str) -> Option<(i32, &'static str)> {
    METHODS.iter().find(|(m, _)| m.eq_ignore_ascii_case(word)).map(|&(method, id)| (id, method))
}

const METHODS: [(&str, i32); 9] = [
    ("GET", 3),
    ("POST", 6),
    ("CONNECT", 1),
    ("PUT", 7),
    ("HEAD", 4),
    ("DELETE", 2),
    ("OPTIONS", 5),
    ("PATCH", 9),
    ("TRACE", 8),
];
