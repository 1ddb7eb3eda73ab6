//! How large and how long sessions are, where that was learned.

use crate::config::Traffic;
use crate::draw::Draw;
use crate::record::session::{Kind, Session, UPLOAD_MAX};

/// A number between two neighbors of the quantiles, each pair as likely; between them each doubling is as likely, for sizes
/// have long tails. None if there are no quantiles.
fn between(quantiles: &[u64], draw: &mut Draw) -> Option<u64> {
    let parts = quantiles.len().checked_sub(1).filter(|parts| *parts > 0)?;
    let part = draw.index(parts);
    let (low, high) = (quantiles[part], quantiles[part + 1]);
    let doublings = (high / low.max(1)).max(1).ilog2();
    let from = if doublings == 0 { low } else { low.max(1) << draw.below(u64::from(doublings) + 1) };
    let to = if doublings == 0 { high } else { (from * 2 - 1).min(high) };
    Some(from + draw.below(to.saturating_sub(from) + 1))
}

impl Traffic {
    /// True if nothing was learned of sessions themselves.
    pub(crate) fn is_usual(&self) -> bool {
        self.refused_per_mille.is_none() && self.sent.is_empty() && self.received.is_empty() && self.seconds.is_empty()
    }

    /// Whether the next session is to be refused; none if that was not learned.
    pub(crate) fn refuses(&self, draw: &mut Draw) -> Option<bool> {
        self.refused_per_mille.map(|share| draw.below(1_000) < u64::from(share))
    }

    /// Gives a session that was allowed and has ended the size and length that were learned. No upload is so large that
    /// the background would meet a rule.
    pub(crate) fn resize(&self, session: &mut Session<'_>, draw: &mut Draw) {
        if !matches!(session.kind, Kind::Traffic("end")) || !session.is_allowed() {
            return;
        }
        session.sent = between(&self.sent, draw).map_or(session.sent, |n| n.clamp(74, UPLOAD_MAX));
        session.received = between(&self.received, draw).unwrap_or(session.received);
        session.elapsed_s = between(&self.seconds, draw).map_or(session.elapsed_s, |s| s.min(86_400) as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lie_between_their_quantiles_each_part_as_often() {
        let quantiles = [0, 1, 7, 7, 100, 1 << 20];
        let mut draw = Draw::at(5, 1, 1);
        let drawn: Vec<u64> = (0..10_000).filter_map(|_| between(&quantiles, &mut draw)).collect();
        assert!(drawn.len() == 10_000 && drawn.iter().all(|n| *n <= 1 << 20));
        let below = |limit: u64| drawn.iter().filter(|n| **n <= limit).count();
        assert!((5_600..6_400).contains(&below(7)) && (7_600..8_400).contains(&below(100)));
        assert!((8_800..9_200).contains(&below(10_000)), "half of the doublings of the last part: {}", below(10_000));
        assert_eq!((between(&[], &mut draw), between(&[5], &mut draw)), (None, None));
        assert_eq!(between(&[5, 5], &mut draw), Some(5));
    }
}
