//! A control's action -> `action_id` and `disposition_id` of the security-control profile.

/// What an action word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) action: (i32, &'a str),
    pub(crate) disposition: (i32, &'a str),
    /// No other word means the same, so the word itself need not be kept.
    pub(crate) exact: bool,
}

const ALLOWED: (i32, &str) = (1, "Allowed");
const DENIED: (i32, &str) = (2, "Denied");
const BLOCKED: (i32, &str) = (2, "Blocked");
const DROPPED: (i32, &str) = (6, "Dropped");
const LOGGED: (i32, &str) = (17, "Logged");
const ALERT: (i32, &str) = (19, "Alert");
const RESET: (i32, &str) = (21, "Reset");
const CHALLENGE: (i32, &str) = (23, "Challenge");

/// Word, action, disposition, exact. Source: the Action field of PAN-OS's traffic, threat and URL log pages.
const WORDS: [(&str, (i32, &str), (i32, &str), bool); 20] = [
    ("allow", ALLOWED, ALLOWED, true),
    ("deny", DENIED, BLOCKED, true),
    ("drop", DENIED, DROPPED, true),
    ("alert", ALLOWED, ALERT, true),
    ("reset-both", DENIED, RESET, false),
    ("reset-client", DENIED, RESET, false),
    ("reset-server", DENIED, RESET, false),
    ("reset both", DENIED, RESET, false),
    ("drop-icmp", DENIED, DROPPED, false),
    ("drop-packet", DENIED, DROPPED, false),
    ("drop-all-packets", DENIED, DROPPED, false),
    ("random-drop", DENIED, DROPPED, false),
    ("block", DENIED, BLOCKED, false),
    ("block-ip", DENIED, BLOCKED, false),
    ("block-url", DENIED, BLOCKED, false),
    ("block-continue", DENIED, CHALLENGE, false),
    ("block-override", DENIED, CHALLENGE, false),
    ("sinkhole", DENIED, BLOCKED, false),
    ("continue", ALLOWED, ALLOWED, false),
    ("forward", ALLOWED, LOGGED, false),
];

/// The meaning of an action word; unknown words are 99 with the word, an empty one is 0.
pub(crate) fn find(word: &str) -> Found<'_> {
    if word.is_empty() {
        return Found { action: (0, "Unknown"), disposition: (0, "Unknown"), exact: true };
    }
    match WORDS.iter().find(|(w, ..)| w.eq_ignore_ascii_case(word)) {
        Some(&(_, action, disposition, exact)) => Found { action, disposition, exact },
        None => Found { action: (99, word), disposition: (99, word), exact: true },
    }
}
