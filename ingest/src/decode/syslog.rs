//! The header before a syslog message: RFC 3164, RFC 5424, a bare host, or nothing.

/// What a header says that a message may lack.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// The sender's name or address.
    pub(crate) host: Option<&'a str>,
}

/// Reads the text before the message. It is never refused: what is not understood says nothing. Of several headers, which
/// relays put before each other, the last counts.
pub(crate) fn header(text: &str) -> Header<'_> {
    let text = last_header(text.trim());
    let mut words = text.split_ascii_whitespace();
    let host = if words.next() == Some("1") {
        // RFC 5424: version, time, host, ...
        words.nth(1)
    } else {
        after_time(text)
    };
    Header { host: host.filter(|host| is_host(host)) }
}

/// RFC 3164: the word after the last time; without a time the last word.
fn after_time(text: &str) -> Option<&str> {
    let mut words = text.split_ascii_whitespace().rev();
    let last = words.next()?;
    if is_time(last) {
        return None;
    }
    let mut after = last;
    for word in words {
        if is_time(word) {
            return Some(after);
        }
        after = word;
    }
    Some(last)
}

/// `hh:mm:ss`, or an ISO 8601 time.
fn is_time(word: &str) -> bool {
    let clock = word.get(11..).filter(|_| word.as_bytes()[10] == b'T').unwrap_or(word).as_bytes();
    matches!(clock, [h1, h2, b':', m1, m2, b':', s1, s2, ..] if [h1, h2, m1, m2, s1, s2].iter().all(|b| b.is_ascii_digit()))
}

/// What follows the last `<priority>`; the whole text without one.
fn last_header(text: &str) -> &str {
    let after = text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
    after
        .filter(|(priority, _)| priority.bytes().all(|b| b.is_ascii_digit()))
        .map_or(text, |(_, rest)| rest)
        .trim_start()
}

/// A name or an address, not what is left of a time.
fn is_host(word: &str) -> bool {
    let is_address = word.matches('.').count() == 3 || word.contains(':');
    (word.bytes().any(|b| b.is_ascii_alphabetic()) || is_address) && !word.starts_with('<')
}

#[cfg(test)]
mod tests;
