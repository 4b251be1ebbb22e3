//! This server's membership in its cluster: it catches up with the metadata, registers, is heard, asks for in-sync sets.
//!
//! Lives on shard 0. Talks to the controller through whatever lane there is to the quorum's leader; where this server is the
//! leader itself, the same questions are asked by call. Everything is asked again until the image shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{BrokerEpoch, MonoNanos, Offset, ServerId, ShardId, TopicPartition};
use crate::controller::{MetadataImage, ServerImage};
use crate::peer::{
    self, AlterIsr, Damaged, Drain, Heartbeat, HeartbeatAnswer, HeartbeatOutcome, IsrChange, Register, Wants,
};

use super::super::config::ClusterConfig;
use super::super::directory::{DamagedPartitions, DirectoryRecovery, LastStop};
use super::super::effect::Effect;
use super::super::note::{IsrWanted, Note, ShardStatus};
use super::super::store::Store;
use super::super::turn::Turn;

/// An unanswered registration is said again after this.
const REGISTER_AGAIN_MS: u64 = 1000;
/// A heartbeat whose content has changed does not wait for its interval, but for this.
const SOON_MS: u64 = 20;

#[derive(Debug)]
pub(super) struct Member {
    config: Arc<ClusterConfig>,
    /// What recovery knows of the data.
    found: DirectoryRecovery,
    shards: u16,
    /// The registration is said when this version of the metadata is applied; `None` until a leader has told how far its own is.
    catch_up_to: Option<Offset>,
    register_at: MonoNanos,
    beat_at: MonoNanos,
    last: Option<Beat>,
    statuses: BTreeMap<ShardId, ShardStatus>,
    /// What was asked of the controller for leaders here, by this server's own numbers: the shard, the partition, and the leader's
    /// number.
    asked: BTreeMap<u64, (ShardId, TopicPartition, u64)>,
    next_ask: u64,
    wants: Wants,
    may_stop: bool,
}

/// What a heartbeat says that matters at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Beat {
    broker_epoch: BrokerEpoch,
    may_be_unfenced: bool,
    wants: Wants,
    slow_sync: bool,
}

/// What is to be said to the controller now.
#[derive(Debug)]
pub(super) enum Says {
    Register(Register),
    Heartbeat(Heartbeat),
}

impl Member {
    pub(super) fn new(config: Arc<ClusterConfig>, found: DirectoryRecovery, shards: u16) -> Member {
        Member {
            config,
            found,
            shards,
            catch_up_to: None,
            register_at: MonoNanos(0),
            beat_at: MonoNanos(0),
            last: None,
            statuses: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_ask: 0,
            wants: Wants::Serve,
            may_stop: false,
        }
    }

    /// This incarnation's registration, if the image has it.
    pub(super) fn registered<'a>(&self, image: &'a MetadataImage) -> Option<&'a ServerImage> {
        let mine = image.servers.get(&self.config.server)?;
        (mine.incarnation == self.config.incarnation).then_some(&**mine)
    }

    /// A leader has told how far the metadata is committed: this server registers when it has caught up with that.
    pub(super) fn leader_is_at(&mut self, high_watermark: Offset) {
        self.catch_up_to.get_or_insert(high_watermark);
    }

    pub(super) fn wants_to_stop(&mut self) {
        self.wants = Wants::Stop;
    }

    /// Whether the controller has said that nothing is left to be taken over.
    pub(super) fn may_stop(&self) -> bool {
        self.may_stop
    }

    pub(super) fn status(&mut self, from: ShardId, status: ShardStatus) {
        self.statuses.insert(from, status);
    }

    /// What to say now. `applied` is the version that every shard serves.
    pub(super) fn says(
        &mut self,
        applied: i64,
        metadata_flushed: Offset,
        store: &Store,
        now: MonoNanos,
    ) -> Option<Says> {
        let Some(mine) = self.registered(store.image()) else {
            let has_caught_up = self.catch_up_to.is_some_and(|to| applied >= to.0);
            if !has_caught_up || now < self.register_at {
                return None;
            }
            self.register_at = now.plus_ms(REGISTER_AGAIN_MS);
            return Some(Says::Register(self.register(store)));
        };
        let beat = Beat {
            broker_epoch: mine.broker_epoch,
            may_be_unfenced: applied > mine.broker_epoch.0 && metadata_flushed.0 > mine.broker_epoch.0,
            wants: self.wants,
            slow_sync: self.statuses.values().any(|status| status.slow_sync),
        };
        let is_urgent = self.last.is_none_or(|last| {
            (last.broker_epoch, last.may_be_unfenced) != (beat.broker_epoch, beat.may_be_unfenced)
        });
        if self.last != Some(beat) {
            self.beat_at = self.beat_at.min(now.plus_ms(SOON_MS));
        }
        if now < self.beat_at && !is_urgent {
            return None;
        }
        self.last = Some(beat);
        self.beat_at = now.plus_ms(self.config.timers.heartbeat_ms);
        Some(Says::Heartbeat(self.heartbeat(beat, applied, metadata_flushed, now)))
    }

    /// A new controller is to hear everything at once.
    pub(super) fn begin_anew(&mut self) {
        self.last = None;
        self.register_at = MonoNanos(0);
        self.beat_at = MonoNanos(0);
    }

    pub(super) fn next_deadline(&self, image: &MetadataImage) -> MonoNanos {
        if self.registered(image).is_some() {
            self.beat_at
        } else if self.catch_up_to.is_some() {
            self.register_at
        } else {
            MonoNanos::NEVER
        }
    }

    fn register(&self, store: &Store) -> Register {
        let config = &self.config;
        let before = store.image().servers.get(&config.server);
        Register {
            server: config.server,
            directory: config.directory,
            incarnation: config.incarnation,
            voter: config.voter,
            shards: self.shards,
            rack: config.rack.clone(),
            client: config.client.clone(),
            cluster: config.address.clone(),
            protocol_min: peer::PROTOCOL_MIN,
            protocol_max: peer::PROTOCOL_MAX,
            clean: self.found.last_stop == LastStop::Orderly,
            damaged: match &self.found.damaged {
                DamagedPartitions::None => Damaged::None,
                DamagedPartitions::These(partitions) => Damaged::Some(partitions.clone()),
                DamagedPartitions::All => Damaged::All,
            },
            metadata_end: self.found.metadata_end.end,
            commit_sequence: self.found.newest_sequence,
            previous_broker_epoch: before.map_or(BrokerEpoch(-1), |server| server.broker_epoch),
        }
    }

    fn heartbeat(&self, beat: Beat, applied: i64, metadata_flushed: Offset, now: MonoNanos) -> Heartbeat {
        let sequence = self.statuses.values().map(|status| status.commit_sequence).max().unwrap_or(0);
        Heartbeat {
            server: self.config.server,
            broker_epoch: beat.broker_epoch,
            applied,
            metadata_flushed,
            commit_sequence: sequence.max(self.found.newest_sequence),
            wants: beat.wants,
            drain: Drain::None,
            disk_total: 0,
            disk_usable: 0,
            produce_bytes: Vec::new(),
            sizes: Vec::new(),
            slow_sync: beat.slow_sync,
            sent: now.0 / 1_000_000,
        }
    }

    /// The controller has answered a heartbeat: the lease lasts from when that was sent.
    pub(super) fn answered(&mut self, answer: &HeartbeatAnswer, turn: &mut Turn<'_>) {
        match answer.outcome {
            HeartbeatOutcome::Accepted => {
                self.may_stop = answer.may_stop;
                let sent = MonoNanos(answer.sent.saturating_mul(1_000_000));
                let until = sent.plus_ms(u64::from(answer.session_ms));
                for shard in (0..self.shards).map(ShardId) {
                    turn.effect(Effect::Tell { to: shard, note: Note::Lease { until } });
                }
            }
            HeartbeatOutcome::NotLeader { .. } | HeartbeatOutcome::Unknown => {}
        }
    }

    /// Leaders here ask for other in-sync sets.
    pub(super) fn alter_isr(
        &mut self,
        from: ShardId,
        wanted: Vec<IsrWanted>,
        quorum_epoch: i32,
        image: &MetadataImage,
    ) -> Option<AlterIsr> {
        let mine = self.registered(image)?;
        let broker_epoch = mine.broker_epoch;
        let mut changes = Vec::with_capacity(wanted.len());
        for it in wanted {
            // An older ask of the partition is not answered any more.
            self.asked.retain(|_, (_, partition, _)| *partition != it.partition);
            self.next_ask += 1;
            self.asked.insert(self.next_ask, (from, it.partition, it.number));
            changes.push(IsrChange {
                partition: it.partition,
                leader_epoch: it.leader_epoch,
                partition_epoch: it.partition_epoch,
                isr: it.isr,
                number: self.next_ask,
            });
        }
        Some(AlterIsr { quorum_epoch, server: self.config.server, broker_epoch, changes })
    }

    /// Who asked what the controller has answered: the shard, the partition, and the leader's number.
    pub(super) fn take_asked(&mut self, number: u64) -> Option<(ShardId, TopicPartition, u64)> {
        self.asked.remove(&number)
    }

    pub(super) fn server(&self) -> ServerId {
        self.config.server
    }

    /// Servers that may know the quorum's leader, while nobody else does.
    pub(super) fn seeds(&self) -> impl Iterator<Item = ServerId> + '_ {
        let me = self.config.server;
        self.config.seeds.iter().map(|seed| seed.server).filter(move |server| *server != me)
    }
}
