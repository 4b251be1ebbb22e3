//! How far the high watermark may go.

use crate::base::{Offset, Rule, holds, mark};

use super::assignment::{Counts, Ends};
use super::progress::Progress;

/// What the high watermark follows from.
pub(super) struct Facts<'a> {
    pub own: Ends,
    pub epoch_start: Offset,
    pub counts: Counts,
    /// Members of the ISR of the image, the leader included.
    pub isr_size: usize,
    pub min_isr: usize,
    pub followers: &'a [Progress],
}

impl Facts<'_> {
    /// The offset below which every member of the maximal ISR has everything (R1, R2), if there are enough of them.
    #[inline]
    pub fn committed(&self) -> Option<Offset> {
        let own = self.own.counted(self.counts);
        if !holds(Rule::R1) {
            return Some(own);
        }
        if !self.has_minimum() {
            return None;
        }
        self.followers
            .iter()
            .filter(|follower| is_waited_for(follower))
            .try_fold(own, |least, follower| Some(least.min(self.end_of(follower)?)))
    }

    /// Whether the ISR of the image has the minimum (D11). Who was only asked for may never get in.
    #[inline]
    pub fn has_minimum(&self) -> bool {
        let counted = if holds(Rule::D11) {
            self.isr_size
        } else {
            1 + self.followers.iter().filter(|follower| follower.is_waited_for()).count()
        };
        counted >= self.min_isr
    }

    /// A follower's end; none before its first word in this epoch (R3).
    fn end_of(&self, follower: &Progress) -> Option<Offset> {
        match follower.ends {
            Some(ends) => Some(ends.counted(self.counts)),
            None if !holds(Rule::R3) => Some(self.epoch_start),
            None => {
                mark("high watermark waits for a member's first ack of the epoch");
                None
            }
        }
    }
}

fn is_waited_for(follower: &Progress) -> bool {
    if holds(Rule::R2) { follower.is_waited_for() } else { follower.in_isr }
}
