//! Where an attribute's value comes from: a field's name, or in JSON a path of members.
//!
//! ```text
//!   srcip                       a field; in JSON a member of the document
//!   client.geo.country          JSON: members within each other
//!   annotations."a.b/c"         a member whose name holds a dot stands in quotes
//!   target[].id                 each element of an array
//!   target[0].id                one element
//!   target[type=User].id        the first element whose member is that
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
        let mut found = Self { field: Vec::new(), inner: None };
        let mut rest = text;
        loop {
            let (name, after) = segment(rest)?;
            let into = found.inner.as_mut().map_or(&mut found.field, |inner| &mut inner.path);
            into.push(intern(name));
            rest = after;
            if let Some(after) = rest.strip_prefix('[') {
                let (pick, after) = after.split_once(']').ok_or("a [ that nothing closes")?;
                if found.inner.is_some() {
                    return Err("an array within an array cannot be divided".to_owned());
                }
                found.inner = Some(Inner { pick: Pick::parse(pick)?, path: Vec::new() });
                rest = after;
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => return Ok(found),
                None => return Err(format!("a . is missing before {rest:?}")),
            }
        }
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
        let inner = |pick, path: &[&'static str]| Some(Inner { pick, path: path.to_vec() });
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
        for text in ["", "a..b", "a[", "a[x]", "a[].b[]", "a[]b", "\"a"] {
            assert!(Path::json(text).is_err(), "{text}");
        }
    }
}
