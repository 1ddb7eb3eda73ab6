//! What to call a record that no decoder knows, so that its kind can be told from others.

use std::fmt;

use super::json::{At, Doc};
use super::syslog;

/// Members of an object that its name lists.
const MEMBERS: usize = 3;

/// The kind of a line of text: what a header in CEF or LEEF, Cisco's mark or the syslog header says.
pub(super) fn line<'a>(text: &'a str, header: &'a syslog::Line<'a>) -> impl fmt::Display + 'a {
    Line { text, header }
}

/// The kind of an object: the names that it begins with.
pub(super) fn object(doc: Doc<'_>, at: At) -> impl fmt::Display {
    Object { doc, at }
}

struct Line<'a> {
    text: &'a str,
    header: &'a syslog::Line<'a>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.text[self.header.message..];
        if message.starts_with("CEF:") || message.starts_with("LEEF:") {
            let head = message.splitn(4, '|').take(3);
            return head.enumerate().try_for_each(|(i, part)| write!(f, "{}{part}", if i > 0 { "|" } else { "" }));
        }
        match (self.header.facility, self.header.app) {
            ("", "") => f.write_str("text"),
            ("", app) => write!(f, "text of {app}"),
            (facility, _) => write!(f, "%{facility}-{}-{}", self.header.severity, self.header.mnemonic),
        }
    }
}

struct Object<'a> {
    doc: Doc<'a>,
    at: At,
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.doc.is_object(self.at) {
            return f.write_str("json that is no object");
        }
        f.write_str("json of {")?;
        for (i, member) in self.doc.members(self.at).take(MEMBERS).enumerate() {
            write!(f, "{}{}", if i > 0 { ", " } else { "" }, self.doc.name(&member))?;
        }
        f.write_str(", …}")
    }
}
