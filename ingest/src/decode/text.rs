//! Patterns of free text: `Built {direction} TCP connection {id} for {zone}:{ip}/{port}{? ({user})}`.
//!
//! A capture takes what stands up to the literal text after it, the last one the rest. It may not be empty unless it is
//! written `{name?}`. `{?…}` is a part that may be missing, `{*}` at the end reads the rest as `key=value` pairs, and `{{`
//! is a brace. A pattern is laid out when it is loaded, once for each way its optional parts can be there or not, so that
//! reading a line goes forward only.

use super::kv::{self, Dialect};
use super::pairs::{Pairs, Span};

/// Optional parts of a pattern: each doubles the ways to read it.
const OPTIONAL_MAX: usize = 5;

/// A pattern, in every way that its optional parts allow: the fullest first.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    ways: Vec<Way>,
}

#[derive(Debug, Clone, Default)]
struct Way {
    /// What the text begins with.
    head: String,
    captures: Vec<Capture>,
    /// The rest holds pairs.
    pairs: bool,
}

#[derive(Debug, Clone)]
struct Capture {
    name: &'static str,
    may_be_empty: bool,
    /// What stands after it; nothing after the last one.
    until: String,
}

/// A piece of a pattern as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'p> {
    Literal(String),
    Capture { name: &'p str, may_be_empty: bool },
    Optional(Vec<Part<'p>>),
    Pairs,
}

impl Pattern {
    /// Reads a pattern; `intern` keeps its names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str, intern: &mut dyn FnMut(&str) -> &'static str) -> Result<Self, String> {
        let (parts, rest) = parts(text, false)?;
        if !rest.is_empty() {
            return Err(format!("}} closes nothing before {rest:?}"));
        }
        let mut ways = vec![Vec::new()];
        expand(&parts, &mut ways)?;
        let ways = ways.into_iter().map(|parts| Way::of(&parts, intern)).collect::<Result<_, _>>()?;
        Ok(Self { ways })
    }

    /// Reads `line` from `start` on; its captures are added to the pairs. False, and nothing added, if it reads otherwise.
    pub(crate) fn read(&self, line: &str, start: usize, pairs: &mut Pairs) -> bool {
        let before = pairs.len();
        self.ways.iter().any(|way| {
            let fits = way.read(line, start, pairs);
            if !fits {
                pairs.truncate(before);
            }
            fits
        })
    }
}

impl Way {
    fn of(parts: &[Part<'_>], intern: &mut dyn FnMut(&str) -> &'static str) -> Result<Self, String> {
        let mut made = Self::default();
        for part in parts {
            match part {
                _ if made.pairs => return Err("{*} stands at the end".to_owned()),
                Part::Literal(text) => match made.captures.last_mut() {
                    Some(capture) => capture.until.push_str(text),
                    None => made.head.push_str(text),
                },
                Part::Capture { name, may_be_empty } => {
                    if made.captures.last().is_some_and(|c| c.until.is_empty()) {
                        return Err(format!("nothing divides {{{name}}} from what stands before it"));
                    }
                    let capture = Capture { name: intern(name), may_be_empty: *may_be_empty, until: String::new() };
                    made.captures.push(capture);
                }
                Part::Pairs => made.pairs = true,
                Part::Optional(_) => return Err("an optional part within another".to_owned()),
            }
        }
        Ok(made)
    }

    fn read(&self, line: &str, start: usize, pairs: &mut Pairs) -> bool {
        let Some(rest) = line[start..].strip_prefix(self.head.as_str()) else { return false };
        let mut at = line.len() - rest.len();
        for (i, capture) in self.captures.iter().enumerate() {
            let rest = &line[at..];
            let is_last = i + 1 == self.captures.len() && !self.pairs;
            let end = match capture.until.as_str() {
                "" => Some(rest.len()),
                // What ends the text is sought from its end: it may stand earlier too.
                until if is_last => rest.strip_suffix(until).map(str::len),
                until => memchr::memmem::find(rest.as_bytes(), until.as_bytes()),
            };
            let Some(end) = end.filter(|end| *end > 0 || capture.may_be_empty) else { return false };
            pairs.push_named(capture.name, Span::of(at..at + end));
            at += end + capture.until.len();
        }
        if self.pairs {
            kv::split(line, at..line.len(), Dialect::PLAIN, pairs);
            return true;
        }
        at == line.len()
    }
}

/// Adds the parts to each way there is; an optional one doubles them.
fn expand<'p>(parts: &[Part<'p>], ways: &mut Vec<Vec<Part<'p>>>) -> Result<(), String> {
    for part in parts {
        let Part::Optional(inner) = part else {
            ways.iter_mut().for_each(|way| way.push(part.clone()));
            continue;
        };
        if ways.len() >= 1 << OPTIONAL_MAX {
            return Err(format!("more than {OPTIONAL_MAX} optional parts"));
        }
        let mut with = ways.clone();
        expand(inner, &mut with)?;
        with.append(ways);
        *ways = with;
    }
    Ok(())
}

/// The parts of a pattern, and what stands after the brace that closes them if they are `nested`.
fn parts(text: &str, nested: bool) -> Result<(Vec<Part<'_>>, &str), String> {
    let (mut found, mut literal, mut rest) = (Vec::new(), String::new(), text);
    loop {
        let end = rest.find(['{', '}']).unwrap_or(rest.len());
        literal.push_str(&rest[..end]);
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix("{{") {
            literal.push('{');
            rest = after;
            continue;
        }
        if !literal.is_empty() {
            found.push(Part::Literal(std::mem::take(&mut literal)));
        }
        if let Some(after) = rest.strip_prefix("{?") {
            let (inner, after) = parts(after, true)?;
            found.push(Part::Optional(inner));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or("a { that nothing closes")?;
            found.push(capture(name)?);
            rest = after;
        } else if nested {
            return Ok((found, rest.strip_prefix('}').ok_or("a {? that nothing closes")?));
        } else {
            return Ok((found, rest));
        }
    }
}

fn capture(name: &str) -> Result<Part<'_>, String> {
    if name == "*" {
        return Ok(Part::Pairs);
    }
    let (name, may_be_empty) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty() || !name.chars().all(part) {
        return Err(format!("{name:?} is no name: letters, digits, _ . -"));
    }
    Ok(Part::Capture { name, may_be_empty })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Result<Pattern, String> {
        Pattern::parse(text, &mut |name| Box::leak(name.to_owned().into_boxed_str()))
    }

    fn read(text: &str, line: &str) -> Option<String> {
        let mut pairs = Pairs::default();
        let fits = pattern(text).expect(text).read(line, 0, &mut pairs);
        let found = pairs.texts(line);
        assert!(fits || found.is_empty(), "{line}");
        fits.then(|| found.join(" "))
    }

    #[test]
    fn captures_up_to_the_text_after_them() {
        let built = "Built {dir} TCP connection {id} for {zone}:{ip}/{port}{? ({user})}";
        for (pattern, line, want) in [
            (
                built,
                "Built inbound TCP connection 7 for out:192.0.2.1/80",
                Some("dir=inbound id=7 zone=out ip=192.0.2.1 port=80"),
            ),
            (
                built,
                "Built inbound TCP connection 7 for out:192.0.2.1/80 (ann)",
                Some("dir=inbound id=7 zone=out ip=192.0.2.1 port=80 user=ann"),
            ),
            (built, "Built inbound TCP connection  for out:192.0.2.1/80", None),
            (built, "Teardown", None),
            ("a {x?} b", "a  b", Some("x=")),
            ("a {x} b", "a  b", None),
            ("a {x}.", "a b. c.", Some("x=b. c")),
            ("{{{x}", "{1}", Some("x=1}")),
            ("{x} flows {*}", "mx flows src=1 dst=2", Some("x=mx src=1 dst=2")),
            ("exactly", "exactly", Some("")),
            ("exactly", "exactly so", None),
        ] {
            assert_eq!(read(pattern, line).as_deref(), want, "{line}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        for (text, want) in [
            ("{a}{b}", "nothing divides {b} from what stands before it"),
            ("{a", "a { that nothing closes"),
            ("{? a", "a {? that nothing closes"),
            ("a } b", "} closes nothing before \"} b\""),
            ("{a b}", "\"a b\" is no name: letters, digits, _ . -"),
            ("{*} b", "{*} stands at the end"),
            ("{?a}{?b}{?c}{?d}{?e}{?f}", "more than 5 optional parts"),
        ] {
            assert_eq!(pattern(text).expect_err(text), want);
        }
    }

    proptest! {
        #![proptest_config(crate::decode::tests::cases(256))]

        /// What a pattern takes, it takes all of.
        #[test]
        fn literals_and_captures_are_the_line(a in "[a-z ]{1,8}", b in "[a-z:]{1,8}", line in "\\PC{0,30}") {
            let text = format!("x {a}:{b}/end");
            let mut pairs = Pairs::default();
            let fits = pattern("x {a}:{b}/end").expect("right").read(&text, 0, &mut pairs);
            prop_assert!(fits);
            let values: Vec<&str> = pairs.iter(&text).map(|(_, value)| value).collect();
            prop_assert_eq!(values.join(":"), format!("{a}:{b}"));
            read("{a} {b}{? {c}}", &line);
        }
    }
}
