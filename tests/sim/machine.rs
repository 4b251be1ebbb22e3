//! One server: its shards, its disk and the operations under way.
//!
//! A machine boots by the real recovery and ends as it happens to. It performs whatever its shards want done, in the order
//! in which they want it, but for the operations on the disk: whoever drives it says which of those ends next, and how. It
//! knows nothing of clients, models or checks: what its shards say is handed on by [`Machine::heard`].

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use ringmain::base::io::{IoDone, IoOp};
use ringmain::base::rng::Rng;
use ringmain::base::{Chunk, Now, ShardId, VoterId};
use ringmain::config::CommitLimits;
use ringmain::controller::{ControllerConfig, MetadataImage, Published};
use ringmain::runtime::recovery::{Origin, Recovered, Recovery};
use ringmain::shard::{Effect, IoId, RequestId, Shard, ShardConfig, ShardReply, ShardRequest};

use crate::disk::{Crash, Disk, Fault};

/// The id of the data directory, which its commit groups are marked with.
const DIRECTORY: [u8; 16] = [9; 16];

/// An operation on the disk that has not ended.
#[derive(Debug)]
pub struct UnderWay {
    pub shard: ShardId,
    pub id: IoId,
    pub op: IoOp,
}

impl UnderWay {
    /// Whether a full disk can refuse it. The commit log's space was written when it was made, and reads need none.
    pub fn needs_space(&self) -> bool {
        !matches!(
            self.op,
            IoOp::WriteCommit { .. }
                | IoOp::ReadSegment { .. }
                | IoOp::ReadIndex { .. }
                | IoOp::IndexSegment { .. }
                | IoOp::MapKeys { .. }
                | IoOp::VerifySegment { .. }
                | IoOp::TruncateLog { .. }
        )
    }
}

/// What leaves the machine.
#[derive(Debug)]
pub enum Said {
    Reply { to: RequestId, reply: ShardReply },
    Fatal { reason: String },
}

/// A cluster state as shards are to have it.
pub type Adapt = fn(&Arc<MetadataImage>) -> Arc<MetadataImage>;

pub struct Machine {
    disk: Disk,
    shards: Vec<Shard>,
    under_way: Vec<UnderWay>,
    /// Shards that something has been given to since their last turn.
    given: BTreeSet<ShardId>,
    adapt: Adapt,
    said: Vec<Said>,
    has_failed: bool,
    /// Segments begun in an old one's file, in all lives.
    recycled: u64,
}

impl Machine {
    pub fn new(adapt: Adapt) -> Machine {
        Machine {
            disk: Disk::default(),
            shards: Vec::new(),
            under_way: Vec::new(),
            given: BTreeSet::new(),
            adapt,
            said: Vec::new(),
            has_failed: false,
            recycled: 0,
        }
    }

    // Lives

    /// Ends this life; what it leaves is in the directory. Tells how many operations had not ended.
    pub fn crash(&mut self, crash: Crash, rng: &mut Rng, directory: &Path) -> usize {
        let under_way: Vec<(ShardId, IoOp)> = self.under_way.drain(..).map(|it| (it.shard, it.op)).collect();
        self.disk.crash(crash, &under_way, rng, directory);
        self.recycled = self.recycled();
        self.shards.clear();
        self.given.clear();
        self.said.clear();
        self.has_failed = false;
        under_way.len()
    }

    /// What the real recovery makes of a directory. A start that ends here has done no harm.
    pub fn recover(directory: &Path, commit: CommitLimits, controller: ControllerConfig) -> Recovered {
        let (origin, voter) = (Origin::Founded, VoterId([8; 16]));
        let recovery =
            Recovery { data_dir: directory, directory: DIRECTORY, origin, voter, commit, controller };
        recovery.run().unwrap()
    }

    /// Begins a life with what was recovered from the directory.
    pub fn boot(
        &mut self,
        directory: &Path,
        recovered: Recovered,
        mut config: impl FnMut(ShardId) -> ShardConfig,
    ) {
        self.disk = Disk::load(directory);
        for (shard, mut recovered) in (0..).map(ShardId).zip(recovered.shards) {
            recovered.image = (self.adapt)(&recovered.image);
            // Counted, so that shards let tails go as they do in a server.
            let memory: Rc<Cell<usize>> = Rc::default();
            let counted = Rc::clone(&memory);
            let allocate = Box::new(move |bytes| Chunk::heap(bytes).counted(&counted));
            self.shards.push(Shard::new(config(shard), recovered, allocate, memory));
        }
    }

    // Inputs

    pub fn ask(&mut self, now: Now, shard: ShardId, id: RequestId, request: ShardRequest) {
        self.input(now, shard, |it, effects| it.request(now, id, request, effects));
    }

    /// Call once after a batch of inputs, or when the shard's time has come.
    pub fn turn(&mut self, now: Now, shard: ShardId) {
        self.given.remove(&shard);
        self.call(now, shard, |it, effects| it.turn(now, effects));
    }

    /// Turns of the shards whose time has come.
    pub fn wake(&mut self, now: Now) {
        for at in self.shard_ids() {
            if self.shard(at).next_deadline() <= now.mono {
                self.input(now, at, |it, effects| it.turn(now, effects));
            }
        }
    }

    pub fn stop(&mut self, now: Now) {
        for at in self.shard_ids() {
            self.input(now, at, |it, effects| it.stop(now, effects));
        }
    }

    /// An operation that is to end now.
    pub fn take(&mut self, at: usize) -> UnderWay {
        self.under_way.swap_remove(at)
    }

    /// Ends it.
    pub fn finish(&mut self, now: Now, ending: UnderWay, fault: Fault, rng: &mut Rng) {
        let UnderWay { shard, id, op } = ending;
        let is_index = matches!(op, IoOp::ReadIndex { .. });
        let mut done = self.disk.perform(shard, op, fault, rng);
        if is_index {
            rot_index(&mut done, rng);
        }
        self.input(now, shard, |it, effects| it.io_done(now, id, done, effects));
    }

    // Outputs

    /// What the shards have said since the last call.
    pub fn heard(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// Shards that wait for a turn; they are not counted as waiting any more.
    pub fn take_given(&mut self) -> BTreeSet<ShardId> {
        std::mem::take(&mut self.given)
    }

    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    pub fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..u16::try_from(self.shards.len()).unwrap()).map(ShardId)
    }

    pub fn under_way(&self) -> &[UnderWay] {
        &self.under_way
    }

    pub fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(self.shards[0].current_image())
    }

    pub fn is_stopped(&self) -> bool {
        self.shards.iter().all(Shard::is_stopped)
    }

    /// A shard has said that its storage has failed: nothing that comes after counts.
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub fn recycled(&self) -> u64 {
        self.recycled + self.shards.iter().map(|shard| shard.counters().segments_recycled).sum::<u64>()
    }

    // Effects

    fn shard(&self, at: ShardId) -> &Shard {
        &self.shards[usize::from(at.0)]
    }

    fn input(&mut self, now: Now, shard: ShardId, give: impl FnOnce(&mut Shard, &mut Vec<Effect>)) {
        self.given.insert(shard);
        self.call(now, shard, give);
    }

    fn call(&mut self, now: Now, shard: ShardId, of: impl FnOnce(&mut Shard, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        of(&mut self.shards[usize::from(shard.0)], &mut effects);
        for effect in effects {
            self.perform(now, shard, effect);
        }
    }

    fn perform(&mut self, now: Now, shard: ShardId, effect: Effect) {
        match effect {
            Effect::Reply { to, reply } => self.said.push(Said::Reply { to, reply }),
            Effect::Io(request) => self.under_way.push(UnderWay { shard, id: request.id, op: request.op }),
            // Time costs nothing here.
            Effect::CleanerRate { .. } => {}
            Effect::Dial { .. } | Effect::Send { .. } | Effect::Hang { .. } | Effect::Tell { .. } => {
                unreachable!("a server that knows no others has no lanes")
            }
            Effect::Swap(segment) => {
                self.disk.swap(segment);
                self.input(now, shard, |it, effects| it.swapped(now, segment, Ok(()), effects));
            }
            Effect::Publish(published) => self.publish(now, &published),
            Effect::Notice(_) => {}
            Effect::Fatal { reason } => {
                self.has_failed = true;
                self.said.push(Said::Fatal { reason });
            }
        }
    }

    fn publish(&mut self, now: Now, published: &Published) {
        let published = Published { image: (self.adapt)(&published.image), ..published.clone() };
        let version = published.image.version;
        for at in (0..published.image.here.shards).map(ShardId) {
            self.input(now, at, |it, effects| it.image(now, &published, effects));
            self.input(now, ShardId(0), |it, effects| it.image_applied(now, at, version, effects));
        }
    }
}

/// Now and then a bit of an index that was read has fallen over: index files have no checksums.
fn rot_index(done: &mut IoDone, rng: &mut Rng) {
    if let IoDone::Index { index, time_index } = done {
        rot(index, rng);
        rot(time_index, rng);
    }
}

fn rot(bytes: &mut [u8], rng: &mut Rng) {
    if !bytes.is_empty() && rng.below(4) == 0 {
        let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
        bytes[at] ^= 1 << rng.below(8);
    }
}
