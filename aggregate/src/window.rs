//! Window arithmetic: panes, and the windows that share them. Pure; microseconds UTC; windows are aligned to 1970-01-01.
//!
//! A pane is the longest stretch of time that no window of the rule divides: the greatest common divisor of slide and size.
//! Rows are aggregated once a pane; a window is the merge of its panes, so HOP and CUMULATE cost no more per row than TUMBLE.
//! A window is known by its end: no two end at once.
//!
//! ```text
//!   TUMBLE 4      [--][--][--]        HOP 2/4   [--]          CUMULATE 2/6   [][-][--]      then anew
//!                                                 [--]                       (all three begin where the first does)
//! ```
//!
//! SESSION windows are each key's own: they begin with a row and end a gap after the last one. A pane as long as the gap never
//! holds rows of two sessions of a key, so panes hold their state too, with the times of a key's first and last row in each. A
//! session is cut where the clock passes a multiple of its longest length: where, does not depend on what came late.

/// Most panes a window may have: beyond it, closing a window costs more than it is worth.
pub(crate) const PANES_MAX: i64 = 1_440;

/// How a rule's windows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowSpec {
    pub(crate) kind: WindowKind,
    /// Distance between the ends of windows; of SESSION the gap that ends one.
    pub(crate) slide: i64,
    /// Length of a window; of CUMULATE that of the last, with which they begin anew; of SESSION the distance between cuts.
    pub(crate) size: i64,
    /// Length of a pane.
    pub(crate) pane: i64,
}

/// The window function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowKind {
    /// TUMBLE is a HOP whose slide is its size.
    Hop,
    Cumulate,
    Session,
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
        Ok(Self { kind: WindowKind::Hop, slide, size, pane })
    }

    /// Windows that grow by `step` up to `size`, or why there are none.
    pub(crate) fn cumulate(step: i64, size: i64) -> Result<Self, String> {
        if step > 0 && size > 0 && size % step != 0 {
            return Err("the size of CUMULATE is a multiple of its step".to_owned());
        }
        Ok(Self { kind: WindowKind::Cumulate, ..Self::new(step, size)? })
    }

    /// Sessions that end `gap` after a key's last row, cut at the multiples of `longest`, or why there are none.
    pub(crate) fn session(gap: i64, longest: i64) -> Result<Self, String> {
        if gap > 0 && longest > 0 && longest % gap != 0 {
            return Err("the longest length of SESSION is a multiple of its gap".to_owned());
        }
        Ok(Self { kind: WindowKind::Session, ..Self::new(gap, longest)? })
    }

    /// The longest SESSION if none is written: a day, or what is nearest below it.
    pub(crate) fn longest_session(gap: i64) -> i64 {
        const DAY: i64 = 86_400_000_000;
        let panes = (DAY / gap.max(1)).clamp(1, PANES_MAX);
        panes.saturating_mul(gap)
    }

    /// True for SESSION.
    pub(crate) fn is_session(&self) -> bool {
        self.kind == WindowKind::Session
    }

    /// End of a session whose last row is at `last`.
    pub(crate) fn session_end(&self, last: i64) -> i64 {
        let cut = last.div_euclid(self.size).saturating_add(1).saturating_mul(self.size);
        last.saturating_add(self.slide).min(cut)
    }

    /// Start of the pane that holds `time`.
    pub(crate) fn pane_of(&self, time: i64) -> i64 {
        time.div_euclid(self.pane).saturating_mul(self.pane)
    }

    /// Start of the window that ends there.
    pub(crate) fn start_of(&self, end: i64) -> i64 {
        if self.kind == WindowKind::Cumulate { (end - 1).div_euclid(self.size) * self.size } else { end - self.size }
    }

    /// Ends of the windows that hold the pane: after `after`, at `until` at the latest; rising.
    pub(crate) fn ends(&self, pane: i64, after: i64, until: i64) -> impl Iterator<Item = i64> {
        let number = |end: i64| end.saturating_sub(self.size).div_euclid(self.slide);
        let first = number(self.first_end(pane)).max(number(after) + 1);
        let last = number(self.last_end(pane)).min(number(until));
        (first..=last).map(|n| n * self.slide + self.size)
    }

    /// End of the first window that holds the pane.
    pub(crate) fn first_end(&self, pane: i64) -> i64 {
        let behind = (pane + self.pane - self.size).rem_euclid(self.slide);
        pane + self.pane + if behind == 0 { 0 } else { self.slide - behind }
    }

    /// End of the last window that holds the pane.
    pub(crate) fn last_end(&self, pane: i64) -> i64 {
        let apart = if self.kind == WindowKind::Cumulate { self.size } else { self.slide };
        pane.div_euclid(apart) * apart + self.size
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of all three kinds.
    fn specs() -> impl Iterator<Item = WindowSpec> {
        let hop = [(1, 1), (3, 7), (4, 10), (5, 5), (6, 9)].map(|(slide, size)| WindowSpec::new(slide, size));
        let cumulate = [(1, 1), (2, 6), (5, 5), (3, 12)].map(|(step, size)| WindowSpec::cumulate(step, size));
        hop.into_iter().chain(cumulate).map(|spec| spec.expect("a window"))
    }

    /// Start and end of every window near zero, said as simply as possible.
    fn windows(spec: WindowSpec) -> Vec<(i64, i64)> {
        let starts = (-100..100).map(|n| n * spec.slide);
        if spec.kind != WindowKind::Cumulate {
            return starts.map(|start| (start, start + spec.size)).collect();
        }
        let grown = |start| (1..=spec.size / spec.slide).map(move |n| (start, start + n * spec.slide));
        starts.filter(|start| start % spec.size == 0).flat_map(grown).collect()
    }

    #[test]
    fn panes_and_their_windows() {
        type Make = fn(i64, i64) -> Result<WindowSpec, String>;
        let (hop, cumulate): (Make, Make) = (WindowSpec::new, WindowSpec::cumulate);
        // windows by slide, size | time -> pane: windows
        for (kind, slide, size, time, pane, windows) in [
            (hop, 60, 60, 59, 0, vec![(0, 60)]),
            (hop, 60, 60, 60, 60, vec![(60, 120)]),
            (hop, 30, 60, 65, 60, vec![(30, 90), (60, 120)]),
            (hop, 30, 60, 5, 0, vec![(-30, 30), (0, 60)]),
            (hop, 20, 50, 45, 40, vec![(0, 50), (20, 70), (40, 90)]),
            (hop, 20, 50, 55, 50, vec![(20, 70), (40, 90)]),
            (hop, 20, 50, -1, -10, vec![(-40, 10), (-20, 30)]),
            (cumulate, 20, 60, 45, 40, vec![(0, 60)]),
            (cumulate, 20, 60, 60, 60, vec![(60, 80), (60, 100), (60, 120)]),
            (cumulate, 20, 60, -1, -20, vec![(-60, 0)]),
        ] {
            let spec = kind(slide, size).expect("a window");
            assert_eq!(spec.pane_of(time), pane, "{spec:?} at {time}");
            let found: Vec<_> = spec.ends(pane, i64::MIN, i64::MAX).map(|end| (spec.start_of(end), end)).collect();
            assert_eq!(found, windows, "{spec:?} at {time}");
        }
    }

    #[test]
    fn every_time_lies_in_exactly_the_windows_of_its_pane() {
        for spec in specs() {
            for time in -40..40 {
                let want: Vec<(i64, i64)> =
                    windows(spec).into_iter().filter(|(s, e)| *s <= time && time < *e).collect();
                let pane = spec.pane_of(time);
                let found: Vec<_> = spec.ends(pane, i64::MIN, i64::MAX).map(|end| (spec.start_of(end), end)).collect();
                assert_eq!(found, want, "{spec:?} at {time}");
                assert_eq!((spec.first_end(pane), spec.last_end(pane)), (want[0].1, want[want.len() - 1].1));
            }
        }
    }

    #[test]
    fn windows_of_a_pane_by_their_end() {
        for spec in specs() {
            for pane in (-20..20).map(|t| spec.pane_of(t)) {
                for (after, until) in [(i64::MIN, i64::MAX), (0, 12), (-5, -5), (7, i64::MAX), (i64::MIN, 3)] {
                    let all = spec.ends(pane, i64::MIN, i64::MAX);
                    let want: Vec<i64> = all.filter(|end| *end > after && *end <= until).collect();
                    let found: Vec<i64> = spec.ends(pane, after, until).collect();
                    assert_eq!(found, want, "{spec:?}, pane {pane}, ends in ({after}, {until}]");
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
        assert!(WindowSpec::cumulate(4, 10).expect_err("refused").contains("a multiple"));
        assert!(WindowSpec::cumulate(0, 10).expect_err("refused").contains("above zero"));
        assert!(WindowSpec::session(4, 10).expect_err("refused").contains("a multiple"));
        assert!(WindowSpec::new(1, PANES_MAX).is_ok());
        assert!(WindowSpec::new(1, PANES_MAX + 1).is_err());
    }

    #[test]
    fn a_session_ends_a_gap_after_its_last_row_or_at_the_cut() {
        let spec = WindowSpec::session(10, 60).expect("a window");
        for (last, end) in [(0, 10), (45, 55), (50, 60), (55, 60), (59, 60), (60, 70), (-1, 0), (-15, -5)] {
            assert_eq!(spec.session_end(last), end, "{last}");
        }
        const SECOND: i64 = 1_000_000;
        for (gap, longest) in [(1, 1_440), (60 * SECOND, 86_400 * SECOND), (3_600 * SECOND, 86_400 * SECOND)] {
            assert_eq!(WindowSpec::longest_session(gap), longest, "{gap}");
            assert!(WindowSpec::session(gap, longest).is_ok(), "{gap}");
        }
        assert_eq!(WindowSpec::longest_session(172_800 * SECOND), 172_800 * SECOND, "the gap itself is the least");
    }
}
