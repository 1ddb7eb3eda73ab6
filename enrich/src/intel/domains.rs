//! Host name -> indicator of the name itself or of a domain above it. A million names take about 80 MB.

use std::borrow::Cow;

use hashbrown::HashMap;

use crate::network::Address;
use crate::table::NULL;

/// Characters of a name, without its last dot (RFC 1035).
const NAME_LEN_MAX: usize = 253;

/// Which names an indicator means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The name alone.
    Name,
    /// The names below it.
    Below,
    /// Both.
    Domain,
}

/// Records by name. Look-ups come after [`Domains::inherit`].
#[derive(Debug, Default)]
pub(super) struct Domains {
    names: HashMap<Box<str>, Claims>,
}

#[derive(Debug, Clone, Copy)]
struct Claims {
    name: i32,
    below: i32,
}

impl Domains {
    /// The record of the name, else of the nearest domain above it that has one, or [`NULL`].
    pub(super) fn find(&self, host: &str) -> i32 {
        let host = canonical(host);
        match self.names.get(&*host) {
            Some(claims) if claims.name != NULL => claims.name,
            _ => self.above(&host),
        }
    }

    fn above(&self, name: &str) -> i32 {
        let found = parents(name).filter_map(|parent| self.names.get(parent)).find(|claims| claims.below != NULL);
        found.map_or(NULL, |claims| claims.below)
    }

    /// Calls `raise` with each place where an indicator of that reach stands.
    pub(super) fn each_place(&mut self, name: &str, reach: Reach, mut raise: impl FnMut(&mut i32)) {
        let claims = self.names.entry_ref(name).or_insert(Claims { name: NULL, below: NULL });
        if reach != Reach::Below {
            raise(&mut claims.name);
        }
        if reach != Reach::Name {
            raise(&mut claims.below);
        }
    }

    /// Gives each name the record of a domain above it where `is_better(above, own)`. From the shortest names to the
    /// longest, so that the nearest domain above has the best of all above.
    pub(super) fn inherit(&mut self, is_better: impl Fn(i32, i32) -> bool) {
        let has_parent = |name: &str| parents(name).any(|parent| self.names.contains_key(parent));
        let mut names: Vec<Box<str>> = self.names.keys().filter(|name| has_parent(name)).cloned().collect();
        names.sort_unstable_by_key(|name| name.bytes().filter(|byte| *byte == b'.').count());
        for name in names {
            let above = self.above(&name);
            let claims = self.names.get_mut(&name).expect("names are not removed");
            for own in [&mut claims.name, &mut claims.below] {
                if above != NULL && *own != NULL && is_better(above, *own) {
                    *own = above;
                }
            }
        }
        self.names.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

/// `b.c` and `c` of `a.b.c`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(dot, _)| &name[dot + 1..])
}

/// Lower case, without the last dot. Names that are written so already are not copied.
fn canonical(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Reads an indicator's text: `evil.example`, `*.evil.example` or `.evil.example`, in any case, with or without a last dot.
///
/// # Errors
/// Says what it is instead of a name.
pub(super) fn parse(text: &str) -> Result<(Cow<'_, str>, Reach), String> {
    let (name, reach) = match (text.strip_prefix("*."), text.strip_prefix('.')) {
        (Some(name), _) => (name, Reach::Below),
        (_, Some(name)) => (name, Reach::Domain),
        _ => (text, Reach::Domain),
    };
    if Address::parse(name).is_some() {
        return Err(format!("{text:?} is an address; it belongs into the column ip"));
    }
    let name = canonical(name);
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    if name.len() > NAME_LEN_MAX || !name.split('.').all(is_label) {
        return Err(format!("{text:?} is not a host name such as evil.example or *.evil.example"));
    }
    Ok((name, reach))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn build(entries: &[(&str, i32)]) -> Domains {
        let mut domains = Domains::default();
        for (text, record) in entries {
            let (name, reach) = parse(text).expect("a name");
            domains.each_place(&name, reach, |known| *known = (*known).max(*record));
        }
        domains.inherit(|above, own| above > own);
        domains
    }

    #[test]
    fn names_match_themselves_and_what_is_below() {
        let domains = build(&[("Evil.Example.", 1), ("*.wild.example", 2), (".dotted.example", 3), ("zip", 4)]);
        for (host, want) in [
            ("evil.example", 1),
            ("EVIL.example.", 1),
            ("a.b.evil.example", 1),
            ("notevil.example", NULL),
            ("evil.example.com", NULL),
            ("example", NULL),
            ("wild.example", NULL),
            ("x.wild.example", 2),
            ("x.y.WILD.example", 2),
            ("dotted.example", 3),
            ("x.dotted.example", 3),
            ("anything.zip", 4),
            ("zip", 4),
            ("", NULL),
            (".", NULL),
            ("..", NULL),
        ] {
            assert_eq!(domains.find(host), want, "{host:?}");
        }
    }

    #[test]
    fn a_name_alone_has_nothing_below_it_and_the_best_above_counts() {
        let mut domains = Domains::default();
        for (name, reach, record) in [
            ("cdn.example", Reach::Name, 5),
            ("example", Reach::Below, 7),
            ("b.example", Reach::Domain, 9),
            ("a.b.example", Reach::Domain, 8),
        ] {
            domains.each_place(name, reach, |known| *known = record);
        }
        domains.inherit(|above, own| above > own);
        for (host, want) in
            [("cdn.example", 7), ("x.cdn.example", 7), ("a.b.example", 9), ("x.a.b.example", 9), ("example", NULL)]
        {
            assert_eq!(domains.find(host), want, "{host}");
        }
    }

    #[test]
    fn texts_that_are_no_names_are_refused() {
        for (text, want) in [
            ("192.0.2.1", "is an address"),
            ("2001:db8::1", "is an address"),
            ("http://evil.example/", "is not a host name"),
            ("evil..example", "is not a host name"),
            ("a.*.example", "is not a host name"),
            ("*", "is not a host name"),
            ("*.", "is not a host name"),
            ("evil example", "is not a host name"),
            (&"a.".repeat(128), "is not a host name"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(want), "{error}");
        }
    }

    /// Names of few labels, so that they lie above one another.
    fn a_name() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "C"]), 1..5).prop_map(|labels| labels.join("."))
    }

    fn matches(indicator: &str, host: &str) -> bool {
        let (indicator, host) = (indicator.to_lowercase(), host.to_lowercase());
        match indicator.strip_prefix("*.") {
            Some(domain) => host.ends_with(&format!(".{domain}")),
            None => host == indicator || host.ends_with(&format!(".{indicator}")),
        }
    }

    proptest! {
        /// Records are made better by their number, so that the best of all that match is the highest.
        #[test]
        fn the_best_of_all_that_match_is_found(
            indicators in prop::collection::vec((a_name(), any::<bool>()), 0..12),
            hosts in prop::collection::vec(a_name(), 1..20),
        ) {
            let texts: Vec<String> =
                indicators.iter().map(|(name, star)| if *star { format!("*.{name}") } else { name.clone() }).collect();
            let entries: Vec<(&str, i32)> = texts.iter().map(String::as_str).zip(0..).collect();
            let domains = build(&entries);
            for host in &hosts {
                let want = entries.iter().filter(|(text, _)| matches(text, host)).map(|(_, record)| *record).max();
                prop_assert_eq!(domains.find(host), want.unwrap_or(NULL), "{} of {:?}", host, entries);
            }
        }
    }
}
