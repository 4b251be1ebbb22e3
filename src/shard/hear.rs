//! What the rooms hear: the ends of operations, and the news of the rooms before them.

use crate::log::Purpose;

use super::Shard;
use super::event::Event;
use super::turn::{News, Turn};

impl Shard {
    /// Hands an event to the room it concerns.
    pub(super) fn happened(&mut self, event: Event, turn: &mut Turn<'_>) {
        let Shard { store, read, replica, upkeep, seats, .. } = self;
        match event {
            Event::LogDone { slot, purpose } => {
                if purpose == Purpose::Delete {
                    upkeep.deleted(turn.now.mono);
                }
                store.log_done(slot, purpose, turn);
            }
            Event::LogCut { slot, found } => store.truncated(slot, &found, turn),
            Event::LogRefused { .. } => store.log_refused(turn),
            Event::CommitGroupWritten => store.commit_group_written(turn),
            Event::BallotWritten => seats.ballot_written(replica, store, turn),
            Event::SnapshotWritten(outcome) => seats.snapshot_written(outcome, replica, store, turn),
            Event::OldSnapshotsRemoved => {}
            Event::AllSynced => store.all_synced(turn),
            Event::CommitFile { file, is_made } => store.commit_file_ended(file, is_made),
            Event::CheckpointWritten { serial } => {
                upkeep.covered(read, store, turn);
                store.checkpoint_written(serial, turn);
            }
            Event::CheckpointRefused { serial } => {
                upkeep.not_covered();
                store.checkpoint_refused(serial);
            }
            Event::IndexRead { reader, slot, segment, index } => {
                read.index_read(reader, (slot, segment), index.as_ref(), store, turn);
            }
            Event::IndexMended { slot, segment, index } => {
                read.index_mended((slot, segment), index.as_ref(), store, turn);
            }
            Event::WindowRead { window, bytes } => read.window_read(window, bytes, store, turn),
            Event::Scrubbed(outcome) => upkeep.scrubbed(outcome, store, turn),
            Event::PartitionDeleted { slot } => store.partition_deleted(slot, turn),
            Event::Spared { slot, past, is_made } => upkeep.spared(slot, past, is_made, store, turn),
            Event::Compacted { slot, outcome } => upkeep.compacted(slot, outcome, store, turn),
            Event::Failed(reason) => store.fail(reason, turn),
        }
    }

    /// Tells the rooms what the ones before them have to say, until nothing is left; then the long polls that were woken
    /// are answered.
    pub(super) fn hear(&mut self, turn: &mut Turn<'_>) {
        // Most inputs have none: they pay for no more than this look.
        if turn.has_news() || self.read.has_woken() {
            self.hear_all(turn);
        }
    }

    fn hear_all(&mut self, turn: &mut Turn<'_>) {
        let Shard { store, read, replica, upkeep, seats, .. } = self;
        loop {
            while let Some(news) = turn.next_news() {
                match news {
                    News::Moved(slot) => {
                        read.wake(slot);
                        replica.moved(slot, store, turn);
                        seats.progressed(slot, replica, store, turn);
                        seats.load(read, store, turn);
                    }
                    News::Role(slot) => {
                        read.wake(slot);
                        replica.role_changed(slot, store, turn);
                        seats.role_changed(slot, store, turn);
                    }
                    News::Appended(slot) => replica.appended(slot),
                    News::Run { stream, results } => replica.run_read(stream, results, store),
                    News::Acked { voter, flushed } => seats.acked(voter, flushed, replica, store, turn),
                    News::Cut(slot) => {
                        // Segments with the same names may come again, with other bytes.
                        if let Some(id) = store.partitions.get(slot).map(|it| it.log().id) {
                            read.forget_partition(id);
                        }
                        upkeep.cut(slot);
                        replica.cut_done(slot, store, turn);
                        seats.cut(slot, replica, store, turn);
                    }
                    News::Quiet(slot) => store.begin_waiting_cut(slot, turn),
                    News::Snapshot(gathered) => seats.snapshot(gathered, replica, store, turn),
                    News::Replicated(batches) => seats.replicated(&batches, replica, store, turn),
                    News::Room => replica.room_changed(store, turn),
                    News::Rolled(slot) => upkeep.rolled(slot),
                    News::Dropped(slot) => {
                        read.dropped(slot, store, turn);
                        replica.dropped(slot, turn);
                    }
                    News::Removed(partition) => read.forget_partition(partition),
                    News::Pressed => upkeep.review(),
                    News::Part { seat, results } => {
                        seats.part(seat, results, store, turn);
                        seats.load(read, store, turn);
                    }
                }
            }
            if !read.has_woken() {
                return;
            }
            read.answer_woken(store, turn);
        }
    }
}
