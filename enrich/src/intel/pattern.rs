//! STIX 2.1 patterns, as far as an address or a host name of one event can meet them.
//!
//! Understood: observations joined by `OR`, comparisons in them joined by `OR`; `=`, `IN` and, of networks, `ISSUBSET`; the
//! values of `ipv4-addr`, `ipv6-addr`, `domain-name` and `url`. A pattern that needs more than one thing to be seen
//! (`AND`, `FOLLOWEDBY`, `WITHIN`, `REPEATS`), or something not to be (`NOT`), is not.

use crate::network::{Address, Network};

/// What an alternative of a pattern asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Observable {
    /// An address of the network.
    Network(Network),
    /// The name or one below it.
    Domain(String),
    /// The host of a URL: the name alone, for others on its domain are other sites.
    Host(String),
}

/// The alternatives of a pattern, and what is not understood of some of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Alternatives {
    pub(super) known: Vec<Observable>,
    pub(super) unknown: Vec<String>,
}

/// Reads a pattern.
///
/// # Errors
/// What of it is not understood, if that concerns it as a whole.
pub(super) fn parse(pattern: &str) -> Result<Alternatives, String> {
    let (mut found, mut rest) = (Alternatives::default(), Tokens(pattern));
    loop {
        rest.expect("[")?;
        loop {
            comparison(&mut rest, &mut found)?;
            match rest.next()? {
                "]" => break,
                or if or.eq_ignore_ascii_case("OR") => {}
                other => return Err(format!("`{other}` between comparisons")),
            }
        }
        match rest.next()? {
            "" => return Ok(found),
            or if or.eq_ignore_ascii_case("OR") => {}
            other => return Err(format!("`{other}` after an observation")),
        }
    }
}

fn comparison(rest: &mut Tokens<'_>, found: &mut Alternatives) -> Result<(), String> {
    let path = rest.next()?;
    if !path.contains(':') {
        return Err(format!("`{path}` where a comparison should begin"));
    }
    let operator = rest.next()?;
    if operator.eq_ignore_ascii_case("NOT") {
        return Err("`NOT` in a comparison".to_owned());
    }
    let values = values(rest)?;
    for value in values {
        match observable(path, operator, &value) {
            Ok(observable) => found.known.push(observable),
            Err(what) => found.unknown.push(what),
        }
    }
    Ok(())
}

/// One literal, or those of a list in parentheses.
fn values(rest: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    let first = rest.next()?;
    if first != "(" {
        return Ok(vec![literal(first)?]);
    }
    let mut values = Vec::new();
    loop {
        values.push(literal(rest.next()?)?);
        match rest.next()? {
            "," => {}
            ")" => return Ok(values),
            other => return Err(format!("`{other}` in a list")),
        }
    }
}

/// A string without its quotes; other literals as they stand.
fn literal(token: &str) -> Result<String, String> {
    match token.strip_prefix('\'').map(|text| text.strip_suffix('\'').unwrap_or(text)) {
        Some(text) => Ok(unescape(text)),
        None if token.is_empty() || "[]()=,".contains(token) => Err("a value is missing".to_owned()),
        None => Ok(token.to_owned()),
    }
}

fn unescape(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

fn observable(path: &str, operator: &str, value: &str) -> Result<Observable, String> {
    let is = |word: &str| operator.eq_ignore_ascii_case(word);
    let equals = operator == "=" || is("IN");
    let network = || Network::parse(value).ok_or_else(|| format!("{value:?} is not an address or a network"));
    match path {
        "ipv4-addr:value" | "ipv6-addr:value" if equals || is("ISSUBSET") => network().map(Observable::Network),
        "domain-name:value" if equals => Ok(Observable::Domain(value.to_owned())),
        "url:value" if equals => host(value),
        _ => Err(format!("`{path} {operator}`")),
    }
}

/// What a URL names as its host.
fn host(url: &str) -> Result<Observable, String> {
    let rest = url.split_once("://").map_or(url, |(_scheme, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let bare = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match (Address::parse(bare), Network::parse(bare)) {
        (Some(_), Some(network)) => Ok(Observable::Network(network)),
        _ if bare.is_empty() => Err(format!("{url:?} names no host")),
        _ => Ok(Observable::Host(bare.to_owned())),
    }
}

/// A pattern from left to right: brackets, operators, paths and literals. The empty token is its end.
struct Tokens<'a>(&'a str);

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Result<&'a str, String> {
        let text = self.0.trim_start();
        let len = match text.chars().next() {
            None => 0,
            Some('[' | ']' | '(' | ')' | ',') => 1,
            Some('=' | '!' | '<' | '>') => text.len() - text.trim_start_matches(['=', '!', '<', '>']).len(),
            Some('\'') => quoted(text).ok_or("a string without its end")?,
            Some(_) => word(text),
        };
        let (token, rest) = text.split_at(len);
        self.0 = rest;
        Ok(token)
    }

    fn expect(&mut self, want: &str) -> Result<(), String> {
        match self.next()? {
            token if token == want => Ok(()),
            token => Err(format!("`{token}` where `{want}` should stand")),
        }
    }
}

/// Bytes of a string with its quotes.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Bytes of a path, keyword or number. A path may have quoted parts: `file:hashes.'SHA-256'`.
fn word(text: &str) -> usize {
    let mut in_quotes = false;
    let end = text.find(|c: char| {
        in_quotes ^= c == '\'';
        !in_quotes && (c.is_whitespace() || "=!<>()],".contains(c))
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &str) -> String {
        let alternatives = match parse(pattern) {
            Ok(alternatives) => alternatives,
            Err(what) => return format!("! {what}"),
        };
        let known = alternatives.known.into_iter().map(|observable| match observable {
            Observable::Network(Network::V4 { base, len }) => format!("{}/{len}", std::net::Ipv4Addr::from_bits(base)),
            Observable::Network(Network::V6 { base, len }) => format!("{}/{len}", std::net::Ipv6Addr::from_bits(base)),
            Observable::Domain(name) => name,
            Observable::Host(name) => format!("host {name}"),
        });
        known.chain(alternatives.unknown.into_iter().map(|what| format!("? {what}"))).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn patterns_that_are_understood() {
        for (pattern, want) in [
            ("[ipv4-addr:value = '192.0.2.1']", "192.0.2.1/32"),
            ("[ipv4-addr:value='192.0.2.1']", "192.0.2.1/32"),
            ("[ipv4-addr:value = '192.0.2.0/24']", "192.0.2.0/24"),
            ("[ipv4-addr:value ISSUBSET '198.51.100.0/24']", "198.51.100.0/24"),
            ("[ipv6-addr:value = '2001:db8::1']", "2001:db8::1/128"),
            ("[ ipv6-addr:value issubset '2001:db8::/32' ]", "2001:db8::/32"),
            ("[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]", "192.0.2.1/32 | 192.0.2.2/32"),
            ("[domain-name:value = 'evil.example']", "evil.example"),
            ("[domain-name:value = 'a.example' OR domain-name:value = 'b.example']", "a.example | b.example"),
            ("[domain-name:value = 'a.example'] OR [ipv4-addr:value = '192.0.2.1']", "a.example | 192.0.2.1/32"),
            ("[url:value = 'https://user:pw@evil.example:8443/a?b#c']", "host evil.example"),
            ("[url:value = 'evil.example/path']", "host evil.example"),
            ("[url:value = 'http://192.0.2.9/x']", "192.0.2.9/32"),
            ("[url:value = 'http://[2001:db8::9]:80/x']", "2001:db8::9/128"),
            (r"[domain-name:value = 'o\'evil\\.example']", r"o'evil\.example"),
        ] {
            assert_eq!(shown(pattern), want, "{pattern}");
        }
    }

    #[test]
    fn an_alternative_that_is_not_understood_leaves_the_others() {
        for (pattern, want) in [
            (
                "[file:hashes.'SHA-256' = 'ab' OR ipv4-addr:value = '192.0.2.1']",
                "192.0.2.1/32 | ? `file:hashes.'SHA-256' =`",
            ),
            ("[domain-name:value LIKE '%.example']", "? `domain-name:value LIKE`"),
            ("[ipv4-addr:value != '192.0.2.1']", "? `ipv4-addr:value !=`"),
            ("[ipv4-addr:value = 'here']", "? \"here\" is not an address or a network"),
            ("[network-traffic:dst_port = 443]", "? `network-traffic:dst_port =`"),
            ("[url:value = 'file:///etc/passwd']", "? \"file:///etc/passwd\" names no host"),
        ] {
            assert_eq!(shown(pattern), want, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_are_not_understood_as_a_whole() {
        for (pattern, want) in [
            ("", "! `` where `[` should stand"),
            ("ipv4-addr:value = '192.0.2.1'", "! `ipv4-addr:value` where `[` should stand"),
            ("[ipv4-addr:value = '192.0.2.1' AND domain-name:value = 'a.example']", "! `AND` between comparisons"),
            ("[ipv4-addr:value = '192.0.2.1'] AND [ipv4-addr:value = '192.0.2.2']", "! `AND` after an observation"),
            ("[ipv4-addr:value = '192.0.2.1'] WITHIN 5 SECONDS", "! `WITHIN` after an observation"),
            ("[ipv4-addr:value = '192.0.2.1'] REPEATS 5 TIMES", "! `REPEATS` after an observation"),
            ("[NOT ipv4-addr:value = '192.0.2.1']", "! `NOT` where a comparison should begin"),
            ("[ipv4-addr:value NOT = '192.0.2.1']", "! `NOT` in a comparison"),
            ("([ipv4-addr:value = '192.0.2.1'])", "! `(` where `[` should stand"),
            ("[(ipv4-addr:value = '192.0.2.1')]", "! `(` where a comparison should begin"),
            ("[ipv4-addr:value = '192.0.2.1]", "! a string without its end"),
            ("[ipv4-addr:value = ]", "! a value is missing"),
            ("[ipv4-addr:value IN ('192.0.2.1' '192.0.2.2')]", "! `'192.0.2.2'` in a list"),
            ("[ipv4-addr:value = '192.0.2.1'", "! `` between comparisons"),
        ] {
            assert_eq!(shown(pattern), want, "{pattern}");
        }
    }
}
