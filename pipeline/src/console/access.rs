//! Who may see what.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, header};

const COOKIE: &str = "palisade_console";

/// What somebody may see, and all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sight {
    /// What `/metrics` tells, too.
    Figures,
    /// What is in events: alerts, dead letters, names of rules and tables.
    Content,
    /// Any query.
    All,
}

/// See the module's front.
pub(super) struct Access {
    token: Option<Arc<str>>,
    /// The address cannot be reached from another machine.
    local: Option<IpAddr>,
}

impl Access {
    pub(super) fn new(token: Option<Arc<str>>, address: IpAddr) -> Self {
        Self { token, local: Some(address).filter(IpAddr::is_loopback) }
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// What whoever sends these headers may see.
    pub(super) fn sight(&self, headers: &HeaderMap) -> Sight {
        let given = cookie(headers).or_else(|| bearer(headers));
        if self.token.as_deref().is_some_and(|token| given.is_some_and(|given| same(given, token))) {
            return Sight::All;
        }
        if self.is_local(headers) { Sight::Content } else { Sight::Figures }
    }

    /// The cookie for whoever has the token.
    pub(super) fn admit(&self, headers: &HeaderMap, given: &str) -> Option<String> {
        let token = self.token.as_deref().filter(|token| same(given, token))?;
        // Over TLS, which a proxy in front brings, the cookie leaves over TLS only.
        let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        let secure = if forwarded == Some("https") { "; Secure" } else { "" };
        Some(format!("{COOKIE}={}; Path=/console; HttpOnly; SameSite=Strict{secure}", encoded(token)))
    }

    /// True if the page was asked for by a name of this machine: a foreign name that resolves to it is somebody's web site.
    fn is_local(&self, headers: &HeaderMap) -> bool {
        let Some(local) = self.local else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip == local || ip.is_loopback())
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).and_then(|(_, value)| decoded(value))
}

/// How a command shows the token.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    given.strip_prefix("Bearer ").map(str::to_owned)
}

/// A cookie's value cannot hold every byte that a token may.
fn encoded(token: &str) -> String {
    token.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn decoded(hex: &str) -> Option<String> {
    let digits = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(digits.collect::<Option<Vec<u8>>>()?).ok()
}

/// Takes as long whichever byte differs first.
fn same(given: impl AsRef<str>, token: &str) -> bool {
    let (given, token) = (given.as_ref().as_bytes(), token.as_bytes());
    let differs = given.iter().zip(token).fold(0, |differs, (a, b)| differs | (a ^ b));
    given.len() == token.len() && std::hint::black_box(differs) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    fn access(token: Option<&str>, address: &str) -> Access {
        Access::new(token.map(Into::into), address.parse().expect("an address"))
    }

    #[test]
    fn content_is_for_this_machine_and_for_whoever_has_the_token() {
        let local = |host: &str| headers(&[(header::HOST, host)]);
        for (address, host, sight) in [
            ("127.0.0.1", "127.0.0.1:9464", Sight::Content),
            ("127.0.0.1", "localhost:9464", Sight::Content),
            ("::1", "[::1]:9464", Sight::Content),
            ("127.0.0.1", "evil.example:9464", Sight::Figures),
            ("127.0.0.1", "10.0.0.1:9464", Sight::Figures),
            ("127.0.0.1", "", Sight::Figures),
            ("10.0.0.1", "localhost:9464", Sight::Figures),
            ("0.0.0.0", "127.0.0.1:9464", Sight::Figures),
        ] {
            assert_eq!(access(Some("t"), address).sight(&local(host)), sight, "{address} {host}");
        }
    }

    #[test]
    fn the_token_buys_a_cookie_and_the_cookie_everything() {
        let access = access(Some("s3 cret;="), "10.0.0.1");
        let none = HeaderMap::new();
        assert_eq!([access.admit(&none, "s3 cret;"), access.admit(&none, "")], [None, None]);
        let set = access.admit(&none, "s3 cret;=").expect("the token");
        assert!(set.ends_with("HttpOnly; SameSite=Strict"), "{set}");
        let cookie = set.split(';').next().expect("a pair").to_owned();
        assert_eq!(access.sight(&headers(&[(header::COOKIE, &format!("a=b; {cookie}; c=d"))])), Sight::All);
        for wrong in ["palisade_console=00", "palisade_console=zz", "palisade_console=", "other=1"] {
            assert_eq!(access.sight(&headers(&[(header::COOKIE, wrong)])), Sight::Figures, "{wrong}");
        }
        let bearer = |value: &str| headers(&[(header::AUTHORIZATION, value)]);
        assert_eq!(access.sight(&bearer("Bearer s3 cret;=")), Sight::All);
        assert_eq!(
            ["Bearer s3", "s3 cret;=", "Basic s3 cret;="].map(|v| access.sight(&bearer(v))),
            [Sight::Figures; 3]
        );
        let https = HeaderMap::from_iter([(
            header::HeaderName::from_static("x-forwarded-proto"),
            "https".parse().expect("a value"),
        )]);
        assert!(access.admit(&https, "s3 cret;=").is_some_and(|set| set.ends_with("; Secure")));
        assert_eq!(super::Access::new(None, "10.0.0.1".parse().expect("an address")).admit(&none, ""), None);
    }
}
