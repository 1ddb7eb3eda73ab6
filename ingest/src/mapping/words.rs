//! A vendor's words -> what they mean. Case does not count; `*` at either end stands for anything.

use crate::decode::names::Names;

use super::intern::intern;

/// The words of one field.
#[derive(Debug)]
pub(super) struct Words<T> {
    whole: Names<T>,
    parts: Vec<(Pattern, T)>,
}

/// A text to compare with, by its whole, its beginning, its end, or anything within.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Whole(Box<str>),
    Head(Box<str>),
    Tail(Box<str>),
    Within(Box<str>),
}

/// A longer text is no word.
const WORD_BYTES_MAX: usize = 256;

impl Pattern {
    pub(super) fn parse(text: &str) -> Self {
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(rest), Some(_)) if rest.len() > 1 => Self::Within(rest[..rest.len() - 1].into()),
            (Some(tail), _) => Self::Tail(tail.into()),
            (None, Some(head)) => Self::Head(head.into()),
            (None, None) => Self::Whole(text.into()),
        }
    }

    #[inline]
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Whole(whole) => **whole == *text,
            Self::Head(head) => text.starts_with(&**head),
            Self::Tail(tail) => text.ends_with(&**tail),
            Self::Within(part) => memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some(),
        }
    }
}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self { whole: Names::default(), parts: Vec::new() }
    }
}

impl<T> Words<T> {
    /// Adds a word or pattern.
    ///
    /// # Errors
    /// If it is there already.
    pub(super) fn add(&mut self, word: &str, meaning: T) -> Result<(), String> {
        match Pattern::parse(&word.to_ascii_lowercase()) {
            Pattern::Whole(word) => self.whole.add(intern(&word), meaning),
            pattern => {
                self.parts.push((pattern, meaning));
                Ok(())
            }
        }
    }

    /// What a word means: as a whole, else by the first pattern that fits.
    pub(super) fn find(&self, word: &str) -> Option<&T> {
        let mut lower = [0; WORD_BYTES_MAX];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        if let Some(found) = self.whole.get(lower) {
            return Some(found);
        }
        if self.parts.is_empty() {
            return None;
        }
        let lower = std::str::from_utf8(lower).ok()?;
        self.parts.iter().find(|(pattern, _)| pattern.fits(lower)).map(|(_, meaning)| meaning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_by_whole_head_tail_and_part() {
        let mut words = Words::default();
        for (word, meaning) in [("deny", 1), ("Block*", 2), ("*/Write", 3), ("*.get*", 4), ("blocked", 5), ("*", 6)] {
            words.add(word, meaning).expect(word);
        }
        for (word, want) in
            [("DENY", 1), ("block_all", 2), ("Blocked", 5), ("a/b/WRITE", 3), ("x.getAll", 4), ("denied", 6)]
        {
            assert_eq!(words.find(word), Some(&want), "{word}");
        }
        assert_eq!(words.find(&"x".repeat(WORD_BYTES_MAX + 1)), None);
        assert!(words.add("Deny", 7).is_err());
    }
}
