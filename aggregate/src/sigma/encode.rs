//! Modifiers that change a rule's text before it is looked for: `base64`, `base64offset`, `utf16` and its kin, `windash`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::pattern::{Part, plain};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf16Le,
    Utf16Be,
    /// With a byte order mark.
    Utf16,
    Base64,
    Base64Offset,
    Windash,
}

/// A text on its way: pieces with wildcards, or bytes that are no text yet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Parts(Vec<Part>),
    Bytes(Vec<u8>),
}

/// Places of a dash that are tried in every combination.
const DASHES_MAX: usize = 4;

/// What Windows programs take for the dash of an option.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// The texts that are looked for in the place of one.
///
/// # Errors
/// Why the text cannot be encoded so.
pub(super) fn encode(parts: Vec<Part>, encodings: &[Encoding]) -> Result<Vec<Vec<Part>>, &'static str> {
    let mut forms = vec![Form::Parts(parts)];
    for encoding in encodings {
        let each = forms.into_iter().map(|form| encoding.apply(form)).collect::<Result<Vec<_>, _>>()?;
        forms = each.into_iter().flatten().collect();
    }
    forms.into_iter().map(Form::finish).collect()
}

impl Form {
    fn bytes(self) -> Result<Vec<u8>, &'static str> {
        match self {
            Form::Bytes(bytes) => Ok(bytes),
            Form::Parts(parts) => match plain(&parts) {
                Some(text) => Ok(text.as_bytes().to_vec()),
                None => Err("a text with wildcards cannot be encoded"),
            },
        }
    }

    fn text(&self) -> Result<&str, &'static str> {
        match self {
            Form::Parts(parts) => plain(parts).ok_or("a text with wildcards cannot be encoded"),
            Form::Bytes(_) => Err("it is encoded twice"),
        }
    }

    fn finish(self) -> Result<Vec<Part>, &'static str> {
        match self {
            Form::Parts(parts) => Ok(parts),
            Form::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(vec![Part::Text(text)]),
                Err(_) => Err("utf16 is looked for as base64 or base64offset"),
            },
        }
    }
}

impl Encoding {
    /// True if what comes out is text in which case means no more than before.
    pub(super) fn keeps_case(self) -> bool {
        !matches!(self, Self::Base64 | Self::Base64Offset)
    }

    fn apply(self, form: Form) -> Result<Vec<Form>, &'static str> {
        let units = |form: &Form| Ok::<_, &'static str>(form.text()?.encode_utf16().collect::<Vec<u16>>());
        Ok(match self {
            Self::Utf16Le => vec![Form::Bytes(units(&form)?.into_iter().flat_map(u16::to_le_bytes).collect())],
            Self::Utf16Be => vec![Form::Bytes(units(&form)?.into_iter().flat_map(u16::to_be_bytes).collect())],
            Self::Utf16 => {
                let marked = [0xfeff].into_iter().chain(units(&form)?);
                vec![Form::Bytes(marked.flat_map(u16::to_le_bytes).collect())]
            }
            Self::Base64 => vec![text(BASE64_STANDARD.encode(form.bytes()?))],
            Self::Base64Offset => base64_at_each_offset(&form.bytes()?),
            Self::Windash => match form {
                Form::Parts(parts) => windash(&parts)?.into_iter().map(Form::Parts).collect(),
                Form::Bytes(_) => return Err("windash stands before other encodings"),
            },
        })
    }
}

fn text(text: String) -> Form {
    Form::Parts(vec![Part::Text(text)])
}

/// The base64 of the bytes wherever they stand in a longer input: what the bytes around them decide is cut off.
fn base64_at_each_offset(bytes: &[u8]) -> Vec<Form> {
    let at = |offset: usize| {
        let padded: Vec<u8> = std::iter::repeat_n(b' ', offset).chain(bytes.iter().copied()).collect();
        let encoded = BASE64_STANDARD.encode(&padded);
        let start = [0, 2, 3][offset];
        let end = encoded.len() - [0, 3, 2][padded.len() % 3];
        text(encoded.get(start..end).unwrap_or_default().to_owned())
    };
    (0..3).map(at).collect()
}

/// Each dash or slash that begins a word, as any of the dashes.
fn windash(parts: &[Part]) -> Result<Vec<Vec<Part>>, &'static str> {
    let mut all = vec![Vec::new()];
    let mut dashes = 0;
    for part in parts {
        let choices = match part {
            Part::Text(text) => dashed(text, &mut dashes),
            wildcard => vec![wildcard.clone()],
        };
        if dashes > DASHES_MAX {
            return Err("windash takes at most four options in one text");
        }
        let with = |before: &Vec<Part>| {
            choices.iter().map(|part| before.iter().cloned().chain([part.clone()]).collect()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    Ok(all)
}

fn dashed(text: &str, dashes: &mut usize) -> Vec<Part> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut all = vec![String::new()];
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_option =
            matches!(c, '-' | '/') && !before.is_some_and(is_word) && chars.peek().copied().is_some_and(is_word);
        *dashes += usize::from(is_option);
        if is_option && *dashes <= DASHES_MAX {
            all = all.iter().flat_map(|text| DASHES.map(|dash| format!("{text}{dash}"))).collect();
        } else {
            all.iter_mut().for_each(|text| text.push(c));
        }
        before = Some(c);
    }
    all.into_iter().map(Part::Text).collect()
}

#[cfg(test)]
mod tests {
    use super::super::pattern::parts;
    use super::*;

    fn encoded(text: &str, encodings: &[Encoding]) -> Result<Vec<String>, &'static str> {
        let all = encode(parts(text), encodings)?;
        Ok(all.iter().map(|parts| plain(parts).expect("no wildcards").to_owned()).collect())
    }

    #[test]
    fn texts_are_encoded_in_the_order_of_the_modifiers() {
        use Encoding::*;
        for (text, encodings, want) in [
            ("/bin/bash", &[Base64][..], &["L2Jpbi9iYXNo"][..]),
            ("foobar", &[Base64Offset], &["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]),
            ("ping", &[Utf16Le], &["p\0i\0n\0g\0"]),
            ("ping", &[Utf16Be], &["\0p\0i\0n\0g"]),
            ("ping", &[Utf16Le, Base64], &["cABpAG4AZwA="]),
            ("ping", &[Utf16, Base64], &["//5wAGkAbgBnAA=="]),
            ("-a", &[Windash], &["-a", "/a", "–a", "—a", "―a"]),
            ("x-a /", &[Windash], &["x-a /"]),
        ] {
            let want: Vec<String> = want.iter().map(|t| (*t).to_owned()).collect();
            assert_eq!(encoded(text, encodings), Ok(want), "{text} {encodings:?}");
        }
        assert_eq!(encoded("-a /b", &[Windash]).map(|all| all.len()), Ok(25));
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        use Encoding::*;
        for (text, encodings, want) in [
            ("a*", &[Base64][..], "wildcards"),
            ("a?", &[Utf16Le], "wildcards"),
            ("a", &[Utf16], "base64"),
            ("a", &[Utf16Le, Utf16Be], "twice"),
            ("a", &[Utf16Le, Windash], "before"),
            ("-a -b -c -d -e", &[Windash], "at most four"),
        ] {
            let why = encoded(text, encodings).expect_err(text);
            assert!(why.contains(want), "{text} {encodings:?}: {why}");
        }
    }
}
