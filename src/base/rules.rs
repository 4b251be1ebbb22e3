//! Rules that keep acknowledged records, each with a switch for tests: with a rule off, the simulator must find a violation.
//!
//! In an optimised build every rule holds, and asking costs nothing. In a debug build one rule at a time can be off, for the
//! whole process. A rule's name is that of the design: R1 to R12 for replicas, Q1 to Q10 for the quorum, D and U for what an
//! attack on the design has found. The text of each is beside the code that keeps it.

use std::fmt;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicUsize, Ordering};

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A rule that can be switched off.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }
        impl Rule {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];
            /// The name, as tests are told it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Rule::$name => stringify!($name),)*
                }
            }
        }
    };
}

rules! {
    /// The high watermark is the least flushed end over the maximal ISR, and moves only with an ISR of the minimum.
    R1,
    /// The maximal ISR holds whoever was asked for and not decided yet.
    R2,
    /// What was asked for leaves the maximal ISR by a newer image or a refusal of the member itself, never by a refused epoch.
    R2b,
    /// A follower counts only after an ack in this leader epoch, from the broker epoch that the image names.
    R3,
    /// A follower may join the ISR only with all below the high watermark and below the epoch's start.
    R4,
    /// What needs the whole log waits until the high watermark has reached the epoch's start.
    R5,
    /// A log is cut only where the leader of the same epoch says, never below the own high watermark.
    R6,
    /// A change of the ISR names the epochs it was decided on.
    R7,
    /// A new incarnation leaves every ISR first.
    R8,
    /// Without a member of the ISR only an eligible replica leads.
    R9,
    /// A leader that cannot reach the controller for a session stops what does not wait for all.
    R10,
    /// Requests that wait for acks fail in the input that changes the epoch.
    R11,
    /// A partition is deleted only for a removal seen between two images that are both caught up.
    R12,
    /// Epoch and vote are durable before anything depends on them.
    Q1,
    /// One vote an epoch.
    Q2,
    /// A vote goes only to a log that is not behind.
    Q3,
    /// What a majority has flushed is committed once it lies beyond the epoch's first record.
    Q4,
    /// A leader decides nothing before its first record is committed and folded.
    Q5,
    /// A metadata log is not cut below its own high watermark.
    Q6,
    /// The voters change by one at a time, and not before the epoch's first record is committed.
    Q7,
    /// A server that hears the leader refuses a pre-vote.
    Q8,
    /// A leader without a majority's acks resigns.
    Q9,
    /// A voter whose log was dropped is another voter.
    Q10,
    /// After a cut, earlier commit entries of the partition are not replayed.
    Fence,
    /// A cut is written down before it is made.
    Intent,
    /// Compaction leaves the latest batches of each idempotent producer.
    ProducersStay,
    /// The controller takes the asks of one leader in their order.
    AskOrder,
    /// The ISR acts by the image, never by the answer to a request.
    IsrByImage,
    /// A new incarnation costs a leader epoch wherever there are other replicas.
    EpochAtRestart,
    /// Strays are judged only after the quorum was heard.
    StraysLate,
    /// The leader's high watermark is taken over only after the log agrees with the leader's.
    AgreeFirst,
    /// Every new leader epoch opens the stream anew, also with the same leader.
    OpenAnew,
    /// A replica that leaves the assignment costs a leader epoch.
    D2,
    /// A log that begins with a snapshot has the snapshot's epoch.
    D4,
    /// A server publishes only metadata that is durable here.
    D5,
    /// A directory is intact only if it has all it had when it was last unfenced.
    D6,
    /// The record that makes a server's state visible comes last.
    D8,
    /// Damage to a commit log is damage to all its partitions.
    D9,
    /// The minimum is compared with the ISR of the image.
    D11,
    /// Compaction keeps the first batch of every epoch.
    D12,
    /// No change of an assignment leaves it without a member that has everything.
    D13,
    /// Every start of a voter needs a new epoch to lead.
    D14,
    /// The old voters commit nothing behind the record that replaces them.
    D15,
    /// A cut lets no old file of the partition be used again.
    D16,
    /// Servers that are gone together leave an ISR together.
    U0,
    /// A changed minimum clears the eligible replicas only where somebody may go on.
    U2,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(debug_assertions)]
static OFF: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Whether the rule holds: always, but for a test that has switched it off.
#[inline]
#[must_use]
pub fn holds(rule: Rule) -> bool {
    #[cfg(debug_assertions)]
    {
        OFF.load(Ordering::Relaxed) != rule as usize
    }
    #[cfg(not(debug_assertions))]
    {
        _ = rule;
        true
    }
}

/// Switches one rule off, or all on again, for the whole process.
#[cfg(debug_assertions)]
pub fn switch_off(rule: Option<Rule>) {
    OFF.store(rule.map_or(usize::MAX, |rule| rule as usize), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_rule() {
        let names: std::collections::BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        assert!(Rule::ALL.iter().all(|rule| holds(*rule)));
    }
}
