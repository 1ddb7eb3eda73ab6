//! Window arithmetic: panes, and the windows that share them. Pure; microseconds UTC; windows are aligned to 1970-01-01.
//!
//! A pane is the longest stretch of time that no window of the rule divides: the greatest common divisor of slide and size.
//! Rows are aggregated once a pane; a window is the merge of its panes, so HOP costs no more per row than TUMBLE.

/// Most panes a window may have: beyond it, closing a window costs more than it is worth.
pub(crate) const PANES_MAX: i64 = 1_440;

/// A TUMBLE (slide = size) or HOP window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowSpec {
    /// Distance between the starts of windows.
    pub(crate) slide: i64,
    /// Length of a window.
    pub(crate) size: i64,
    /// Length of a pane.
    pub(crate) pane: i64,
}

impl WindowSpec {
    /// A window of `size` every `slide`, or why there is none.
    pub(crate) fn new(slide: i64, size: i64) -> Result<Self, String> {
        if slide <= 0 || size <= 0 {
            return Err("a window needs a slide and a size above zero".to_owned());
        }
        if slide > size {
            return Err("the slide is longer than the size: rows between the windows would never be seen".to_owned());
        }
        let pane = gcd(slide, size);
        if size / pane > PANES_MAX {
            return Err(format!(
                "the window has {} panes of {} us (the greatest common divisor of slide and size); at most {PANES_MAX}",
                size / pane,
                pane
            ));
        }
        Ok(Self { slide, size, pane })
    }

    /// Start of the pane that holds `time`.
    pub(crate) fn pane_of(&self, time: i64) -> i64 {
        time.div_euclid(self.pane).saturating_mul(self.pane)
    }

    /// Starts of the windows that hold the pane, rising.
    pub(crate) fn windows_of(&self, pane: i64) -> impl DoubleEndedIterator<Item = i64> {
        let last = pane.div_euclid(self.slide);
        let first = (pane + self.pane - self.size).div_euclid(self.slide);
        let first = if first * self.slide + self.size < pane + self.pane { first + 1 } else { first };
        (first..=last).map(move |n| n * self.slide)
    }

    /// Starts of the windows that hold the pane and end after `after`, at `until` at the latest; rising.
    pub(crate) fn windows_ending(&self, pane: i64, after: i64, until: i64) -> impl Iterator<Item = i64> {
        let first = pane.div_euclid(self.slide) - (self.last_end(pane) - self.first_end(pane)) / self.slide;
        let first = first.max(after.saturating_sub(self.size).div_euclid(self.slide) + 1);
        let last = pane.div_euclid(self.slide).min(until.saturating_sub(self.size).div_euclid(self.slide));
        (first..=last).map(|n| n * self.slide)
    }

    /// End of the first window that holds the pane.
    pub(crate) fn first_end(&self, pane: i64) -> i64 {
        self.windows_of(pane).next().unwrap_or(pane) + self.size
    }

    /// End of the last window that holds the pane.
    pub(crate) fn last_end(&self, pane: i64) -> i64 {
        pane.div_euclid(self.slide) * self.slide + self.size
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(slide: i64, size: i64) -> WindowSpec {
        WindowSpec::new(slide, size).expect("a window")
    }

    #[test]
    fn panes_and_their_windows() {
        // slide size | time -> pane: windows
        for (slide, size, time, pane, windows) in [
            (60, 60, 59, 0, vec![0]),
            (60, 60, 60, 60, vec![60]),
            (30, 60, 65, 60, vec![30, 60]),
            (30, 60, 5, 0, vec![-30, 0]),
            (20, 50, 45, 40, vec![0, 20, 40]),
            (20, 50, 55, 50, vec![20, 40]),
            (20, 50, -1, -10, vec![-40, -20]),
        ] {
            let spec = spec(slide, size);
            assert_eq!(spec.pane_of(time), pane, "{slide}/{size} at {time}");
            assert_eq!(spec.windows_of(pane).collect::<Vec<_>>(), windows, "{slide}/{size} at {time}");
            assert_eq!(spec.first_end(pane), windows[0] + size);
            assert_eq!(spec.last_end(pane), windows[windows.len() - 1] + size);
        }
    }

    #[test]
    fn every_time_lies_in_exactly_the_windows_of_its_pane() {
        for (slide, size) in [(1, 1), (3, 7), (4, 10), (5, 5), (6, 9)] {
            let spec = spec(slide, size);
            for time in -40..40 {
                let want: Vec<i64> = (-100..100).map(|n| n * slide).filter(|&s| s <= time && time < s + size).collect();
                assert_eq!(spec.windows_of(spec.pane_of(time)).collect::<Vec<_>>(), want, "{slide}/{size} at {time}");
            }
        }
    }

    #[test]
    fn windows_of_a_pane_by_their_end() {
        for (slide, size) in [(1, 1), (3, 7), (4, 10), (5, 5), (6, 9)] {
            let spec = spec(slide, size);
            for pane in (-20..20).map(|t| spec.pane_of(t)) {
                for (after, until) in [(i64::MIN, i64::MAX), (0, 12), (-5, -5), (7, i64::MAX), (i64::MIN, 3)] {
                    let want: Vec<i64> =
                        spec.windows_of(pane).filter(|s| s + size > after && s + size <= until).collect();
                    let found: Vec<i64> = spec.windows_ending(pane, after, until).collect();
                    assert_eq!(found, want, "{slide}/{size}, pane {pane}, ends in ({after}, {until}]");
                }
            }
        }
    }

    #[test]
    fn windows_that_cannot_be() {
        for (slide, size, why) in [(0, 5, "above zero"), (6, 5, "never be seen"), (7, 86_401, "panes")] {
            let error = WindowSpec::new(slide, size).expect_err("refused");
            assert!(error.contains(why), "{error}");
        }
        assert!(WindowSpec::new(1, PANES_MAX).is_ok());
        assert!(WindowSpec::new(1, PANES_MAX + 1).is_err());
    }
}
