//! What is cleared away of the journals.

use super::pair::both;
use super::play::{Play, Told, pick};

impl Play {
    /// The oldest events, or one operation that has ended or has not: nothing but what may go, whatever is asked for.
    pub async fn clear(&mut self, what: u8, n: u8) -> Told {
        let at = self.at();
        let gone = if what.is_multiple_of(2) {
            let old = both!(self.pair, store => store.old_events(u32::from(n % 8))).unwrap();
            let to = old.oldest.last().map_or(0, |(seq, _)| *seq);
            both!(self.pair, store => store.clear_events(to)).unwrap()
        } else {
            let first = both!(self.pair, store => store.ended_operations(None, 2)).unwrap();
            let after = first.last().map(|one| (one.finished_at, one.id));
            let more = both!(self.pair, store => store.ended_operations(after, 1000)).unwrap();
            let ended = first.iter().chain(&more).map(|one| one.id);
            let ended: Vec<_> = ended.collect();
            let one = pick(&ended, n).filter(|_| n < 200);
            let one = one.or_else(|| pick(&self.known.operations, n))?;
            let done = both!(self.pair, store => store.clear_operations(&[one], at)).unwrap();
            assert_eq!(done.dealt_with, 1);
            done.operations
        };
        both!(self.pair, store => store.journal_counts()).unwrap();
        both!(self.pair, store => store.cleared_events()).unwrap();
        Some(gone == 0)
    }
}
