//! The lowest and highest of texts, cut short for statistics.

use super::properties::BOUND_BYTES;

/// Bounds of the texts seen.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    low: Option<String>,
    high: Option<String>,
}

/// A bound, and whether it is a value itself.
pub(super) type Bound = (Option<Vec<u8>>, bool);

impl Bounds {
    /// Takes a text in.
    pub(super) fn widen(&mut self, text: &str) {
        if self.low.as_deref().is_none_or(|low| text < low) {
            self.low = Some(text.to_owned());
        }
        if self.high.as_deref().is_none_or(|high| text > high) {
            self.high = Some(text.to_owned());
        }
    }

    /// Bounds of at most [`BOUND_BYTES`], cut between characters; none above a text that no short one is above.
    pub(super) fn cut(self) -> (Bound, Bound) {
        let whole = |text: Option<String>| (text.map(String::into_bytes), true);
        let low = match self.low {
            Some(low) if low.len() > BOUND_BYTES => (Some(head(&low).as_bytes().to_vec()), false),
            low => whole(low),
        };
        let high = match self.high {
            Some(high) if high.len() > BOUND_BYTES => (above(head(&high)), false),
            high => whole(high),
        };
        (low, high)
    }
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(BOUND_BYTES)]
}

/// The least text of no more bytes that is above all texts with this beginning.
fn above(text: &str) -> Option<Vec<u8>> {
    let raised = text.char_indices().rev().find_map(|(at, c)| {
        let next = char::from_u32(c as u32 + 1).filter(|next| next.len_utf8() == c.len_utf8())?;
        Some((at, next))
    });
    raised.map(|(at, next)| {
        let mut bound = text[..at].to_owned();
        bound.push(next);
        bound.into_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(texts: &[&str]) -> (Bound, Bound) {
        let mut bounds = Bounds::default();
        texts.iter().for_each(|text| bounds.widen(text));
        bounds.cut()
    }

    #[test]
    fn short_bounds_are_values_and_long_ones_are_cut() {
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(cut(&[]), ((None, true), (None, true)));
        assert_eq!(cut(&["b", "a", "c", ""]), ((bytes(""), true), (bytes("c"), true)));
        assert_eq!(
            cut(&["0123456789abcdefgh", "0123456789abcdefzz"]),
            ((bytes("0123456789abcdef"), false), (bytes("0123456789abcdeg"), false))
        );
        // Cut between characters; a last character that has no next one of its length is left out.
        assert_eq!(cut(&["0123456789abcdeé"]).0, (bytes("0123456789abcde"), false));
        assert_eq!(cut(&["0123456789abcde\u{7f}!"]).1, (bytes("0123456789abcdf"), false));
        assert_eq!(cut(&["\u{7f}".repeat(20).as_str()]).1, (None, false));
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_within(texts in proptest::collection::vec("\\PC{0,30}", 1..20)) {
            let ((low, _), (high, _)) = cut(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            for text in &texts {
                assert!(low.as_deref().is_some_and(|low| low <= text.as_bytes()));
                assert!(high.as_deref().is_none_or(|high| high >= text.as_bytes()));
            }
            assert!([low, high].into_iter().flatten().all(|b| b.len() <= BOUND_BYTES && std::str::from_utf8(&b).is_ok()));
        }
    }
}
