//! A control's action -> `action_id` and `disposition_id` of the security-control profile.

/// What an action word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) action: (i32, &'a str),
    pub(crate) disposition: (i32, &'a str),
    /// No other word means the same, so the word itself need not be kept.
    pub(crate) exact: bool,
}

/// An enum value's id and caption.
type Caption = (i32, &'static str);

const ALLOWED: Caption = (1, "Allowed");
const DENIED: Caption = (2, "Denied");
const MODIFIED: Caption = (4, "Modified");
const BLOCKED: Caption = (2, "Blocked");
const DROPPED: Caption = (6, "Dropped");
const CORRECTED: Caption = (11, "Corrected");
const LOGGED: Caption = (17, "Logged");
const ALERT: Caption = (19, "Alert");
const RESET: Caption = (21, "Reset");
const CHALLENGE: Caption = (23, "Challenge");

/// Word, action, disposition, exact. Source: the Action field of PAN-OS's traffic, threat and URL log pages; `accept` and
/// `reject` of AWS's flow log records.
const WORDS: [(&str, Caption, Caption, bool); 22] = [
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
    ("accept", ALLOWED, ALLOWED, true),
    ("reject", DENIED, BLOCKED, true),
];

/// The disposition that an action has if nothing tells more.
pub(crate) fn disposition_of(action: Caption) -> Caption {
    match action.0 {
        1 => ALLOWED,
        2 => BLOCKED,
        3 => LOGGED,
        4 => CORRECTED,
        _ => (0, "Unknown"),
    }
}

/// The action that a disposition comes of.
pub(crate) fn action_of(disposition: Caption) -> Caption {
    match disposition.1 {
        "Unknown" => (0, "Unknown"),
        "Other" => (99, "Other"),
        "Allowed" | "Alert" | "Logged" | "Detected" | "Count" | "Tagged" | "Approved" | "Exonerated" | "No Action"
        | "Uncorrected" | "Delayed" | "Error" => ALLOWED,
        "Corrected" | "Partially Corrected" | "Restored" | "Custom Action" => MODIFIED,
        _ => DENIED,
    }
}

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
