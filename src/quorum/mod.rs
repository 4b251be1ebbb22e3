//! Who leads the metadata log, by votes, and what the votes of a majority commit. Pure: no log, no connection, no clock.
//!
//! The metadata log is replicated like any partition; what is its own is in this room. [`Quorum`] is one server's part in the
//! election: time, questions and answers go in, and an [`Outcome`] comes out: a file to write, messages to send, what the
//! server is from now on. [`Majority`] is what one leader commits, and judges which voters may follow on which. The shard
//! joins both with the log and the lanes.
//!
//! | rule | text | kept in |
//! |---|---|---|
//! | Q1 | epoch and vote are in the file before anything that depends on them leaves | `writes` |
//! | Q2 | one vote an epoch | `vote` |
//! | Q3 | a vote goes only to a log that is not behind the voter's own, by the candidate's flushed end | `vote` |
//! | Q4 | committed is what a majority has flushed, once that lies beyond the epoch's first record | `majority` |
//! | Q5 | a leader decides nothing before its first record is committed and folded | `majority` |
//! | Q6 | a metadata log is not cut below its own high watermark | `majority` |
//! | Q7 | voters change one at a time, each change after the one before it and after the epoch's first record is committed | `change`, `majority` |
//! | Q8 | whoever hears the leader refuses to help another candidate; whoever never heard it does not | `vote` |
//! | Q9 | a leader that hears no majority resigns | `follow` |
//! | Q10 | a vote is that of a file, not of a server: whoever drops its log votes as another one | `vote` |
//! | D4 | a log behind a snapshot has the snapshot's epoch | `vote` |
//! | D14 | every start needs a new epoch to lead | `election` |
//! | D15 | replaced voters commit nothing behind the record that replaced them | `majority` |
//!
//! # What the shard does with it
//!
//! - At a start: [`Quorum::new`] with the file's [`Ballot`] and the sets that the recovered log holds ([`VotersLog`]).
//! - After each input: writes [`Outcome::persist`] (and then says [`Quorum::persisted`]), sends what is to be sent, and takes the
//!   part it is given. [`Change::Lead`]: appends a LeaderRecord, makes a [`Majority`] at its offset. [`Change::Follow`]: opens the
//!   stream in that epoch. Any change ends what it was before, at once. [`Quorum::tick`] at [`Quorum::deadline`].
//! - A leader: [`Majority::flushed`] whenever somebody's flushed end moves; folds, publishes, says [`Quorum::committed`].
//!   [`Quorum::acked`] at every ack. Before any record, [`Majority::takes_records`] and [`Majority::may_decide`]; before a
//!   VotersRecord, [`Majority::judge`], then [`Majority::changed`]. Sends nothing from [`Majority::sends_until`] on.
//! - A follower: [`Quorum::voters_appended`] for each VotersRecord that comes, [`may_cut`] and [`Quorum::voters_truncated`] at a
//!   cut, [`Quorum::leader_heard`] at every frame, [`Quorum::leader_gone`] when the connection is closed.
//! - Everybody: [`Quorum::leader_named`] at every Hello, Welcome and Lead.
//!
//! A server that votes in nobody's view but its own does no harm: it gets no votes. One that is asked answers and keeps a ballot,
//! also if its own log does not say yet that it votes: the log may be behind that of whoever asks.
//!
//! Limits: [`Voters::MAX`] voters; one write of the ballot under way; 64 messages that wait for it. What is outside the model:
//! a directory that was restored from an old copy has forgotten votes and records. A candidate that knows of the restored
//! server's last start counts no vote from a log that lacks it, which is as much as can be seen.

mod ballot;
mod change;
mod election;
mod follow;
mod majority;
mod message;
mod standing;
#[cfg(test)]
mod tests;
mod vote;
mod voters;
mod writes;

pub use ballot::{Ballot, BallotError};
pub use change::{ChangeRefused, next_voters};
pub use election::Quorum;
pub use majority::{Counts, Majority, Moved, may_cut};
pub use message::{Change, Lead, Message, Outcome, VoteAnswer, VoteAsk, VoteKind};
pub use standing::{Contact, Standing, Timers};
pub use vote::log_end;
pub use voters::{Voters, VotersError, VotersLog};
