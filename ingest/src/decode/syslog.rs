//! The header before a syslog message: RFC 3164, RFC 5424, a bare host, or nothing.

/// What a header says that a message may lack.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// The sender's name or address.
    pub(crate) host: Option<&'a str>,
}

/// Reads the text before the message. It is never refused: what is not understood says nothing.
pub(crate) fn header(text: &str) -> Header<'_> {
    let text = text.trim();
    let text = text.strip_prefix('<').and_then(|t| t.split_once('>')).map_or(text, |(_, rest)| rest).trim_start();
    let mut words = text.split_ascii_whitespace();
    if words.next() == Some("1") {
        // RFC 5424: version, time, host, ...
        return Header { host: words.nth(1).filter(|h| *h != "-") };
    }
    // RFC 3164: the last word, since relays put their own header before; a time is no host.
    let host = text.split_ascii_whitespace().next_back();
    Header { host: host.filter(|h| h.bytes().any(|b| b.is_ascii_alphabetic()) || h.matches('.').count() == 3) }
}
