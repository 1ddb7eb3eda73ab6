//! Where an attribute's value comes from: a field's name, or in JSON a path of members.
//!
//! ```text
//!   srcip                       a field; in JSON a member of the document
//!   client.geo.country          JSON: members within each other
//!   annotations."a.b/c"         a member whose name holds a dot stands in quotes
//!   target[].id                 each element of an array
//!   target[0].id                one element
//!   target[type=User].id        the first element whose member is that
//!   events[0].list[name=x].y    one element of an array within one element
//! ```

use super::intern::intern;

/// A field, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// The member that is read, as a path.
    pub(super) field: Vec<&'static str>,
    /// What is taken of it, if it is an array.
    pub(super) inner: Option<Inner>,
}

/// What of an array's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inner {
    pub(super) pick: Pick,
    /// The member of the element; the element itself if it is empty.
    pub(super) path: Vec<&'static str>,
    /// What is taken of that, if it is an array too.
    pub(super) then: Option<Box<Inner>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    Each,
    Index(usize),
    Where(&'static str, &'static str),
}

impl Path {
    /// A field of a flat format.
    pub(super) fn flat(name: &str) -> Self {
        Self { field: vec![intern(name)], inner: None }
    }

    /// A path of a JSON document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn json(text: &str) -> Result<Self, String> {
        let (field, rest) = members(text)?;
        Ok(Self { field, inner: Inner::parse(rest)? })
    }
}

impl Inner {
    /// `[pick].path`, and what of an array there; none of an empty text.
    fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some(text) = text.strip_prefix('[') else { return Ok(None) };
        let (pick, after) = text.split_once(']').ok_or("a [ that nothing closes")?;
        let pick = Pick::parse(pick)?;
        let (path, rest) = match after.strip_prefix('.') {
            Some(after) => members(after)?,
            None if after.is_empty() || after.starts_with('[') => (Vec::new(), after),
            None => return Err(format!("a . is missing before {after:?}")),
        };
        let then = Self::parse(rest)?.map(Box::new);
        if then.as_ref().is_some_and(|then| pick == Pick::Each || then.pick == Pick::Each) {
            return Err("[] of an array within an array: one element can be named, not all of them".to_owned());
        }
        Ok(Some(Self { pick, path, then }))
    }
}

impl Pick {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Each);
        }
        if let Some((key, value)) = text.split_once('=') {
            return Ok(Self::Where(intern(key), intern(value.trim_matches('"'))));
        }
        text.parse().map(Self::Index).map_err(|_| format!("[{text}] is neither [], [number] nor [member=value]"))
    }
}

/// Names with dots between them, and what follows: nothing or a bracket.
fn members(text: &str) -> Result<(Vec<&'static str>, &str), String> {
    let (mut names, mut rest) = (Vec::new(), text);
    loop {
        let (name, after) = segment(rest)?;
        names.push(intern(name));
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None if after.is_empty() || after.starts_with('[') => return Ok((names, after)),
            None => return Err(format!("a . is missing before {after:?}")),
        }
    }
}

/// The first name of a path and what follows it.
fn segment(text: &str) -> Result<(&str, &str), String> {
    let found = match text.strip_prefix('"') {
        Some(rest) => rest.split_once('"').ok_or("a quote that nothing closes")?,
        None => text.split_at(text.find(['.', '[']).unwrap_or(text.len())),
    };
    if found.0.is_empty() { Err("a name is missing".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_every_form() {
        let inner = |pick, path: &[&'static str]| Some(Inner { pick, path: path.to_vec(), then: None });
        for (text, field, want) in [
            ("a", vec!["a"], None),
            ("a.b", vec!["a", "b"], None),
            (r#"a."b.c/d".e"#, vec!["a", "b.c/d", "e"], None),
            ("a.t[].id", vec!["a", "t"], inner(Pick::Each, &["id"])),
            ("t[]", vec!["t"], inner(Pick::Each, &[])),
            ("t[12].x.y", vec!["t"], inner(Pick::Index(12), &["x", "y"])),
            ("t[type=User].id", vec!["t"], inner(Pick::Where("type", "User"), &["id"])),
        ] {
            assert_eq!(Path::json(text), Ok(Path { field, inner: want }), "{text}");
        }
        let within = Path::json("e[0].p[name=x].v").map(|path| path.inner);
        let then = inner(Pick::Where("name", "x"), &["v"]).map(Box::new);
        assert_eq!(within, Ok(Some(Inner { pick: Pick::Index(0), path: vec!["p"], then })));
        for text in ["", "a..b", "a[", "a[x]", "a[].b[]", "a[].b[0]", "a[0].b[]", "a[]b", "\"a"] {
            assert!(Path::json(text).is_err(), "{text}");
        }
    }
}
