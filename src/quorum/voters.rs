//! Who votes: a set of voters, and the sets that the log holds.
//!
//! The set that counts is that of the last VotersRecord in the log, committed or not (rule Q7). What is not committed may be
//! cut off again, so the sets before it are kept until then. At most [`Voters::MAX`] voters; a log's sets at most
//! [`VotersLog::RECORDS_MAX`].

use crate::base::{Offset, ServerId, Voter};

/// A set of voters, in order. May be empty: a server that joins does not know who votes before it has the log.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Voters(Vec<Voter>);

/// Why voters are no set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VotersError {
    #[error("{0} voters are more than {max}", max = Voters::MAX)]
    TooMany(usize),
    #[error("server {0} would vote twice")]
    Twice(ServerId),
}

impl Voters {
    /// More would make each record wait for more disks, and nobody safer.
    pub const MAX: usize = 16;

    pub fn new(voters: impl IntoIterator<Item = Voter>) -> Result<Voters, VotersError> {
        let mut voters: Vec<Voter> = voters.into_iter().collect();
        voters.sort_unstable();
        if let Some(pair) = voters.windows(2).find(|pair| pair[0].server == pair[1].server) {
            return Err(VotersError::Twice(pair[0].server));
        }
        if voters.len() > Self::MAX {
            return Err(VotersError::TooMany(voters.len()));
        }
        Ok(Voters(voters))
    }

    /// The voters of a directory that never had others.
    #[must_use]
    pub fn sole(voter: Voter) -> Voters {
        Voters(vec![voter])
    }

    pub fn iter(&self) -> impl Iterator<Item = Voter> + '_ {
        self.0.iter().copied()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn contains(&self, voter: Voter) -> bool {
        self.0.contains(&voter)
    }

    #[must_use]
    pub fn is_sole(&self, voter: Voter) -> bool {
        self.0 == [voter]
    }

    /// How many voters are more than half. No number of votes is enough where nobody votes.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// Whether those who are in favour are more than half.
    #[must_use]
    pub fn agree(&self, in_favour: impl Fn(Voter) -> bool) -> bool {
        self.iter().filter(|voter| in_favour(*voter)).count() >= self.majority()
    }
}

/// The voter sets of a log: those whose record may still be cut off, and the one below them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct VotersLog {
    base: Voters,
    /// By the offset of their record, ascending.
    records: Vec<(Offset, Voters)>,
}

impl VotersLog {
    /// Beyond so many that are not known to be committed, the oldest counts as committed.
    pub const RECORDS_MAX: usize = 64;

    /// A log in which these voters are the ones of a snapshot, or of a directory without any VotersRecord.
    #[must_use]
    pub fn new(base: Voters) -> VotersLog {
        VotersLog { base, records: Vec::new() }
    }

    /// The voters that count.
    #[must_use]
    pub fn current(&self) -> &Voters {
        self.records.last().map_or(&self.base, |(_, voters)| voters)
    }

    /// A VotersRecord was appended at this offset.
    pub fn appended(&mut self, at: Offset, voters: Voters) {
        self.truncated(at);
        self.records.push((at, voters));
        if self.records.len() > Self::RECORDS_MAX {
            self.base = self.records.remove(0).1;
        }
    }

    /// The log ends here now.
    pub fn truncated(&mut self, end: Offset) {
        self.records.retain(|(at, _)| *at < end);
    }

    /// What is below the high watermark is never cut off.
    pub fn committed(&mut self, high_watermark: Offset) {
        while self.records.first().is_some_and(|(at, _)| *at < high_watermark) {
            self.base = self.records.remove(0).1;
        }
    }

    /// The offset of the last record that is not known to be committed.
    #[must_use]
    pub fn uncommitted(&self) -> Option<Offset> {
        self.records.last().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::VoterId;

    fn voter(server: i32) -> Voter {
        Voter { server: ServerId(server), id: VoterId([1; 16]) }
    }

    fn set(servers: &[i32]) -> Voters {
        Voters::new(servers.iter().map(|server| voter(*server))).unwrap()
    }

    #[test]
    fn a_majority_is_more_than_half() {
        for (count, majority) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (16, 9)] {
            let voters = set(&(0..count).collect::<Vec<_>>());
            assert_eq!(voters.majority(), majority, "{count}");
            let limit = ServerId(i32::try_from(majority).unwrap());
            assert_eq!(voters.agree(|voter| voter.server < limit), count > 0, "{count}");
            assert!(!voters.agree(|voter| voter.server < ServerId(limit.0 - 1)), "{count}");
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let other = Voter { server: ServerId(2), id: VoterId([2; 16]) };
        assert_eq!(Voters::new([voter(2), voter(1), other]), Err(VotersError::Twice(ServerId(2))));
        assert_eq!(Voters::new((0..17).map(voter)), Err(VotersError::TooMany(17)));
        assert_eq!(set(&[3, 1, 2]).iter().map(|voter| voter.server.0).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn the_last_set_in_the_log_counts() {
        let mut log = VotersLog::new(set(&[1]));
        log.appended(Offset(10), set(&[1, 2, 3]));
        log.appended(Offset(20), set(&[1, 2, 3, 4]));
        assert_eq!((log.current(), log.uncommitted()), (&set(&[1, 2, 3, 4]), Some(Offset(20))));
        log.truncated(Offset(20));
        assert_eq!(log.current(), &set(&[1, 2, 3]));
        log.committed(Offset(10));
        assert_eq!(log.uncommitted(), Some(Offset(10)));
        log.committed(Offset(11));
        assert_eq!((log.current(), log.uncommitted()), (&set(&[1, 2, 3]), None));
        log.truncated(Offset(0));
        assert_eq!(log.current(), &set(&[1, 2, 3]));
        for at in 0..100 {
            log.appended(Offset(at), set(&[1]));
        }
        assert_eq!(log.records.len(), VotersLog::RECORDS_MAX);
    }
}
