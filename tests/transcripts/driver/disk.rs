//! How operations on the disk end: as the script says, or all of them well.

use ringmain::base::io::{Damage, IoDone, IoOp};
use ringmain::base::{BLOCK_BYTES, Chunk, ChunkWriter, Offset, ShardId};
use ringmain::shard::IoId;

use super::effects::DISK;
use super::{Driver, PATIENCE};
use crate::disk::Fault;
use crate::words::Words;

#[derive(Clone, Copy)]
pub(super) enum Ending {
    Well,
    Fault(Fault),
    /// The disk gives bytes that are not those that were written.
    Rotten,
}

impl Driver {
    pub(super) fn finish_as_told(&mut self, words: &mut Words<'_>, ending: Ending) {
        let every = words.has("every");
        let wanted = words.rest();
        let is_meant = |it: &(IoId, IoOp)| is_in(&wanted, &self.names.operation(&it.1));
        let meant: Vec<IoId> = self.under_way.iter().filter(|it| is_meant(it)).map(|it| it.0).collect();
        assert!(!meant.is_empty(), "'{wanted}' is not under way, but {:#?}", self.operations());
        let count = if every { meant.len() } else { 1 };
        meant.into_iter().take(count).for_each(|id| self.finish(id, ending));
    }

    fn finish(&mut self, id: IoId, ending: Ending) {
        let at = self.under_way.iter().position(|it| it.0 == id).expect("it is under way");
        let (_, op) = self.under_way.remove(at);
        let done = match ending {
            Ending::Well => self.disk.perform(ShardId(0), op, Fault::None, &mut self.rng),
            Ending::Fault(fault) => self.disk.perform(ShardId(0), op, fault, &mut self.rng),
            Ending::Rotten => {
                let damage = damage_of(&op);
                let done = self.disk.perform(ShardId(0), op, Fault::None, &mut self.rng);
                rotten(done, damage)
            }
        };
        self.input(|it, now, effects| it.io_done(now, id, done, effects));
    }

    fn operations(&self) -> Vec<String> {
        self.under_way.iter().map(|(_, op)| self.names.operation(op)).collect()
    }

    /// Everything ends well, with a turn after each operation, until nothing is left to do.
    pub(super) fn settle(&mut self) {
        for _ in 0..PATIENCE {
            self.input(|it, now, effects| it.turn(now, effects));
            if let Some((id, _)) = self.under_way.first() {
                self.finish(*id, Ending::Well);
            } else if !self.published.is_empty() {
                (0..self.server.shards).for_each(|shard| self.apply(shard));
            } else if self.next_turn() > self.now.mono {
                return;
            }
        }
        panic!("it does not settle: {:#?}", self.operations());
    }

    /// Does what `settle` does, then drops the disk's operations from the output: what leaves the shard is shown.
    pub(super) fn settle_showing(&mut self) {
        self.settle();
        self.out.retain(|line| !line.starts_with(DISK));
    }
}

/// Whether all words of `wanted` come in `text`, in that order.
fn is_in(wanted: &str, text: &str) -> bool {
    let mut words = text.split_whitespace().map(|it| it.trim_end_matches([',', ':']));
    wanted.split_whitespace().all(|it| words.any(|word| word == it))
}

/// What a verification is told to have found: its first offset is not as it was written.
fn damage_of(op: &IoOp) -> Vec<Damage> {
    let IoOp::VerifySegment { position, offsets, .. } = op else { return Vec::new() };
    let rotten = offsets.start..Offset(offsets.start.0 + 1);
    vec![Damage { position: *position, offsets: rotten, what: "the checksum does not match".to_owned() }]
}

fn rotten(done: IoDone, damage: Vec<Damage>) -> IoDone {
    match done {
        IoDone::Verified { to, next, .. } => IoDone::Verified { to, next, damage },
        // Every entry of the index names a place in the middle of a batch.
        IoDone::Index { index, time_index } => {
            let moved = |(at, byte): (usize, u8)| if at % 8 == 7 { byte ^ 1 } else { byte };
            IoDone::Index { index: index.into_iter().enumerate().map(moved).collect(), time_index }
        }
        IoDone::Read(bytes) => {
            let mut other = bytes.to_vec();
            other.iter_mut().skip(70).step_by(100).for_each(|byte| *byte ^= 1);
            let mut chunk = ChunkWriter::new(Chunk::heap(other.len().next_multiple_of(BLOCK_BYTES)));
            chunk.append(&other);
            IoDone::Read(chunk.freeze().slice(0..other.len()))
        }
        done => done,
    }
}
