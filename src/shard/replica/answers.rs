//! What a leader answers to a follower that asks for a stream, by what it knows.

use crate::base::{BrokerEpoch, LeaderEpoch, Offset, TopicPartition};
use crate::controller::PartitionImage;
use crate::peer::{OpenOutcome, OpenStream};
use crate::replication::{self, Ask, EpochEnd, Evidence, Outcome};

use super::super::store::Store;
use super::lanes::Dialler;

/// The broker epoch of the incarnation that has dialled, if the image has it.
pub(super) fn broker_epoch(from: &Dialler, store: &Store) -> BrokerEpoch {
    let known = store.image().servers.get(&from.server);
    let known = known.filter(|known| known.incarnation == from.incarnation);
    known.map_or(BrokerEpoch(-1), |known| known.broker_epoch)
}

/// The answer to one stream that is asked for, and the partition's slot.
pub(super) fn answer(asked: &OpenStream, from: &Dialler, store: &Store) -> (Outcome, Option<u32>) {
    let slot = store.partitions.find(asked.partition);
    let partition = slot.and_then(|slot| store.partitions.get(slot));
    let Some(partition) = partition else {
        return (if store.knows_topic(asked.partition) { Outcome::Refused } else { Outcome::NotYet }, None);
    };
    let log = partition.log();
    let is_metadata = asked.partition == TopicPartition::METADATA;
    let state = store.partition_image(asked.partition);
    let is_replica = is_metadata || state.is_some_and(|state| has_replica(state, from));
    let image_epoch = state.map_or(LeaderEpoch(-1), PartitionImage::leader_epoch);
    let epoch_before = |offset: Offset| log.epochs().at(offset.plus(-1)).unwrap_or(LeaderEpoch(-1));
    // The metadata log begins behind a snapshot.
    let kept_from = if is_metadata { log.log_start() } else { log.kept_from() };
    let evidence = Evidence {
        kept_from,
        epoch: if partition.leads() { partition.epoch() } else { image_epoch.max(partition.epoch()) },
        is_leader: partition.leads(),
        is_replica,
        knows_broker_epoch: is_metadata || broker_epoch(from, store).0 >= 0,
        log_start: log.log_start(),
        epoch_before_log_start: epoch_before(log.log_start()),
        epoch_before_kept: epoch_before(kept_from),
        end_of_epoch: log.end_within(asked.log_end.last_epoch).map(|(epoch, end)| EpochEnd { epoch, end }),
        has_snapshot: is_metadata && log.log_start() > Offset(0),
    };
    let ask = Ask {
        epoch: asked.leader_epoch,
        log: asked.log_end,
        flushed: asked.flushed,
        log_start: asked.log_start,
    };
    (replication::answer(&ask, &evidence), slot)
}

fn has_replica(state: &PartitionImage, from: &Dialler) -> bool {
    state.replicas().contains(&from.server)
}

pub(super) fn said(outcome: Outcome) -> OpenOutcome {
    match outcome {
        Outcome::Fenced { current } => OpenOutcome::Fenced { current },
        Outcome::NotYet => OpenOutcome::NotYet,
        Outcome::Refused => OpenOutcome::Refused,
        Outcome::Begin { at, epoch_before } => OpenOutcome::Begin { at, epoch_before },
        Outcome::Diverging { epoch, end } => OpenOutcome::Diverging { epoch, end },
        Outcome::From { next } => OpenOutcome::From { next },
        Outcome::Snapshot { offset, epoch } => OpenOutcome::Snapshot { offset, epoch },
    }
}
