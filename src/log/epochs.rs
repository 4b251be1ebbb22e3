//! Which leader wrote which part of the log: epoch → first offset, learned from batches alone, never from metadata.

use crate::base::{LeaderEpoch, Offset, Rule, holds};

use super::cut::Cut;

/// Epochs and their first offsets, ascending in both. There is at most one entry for each leader that the log still has
/// records of, and for the one of the last record before its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl EpochCache {
    #[must_use]
    pub fn from_starts(starts: Vec<(LeaderEpoch, Offset)>) -> EpochCache {
        let mut cache = EpochCache::default();
        for (epoch, start) in starts {
            cache.note(epoch, start);
        }
        cache
    }

    /// Takes note of a batch. Epochs below the latest are left out: they can only come from damage.
    pub fn note(&mut self, epoch: LeaderEpoch, base_offset: Offset) {
        let newer = self.starts.last().is_none_or(|(last, start)| epoch > *last && base_offset >= *start);
        if newer && epoch.0 >= 0 {
            self.starts.push((epoch, base_offset));
        }
    }

    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// The largest epoch not above `epoch`, and where it ends: where the next one begins, or at the log's end. An epoch
    /// before all that are known ends where they begin. `None` for one that nobody has led in yet, and for none (-1).
    #[must_use]
    pub fn end_of(&self, epoch: LeaderEpoch, log: LogNow) -> Option<(LeaderEpoch, Offset)> {
        if epoch == LeaderEpoch(-1) || epoch > log.epoch {
            return None;
        }
        if epoch == log.epoch {
            return Some((epoch, log.end));
        }
        let after = self.starts.partition_point(|(candidate, _)| *candidate <= epoch);
        // The leader's epoch begins at the log's end as long as it has no records.
        let end = self.starts.get(after).map_or(log.end, |(_, start)| (*start).max(log.start));
        let found = after.checked_sub(1).and_then(|at| self.starts.get(at));
        Some((found.map_or(epoch, |(found, _)| *found), end))
    }

    /// Compares the log with a reader's that has it up to `next`, whose last record was of `epoch` (KIP-595).
    #[must_use]
    pub fn agreement(&self, epoch: LeaderEpoch, next: Offset, log: LogNow) -> Agreement {
        match self.end_of(epoch, log) {
            None => Agreement::OutOfRange,
            Some(_) if next < log.start => Agreement::OutOfRange,
            Some((found, end)) if found < epoch || end < next => Agreement::Diverged { epoch: found, end },
            Some(_) => Agreement::Agreed,
        }
    }

    /// The epoch of the record at `offset`.
    #[must_use]
    pub fn at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.starts.partition_point(|(_, start)| *start <= offset);
        self.starts.get(after.checked_sub(1)?).map(|(epoch, _)| *epoch)
    }

    /// The largest epoch not above `epoch`, and where it ends, as one replica asks another: `None` if this log has no records
    /// of any such epoch. The leader's own epoch ends where the log does, also without a record.
    #[must_use]
    pub fn end_within(&self, epoch: LeaderEpoch, log: LogNow) -> Option<(LeaderEpoch, Offset)> {
        if epoch >= log.epoch {
            return Some((log.epoch, log.end));
        }
        let after = self.starts.partition_point(|(candidate, _)| *candidate <= epoch);
        let (found, _) = self.starts.get(after.checked_sub(1)?)?;
        let end = self.starts.get(after).map_or(log.end, |(_, start)| (*start).max(log.start));
        Some((*found, end))
    }

    /// Forgets what a cut takes away. Where nothing stays, the epoch before the new beginning is that of a record which is
    /// part of the log no more, as after retention: it keeps the log's last epoch from being none.
    pub fn cut(&mut self, cut: &Cut) {
        if !cut.keeps_nothing() {
            return self.truncate(cut.begin_at);
        }
        self.starts.clear();
        if holds(Rule::D4) && cut.begin_at > Offset(0) {
            self.note(cut.epoch, cut.begin_at.plus(-1));
        }
    }

    /// Forgets epochs that begin at or beyond `end`.
    pub fn truncate(&mut self, end: Offset) {
        self.starts.retain(|(_, start)| *start < end);
    }

    /// Forgets epochs that end below `start`: no record of theirs is left. That of the last record before `start` stays: a
    /// replica whose log ends just there asks with it, and without it no epoch here would be as old.
    pub fn forget_below(&mut self, start: Offset) {
        let latest = self.latest();
        let current = self.starts.partition_point(|(_, begins)| *begins < start);
        self.starts.drain(..current.saturating_sub(1));
        assert_eq!(self.latest(), latest, "the latest epoch is always known");
        assert!(self.starts.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "epochs ascend");
    }

    #[must_use]
    pub fn starts(&self) -> &[(LeaderEpoch, Offset)] {
        &self.starts
    }
}

/// What comes of comparing a reader's log with this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreement {
    Agreed,
    /// The logs are the same up to the end of this epoch at most: the reader goes back there.
    Diverged {
        epoch: LeaderEpoch,
        end: Offset,
    },
    /// Nobody has led in the reader's last epoch, or what it would read next is deleted: where to go on is the reader's to
    /// decide, as for any offset that is not there.
    OutOfRange,
}

/// A log as it is, for [`EpochCache::end_of`].
#[derive(Clone, Copy, Debug)]
pub struct LogNow {
    /// The epoch of its leader, which may have no records yet.
    pub epoch: LeaderEpoch,
    pub start: Offset,
    pub end: Offset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_kafkas() {
        let check = |starts: &[(i32, i64)], epoch: i32, offsets: (i64, i64), ends: &[(i32, i32, i64)]| {
            let starts = starts.iter().map(|(epoch, start)| (LeaderEpoch(*epoch), Offset(*start)));
            let cache = EpochCache::from_starts(starts.collect());
            let (start, end) = (Offset(offsets.0), Offset(offsets.1));
            let log = LogNow { epoch: LeaderEpoch(epoch), start, end };
            for (asked, found, end) in ends {
                let expected = (*end >= 0).then_some((LeaderEpoch(*found), Offset(*end)));
                assert_eq!(cache.end_of(LeaderEpoch(*asked), log), expected, "epoch {asked} of {cache:?}");
            }
        };
        let never = -1;
        // Nothing was ever written: only the leader's own epoch is there.
        check(&[], 0, (0, 0), &[(0, 0, 0), (1, never, -1), (-1, never, -1), (-2, -2, 0)]);
        check(&[], 4, (0, 0), &[(4, 4, 0), (3, 3, 0), (0, 0, 0), (5, never, -1), (i32::MAX, never, -1)]);
        // Epochs that were, that were left out, that are to come.
        let starts = [(2, 0), (5, 50)];
        check(&starts, 5, (0, 80), &[(2, 2, 50), (3, 2, 50), (4, 2, 50), (5, 5, 80), (6, never, -1)]);
        check(&starts, 5, (0, 80), &[(0, 0, 0), (1, 1, 0), (-1, never, -1)]);
        // The leader's epoch has no records yet.
        check(&starts, 7, (0, 80), &[(5, 5, 80), (6, 5, 80), (7, 7, 80), (8, never, -1)]);
        // Retention has taken the first records: what is before the log ends where the log begins.
        check(&starts, 5, (30, 80), &[(0, 0, 30), (1, 1, 30), (2, 2, 50), (5, 5, 80)]);
        check(&[(5, 50)], 5, (60, 80), &[(4, 4, 60), (5, 5, 80)]);
        check(&[(5, 50)], 5, (80, 80), &[(4, 4, 80), (5, 5, 80)]);
    }

    #[test]
    fn a_replica_is_told_of_the_largest_epoch_not_above_its_own() {
        let check = |starts: &[(i32, i64)],
                     epoch: i32,
                     offsets: (i64, i64),
                     ends: &[(i32, Option<(i32, i64)>)]| {
            let starts = starts.iter().map(|(epoch, start)| (LeaderEpoch(*epoch), Offset(*start)));
            let cache = EpochCache::from_starts(starts.collect());
            let log = LogNow { epoch: LeaderEpoch(epoch), start: Offset(offsets.0), end: Offset(offsets.1) };
            for (asked, told) in ends {
                let told = told.map(|(epoch, end)| (LeaderEpoch(epoch), Offset(end)));
                assert_eq!(cache.end_within(LeaderEpoch(*asked), log), told, "epoch {asked} of {cache:?}");
            }
        };
        let starts = [(2, 0), (5, 50)];
        check(&starts, 5, (0, 80), &[(2, Some((2, 50))), (4, Some((2, 50))), (5, Some((5, 80)))]);
        check(&starts, 5, (0, 80), &[(1, None), (-1, None)]);
        // The leader has written nothing yet in its own epoch.
        check(&starts, 7, (0, 80), &[(5, Some((5, 80))), (6, Some((5, 80))), (7, Some((7, 80)))]);
        check(&[], 7, (0, 0), &[(6, None), (-1, None), (7, Some((7, 0)))]);
        // What is before the log ends where it begins.
        check(&[(2, 10), (5, 50)], 5, (60, 80), &[(2, Some((2, 60))), (5, Some((5, 80)))]);
        // A log behind a snapshot.
        check(&[(3, 999)], 9, (1000, 1000), &[(3, Some((3, 1000))), (8, Some((3, 1000))), (2, None)]);
    }

    #[test]
    fn a_cut_forgets_what_begins_at_or_above_it() {
        let starts = |list: &[(i32, i64)]| {
            EpochCache::from_starts(list.iter().map(|(e, at)| (LeaderEpoch(*e), Offset(*at))).collect())
        };
        let whole = [(2, 0), (5, 50), (6, 80)];
        let anew = |at, epoch| Cut::to_begin_at(Offset(at), LeaderEpoch(epoch));
        for (cut, left) in [
            (Cut::at(Offset(80)), &[(2, 0), (5, 50)][..]),
            (Cut::at(Offset(81)), &whole),
            (Cut::at(Offset(50)), &[(2, 0)]),
            (Cut { begin_at: Offset(50), ..Cut::at(Offset(52)) }, &[(2, 0)]),
            (anew(500, 9), &[(9, 499)]),
            (anew(0, -1), &[]),
            (anew(40, -1), &[]),
        ] {
            let mut cache = starts(&whole);
            cache.cut(&cut);
            assert_eq!(cache, starts(left), "{cut:?}");
        }
    }

    #[test]
    fn readers_are_sent_back_to_where_the_logs_agreed() {
        let check = |epoch: i32, next: i64, expected: Agreement| {
            let starts = [(2, 10), (5, 50)].map(|(epoch, start)| (LeaderEpoch(epoch), Offset(start)));
            let cache = EpochCache::from_starts(starts.into());
            let log = LogNow { epoch: LeaderEpoch(5), start: Offset(20), end: Offset(80) };
            let got = cache.agreement(LeaderEpoch(epoch), Offset(next), log);
            assert_eq!(got, expected, "epoch {epoch}, next {next}");
        };
        let back = |epoch, end| Agreement::Diverged { epoch: LeaderEpoch(epoch), end: Offset(end) };
        // The leader's epoch: up to the log's end, and not beyond.
        check(5, 50, Agreement::Agreed);
        check(5, 80, Agreement::Agreed);
        check(5, 81, back(5, 80));
        // An earlier one: up to where the next begins.
        check(2, 20, Agreement::Agreed);
        check(2, 50, Agreement::Agreed);
        check(2, 51, back(2, 50));
        check(2, 99, back(2, 50));
        // One that this log has no records of, between two that it has.
        check(3, 40, back(2, 50));
        check(4, 99, back(2, 50));
        // One before all that are known: up to where they begin.
        check(1, 20, Agreement::Agreed);
        check(1, 21, back(1, 20));
        check(0, 99, back(0, 20));
        // One that is yet to come.
        check(6, 50, Agreement::OutOfRange);
        check(i32::MAX, 99, Agreement::OutOfRange);
        // Deleted records are that, whatever the epoch.
        check(5, 19, Agreement::OutOfRange);
        check(2, 0, Agreement::OutOfRange);
        check(0, 0, Agreement::OutOfRange);
    }

    #[test]
    fn an_epoch_is_known_as_long_as_it_has_records_or_ends_where_the_log_starts() {
        let cache = EpochCache::from_starts(vec![(LeaderEpoch(0), Offset(0)), (LeaderEpoch(3), Offset(50))]);
        let mut later = cache.clone();
        later.forget_below(Offset(49));
        assert_eq!(later, cache, "the first epoch still has a record");
        later.forget_below(Offset(50));
        assert_eq!(later, cache, "it is the epoch of what was before the start");
        later.forget_below(Offset(51));
        assert_eq!(later.starts(), [(LeaderEpoch(3), Offset(50))]);
        later.forget_below(Offset(90));
        assert_eq!(later.latest(), Some(LeaderEpoch(3)), "the latest is always known");
        assert_eq!(cache.at(Offset(49)), Some(LeaderEpoch(0)));
        assert_eq!(cache.at(Offset(50)), Some(LeaderEpoch(3)));
    }
}
