//! What shards want done.

use std::sync::Arc;

use ringmain::base::{Now, ShardId};
use ringmain::controller::Published;
use ringmain::shard::{Effect, IoRequest, OutFrame, Shard};

use super::membership::at_of;
use super::settings::adapted;
use super::{MESH_PAUSE, Out, Server, TURN_PAUSE};
use crate::event::{Event, Place, Stage};
use crate::queue::{Instant, Span};

impl Server {
    /// Gives a shard an input; a turn follows.
    pub(super) fn input(
        &mut self,
        shard: ShardId,
        stage: &mut Stage<'_>,
        give: impl FnOnce(&mut Shard, Now, &mut Vec<Effect>),
    ) {
        self.call(shard, stage, give);
        let pause = Span(1 + stage.rng.below(TURN_PAUSE.0));
        self.want_turn(shard, stage.now().plus(pause), stage);
    }

    pub(super) fn call(
        &mut self,
        shard: ShardId,
        stage: &mut Stage<'_>,
        of: impl FnOnce(&mut Shard, Now, &mut Vec<Effect>),
    ) {
        let now = self.clock.now(stage.now());
        let mut effects = Vec::new();
        of(&mut self.seats[usize::from(shard.0)].shard, now, &mut effects);
        for effect in effects {
            self.perform(shard, effect, stage);
        }
    }

    fn perform(&mut self, shard: ShardId, effect: Effect, stage: &mut Stage<'_>) {
        match effect {
            Effect::Reply { to, reply } => {
                self.out.push(Out::Reply { number: to.number, reply });
            }
            Effect::Io(IoRequest { id, op }) => {
                let end = self.disk_times.end(stage.now(), &op, stage.rng);
                self.under_way.insert((shard, id), op);
                stage.queue.at(end, Event::IoDone { place: self.place(shard), id });
            }
            Effect::Swap(segment) => {
                self.disk.swap(segment);
                self.input(shard, stage, |it, now, effects| it.swapped(now, segment, Ok(()), effects));
            }
            Effect::Publish(published) => self.publish(shard, &published, stage),
            Effect::CleanerRate { .. } => {}
            Effect::Dial { lane, host, .. } => {
                self.out.push(Out::Dial { shard, lane, to: at_of(&host) });
            }
            Effect::Send { lane, frame } => {
                self.out.push(Out::Send { shard, lane, bytes: joined(&frame) });
            }
            Effect::Hang { lane } => self.out.push(Out::Hang { shard, lane }),
            Effect::Tell { to, note } => {
                let at = self.mesh_at(to, stage);
                let told = Event::Told { place: self.place(to), from: shard, note: Box::new(note) };
                stage.queue.at(at, told);
            }
            Effect::Notice(line) => self.out.push(Out::Notice(line)),
            Effect::Fatal { reason } => self.out.push(Out::Fatal { reason }),
        }
    }

    /// Hands an image to all shards: to this one at once, to others over the mesh.
    fn publish(&mut self, from: ShardId, published: &Arc<Published>, stage: &mut Stage<'_>) {
        let image = adapted(&published.image);
        let published = Arc::new(Published { image, ..Published::clone(published) });
        self.out.push(Out::Published(Arc::clone(&published)));
        for shard in self.shard_ids().filter(|shard| *shard != from) {
            let at = self.mesh_at(shard, stage);
            let place = self.place(shard);
            stage.queue.at(at, Event::Image { place, published: Arc::clone(&published) });
        }
        self.take_image(from, &published, stage);
    }

    pub(super) fn take_image(&mut self, shard: ShardId, published: &Published, stage: &mut Stage<'_>) {
        let version = published.image.version;
        self.input(shard, stage, |it, now, effects| it.image(now, published, effects));
        let at = if shard == ShardId(0) { stage.now() } else { self.mesh_at(ShardId(0), stage) };
        let place = self.place(ShardId(0));
        stage.queue.at(at, Event::Applied { place, by: shard, version });
    }

    /// When a message that is sent now to a shard arrives there.
    fn mesh_at(&mut self, to: ShardId, stage: &mut Stage<'_>) -> Instant {
        let seat = &mut self.seats[usize::from(to.0)];
        let at = stage.queue.now().plus(Span(1 + stage.rng.below(MESH_PAUSE.0)));
        seat.mesh_at = at.max(seat.mesh_at);
        seat.mesh_at
    }

    fn place(&self, shard: ShardId) -> Place {
        Place { server: self.at, life: self.life, shard }
    }
}

/// A frame's bytes as the peer gets them.
fn joined(frame: &OutFrame) -> Vec<u8> {
    let mut bytes = frame.head.to_vec();
    frame.payload.iter().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}
