//! A disk that is full, or nearly: what it refused is tried again, and producers wait.

use crate::base::ShardId;
use crate::base::io::IoDone;
use crate::log::Purpose;

use super::super::effect::IoId;
use super::super::event::{Event, Operation, Retry};
use super::super::turn::{News, Turn};
use super::io::{Issued, Tried};
use super::state::Store;

/// How long to wait before trying again what a full disk refused.
const RETRY_MS: u64 = 500;

impl Store {
    /// An operation has ended: what that means, and to whom.
    pub fn ended(&mut self, id: IoId, done: IoDone, turn: &mut Turn<'_>) -> Event {
        let Issued { operation, again, tried } = self.io.ended(id);
        if let Some(slot) = operation.holds() {
            self.partitions.op_done(slot);
            if operation.is_beside_the_log() && self.partitions.ended_beside(slot) {
                turn.tell(News::Quiet(slot));
            }
        }
        self.writeback.ended(operation);
        if tried == Tried::Again && !matches!(done, IoDone::DiskFull | IoDone::Failed(_)) {
            self.tell_space(turn);
        }
        let retry = if again.is_some() { Retry::Possible } else { Retry::Impossible };
        let event = operation.ended(done, retry);
        if let (Event::LogRefused { slot, .. }, Some(op)) = (&event, again) {
            // The operation counts as under way until it has succeeded.
            self.partitions.op_issued(*slot);
            self.io.refused.push((operation, op));
        }
        event
    }

    /// What a log wanted is done.
    pub fn log_done(&mut self, slot: u32, purpose: Purpose, turn: &mut Turn<'_>) {
        if self.with_log(slot, turn, |log, out| log.done(purpose, out)) == Some(true) {
            self.progressed(slot, turn);
        }
    }

    /// A full disk refused what a log needs: nothing is appended before it has been done.
    pub fn log_refused(&mut self, turn: &mut Turn<'_>) {
        self.disk_full = true;
        turn.tell(News::Room);
        self.io.retry_at.get_or_insert(turn.now.mono.plus_ms(RETRY_MS));
        turn.tell(News::Pressed);
        if !std::mem::replace(&mut self.io.told_full, true) {
            turn.notice(
                "the disk has no space for what was written: producing is refused until it has".to_owned(),
            );
        }
    }

    /// Tries again what a full disk refused; appends are taken again until something is refused anew.
    pub fn retry_full_disk(&mut self, turn: &mut Turn<'_>) {
        if self.io.retry_at.is_none_or(|at| turn.now.mono < at) {
            return;
        }
        self.io.retry_at = None;
        self.disk_full = false;
        turn.tell(News::Room);
        for (operation, op) in std::mem::take(&mut self.io.refused) {
            if let Operation::Log { slot, .. } = operation {
                self.partitions.op_done(slot);
            }
            self.issue_as(operation, op, Tried::Again, turn);
        }
    }

    fn tell_space(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.io.told_full) {
            turn.notice("the disk has space again: producing goes on".to_owned());
        }
    }

    /// What is free of the disk, and what producing must leave of it. What has been refused comes at once when there is
    /// space again, so it takes a little more to go on than to stop.
    pub fn disk_space(&mut self, free_bytes: u64, reserve_bytes: u64, turn: &mut Turn<'_>) {
        let wanted = if self.disk_low { reserve_bytes + reserve_bytes / 8 } else { reserve_bytes };
        let is_low = free_bytes < wanted;
        if is_low != self.disk_low && self.id() == ShardId(0) {
            let free = free_bytes >> 20;
            turn.notice(if is_low {
                format!("{free} MiB are left of the disk: producing is refused until there is more")
            } else {
                format!("{free} MiB of the disk are free again: producing goes on")
            });
        }
        if is_low {
            turn.tell(News::Pressed);
        }
        if is_low != self.disk_low {
            turn.tell(News::Room);
        }
        self.disk_low = is_low;
    }
}
