//! Registration and heartbeats.

use super::super::control::{
    Damaged, Drain, Heartbeat, HeartbeatAnswer, HeartbeatOutcome, Register, RegisterOutcome, Registered,
    Wants,
};
use super::super::error::FrameError;
use super::super::generated as wire;
use super::values::{Body, Builder, Code, partition, to_partition, to_uuid, to_voter, uuid, voter};
use crate::base::{BrokerEpoch, DirectoryId, IncarnationId, Offset, ServerId, TopicPartition, VoterId};

pub(super) fn put_register(builder: &mut Builder<'_>, register: &Register) -> Body {
    let rack = register.rack.as_deref().map(|rack| builder.create_string(rack));
    let client = builder.create_string(&register.client.0);
    let cluster = builder.create_string(&register.cluster.0);
    let (damaged, partitions): (_, Option<&[TopicPartition]>) = match &register.damaged {
        Damaged::None => (wire::Damaged::None, None),
        Damaged::Some(partitions) => (wire::Damaged::Some, Some(partitions)),
        Damaged::All => (wire::Damaged::All, None),
    };
    let partitions =
        partitions.map(|list| builder.create_vector_from_iter(list.iter().copied().map(to_partition)));
    let args = wire::RegisterArgs {
        server: register.server.0,
        directory: Some(&to_uuid(register.directory.0)),
        incarnation: Some(&to_uuid(register.incarnation.0)),
        voter: Some(&to_uuid(register.voter.0)),
        shards: register.shards,
        rack,
        client_host: Some(client),
        client_port: register.client.1,
        cluster_host: Some(cluster),
        cluster_port: register.cluster.1,
        protocol_min: register.protocol_min,
        protocol_max: register.protocol_max,
        clean: register.clean,
        damaged,
        damaged_partitions: partitions,
        metadata_end: register.metadata_end.0,
        commit_sequence: register.commit_sequence,
        previous_broker_epoch: register.previous_broker_epoch.0,
    };
    (wire::Body::Register, wire::Register::create(builder, &args).as_union_value())
}

pub(super) fn register(body: &wire::Register<'_>) -> Result<Register, FrameError> {
    Ok(Register {
        server: ServerId(body.server()),
        directory: DirectoryId(uuid(body.directory())),
        incarnation: IncarnationId(uuid(body.incarnation())),
        voter: VoterId(uuid(body.voter())),
        shards: body.shards(),
        rack: body.rack().map(str::to_owned),
        client: (body.client_host().to_owned(), body.client_port()),
        cluster: (body.cluster_host().to_owned(), body.cluster_port()),
        protocol_min: body.protocol_min(),
        protocol_max: body.protocol_max(),
        clean: body.clean(),
        damaged: damaged(body)?,
        metadata_end: Offset(body.metadata_end()),
        commit_sequence: body.commit_sequence(),
        previous_broker_epoch: BrokerEpoch(body.previous_broker_epoch()),
    })
}

fn damaged(body: &wire::Register<'_>) -> Result<Damaged, FrameError> {
    Ok(match body.damaged() {
        wire::Damaged::None => Damaged::None,
        wire::Damaged::Some => {
            let missing = FrameError::Missing { what: "the list of damaged partitions" };
            Damaged::Some(body.damaged_partitions().ok_or(missing)?.iter().map(partition).collect())
        }
        wire::Damaged::All => Damaged::All,
        other => return Err(FrameError::UnknownValue { what: "a damage", value: other.0 }),
    })
}

pub(super) fn put_registered(builder: &mut Builder<'_>, registered: &Registered) -> Body {
    let (mut broker_epoch, mut known) = (None, None);
    let outcome = match registered.outcome {
        RegisterOutcome::Accepted { broker_epoch: epoch } => {
            broker_epoch = Some(epoch.0);
            wire::RegisterOutcome::Accepted
        }
        RegisterOutcome::IdInUse => wire::RegisterOutcome::IdInUse,
        RegisterOutcome::OtherDirectory => wire::RegisterOutcome::OtherDirectory,
        RegisterOutcome::NotLeader { leader } => {
            known = leader.map(to_voter);
            wire::RegisterOutcome::NotLeader
        }
        RegisterOutcome::UnknownId => wire::RegisterOutcome::UnknownId,
        RegisterOutcome::Protocol => wire::RegisterOutcome::Protocol,
    };
    let args = wire::RegisteredArgs {
        outcome,
        broker_epoch,
        leader: known.as_ref(),
        session_ms: registered.session_ms,
        heartbeat_ms: registered.heartbeat_ms,
    };
    (wire::Body::Registered, wire::Registered::create(builder, &args).as_union_value())
}

pub(super) fn registered(body: &wire::Registered<'_>) -> Result<Registered, FrameError> {
    let outcome = match body.outcome() {
        wire::RegisterOutcome::Accepted => {
            let missing = FrameError::Missing { what: "a broker epoch" };
            RegisterOutcome::Accepted { broker_epoch: BrokerEpoch(body.broker_epoch().ok_or(missing)?) }
        }
        wire::RegisterOutcome::IdInUse => RegisterOutcome::IdInUse,
        wire::RegisterOutcome::OtherDirectory => RegisterOutcome::OtherDirectory,
        wire::RegisterOutcome::NotLeader => RegisterOutcome::NotLeader { leader: body.leader().map(voter) },
        wire::RegisterOutcome::UnknownId => RegisterOutcome::UnknownId,
        wire::RegisterOutcome::Protocol => RegisterOutcome::Protocol,
        other => {
            return Err(FrameError::UnknownValue { what: "an outcome of a registration", value: other.0 });
        }
    };
    Ok(Registered { outcome, session_ms: body.session_ms(), heartbeat_ms: body.heartbeat_ms() })
}

pub(super) fn put_heartbeat(builder: &mut Builder<'_>, heartbeat: &Heartbeat) -> Body {
    let produce_bytes = builder.create_vector(&heartbeat.produce_bytes);
    let size = |(of, bytes): &(TopicPartition, u64)| wire::PartitionSize::new(&to_partition(*of), *bytes);
    let sizes = builder.create_vector_from_iter(heartbeat.sizes.iter().map(size));
    let args = wire::HeartbeatArgs {
        server: heartbeat.server.0,
        broker_epoch: heartbeat.broker_epoch.0,
        applied: heartbeat.applied,
        metadata_flushed: heartbeat.metadata_flushed.0,
        commit_sequence: heartbeat.commit_sequence,
        wants: heartbeat.wants.code(),
        drain: heartbeat.drain.code(),
        disk_total: heartbeat.disk_total,
        disk_usable: heartbeat.disk_usable,
        produce_bytes: Some(produce_bytes),
        sizes: Some(sizes),
        slow_sync: heartbeat.slow_sync,
        sent: heartbeat.sent,
    };
    (wire::Body::Heartbeat, wire::Heartbeat::create(builder, &args).as_union_value())
}

pub(super) fn heartbeat(body: &wire::Heartbeat<'_>) -> Result<Heartbeat, FrameError> {
    let size = |size: &wire::PartitionSize| (partition(size.partition()), size.bytes());
    Ok(Heartbeat {
        server: ServerId(body.server()),
        broker_epoch: BrokerEpoch(body.broker_epoch()),
        applied: body.applied(),
        metadata_flushed: Offset(body.metadata_flushed()),
        commit_sequence: body.commit_sequence(),
        wants: Wants::of(body.wants())?,
        drain: Drain::of(body.drain())?,
        disk_total: body.disk_total(),
        disk_usable: body.disk_usable(),
        produce_bytes: body.produce_bytes().iter().collect(),
        sizes: body.sizes().iter().map(size).collect(),
        slow_sync: body.slow_sync(),
        sent: body.sent(),
    })
}

pub(super) fn put_heartbeat_answer(builder: &mut Builder<'_>, answer: &HeartbeatAnswer) -> Body {
    let (outcome, leader) = match answer.outcome {
        HeartbeatOutcome::Accepted => (wire::HeartbeatOutcome::Accepted, None),
        HeartbeatOutcome::NotLeader { leader } => (wire::HeartbeatOutcome::NotLeader, leader.map(to_voter)),
        HeartbeatOutcome::Unknown => (wire::HeartbeatOutcome::Unknown, None),
    };
    let args = wire::HeartbeatAnswerArgs {
        outcome,
        leader: leader.as_ref(),
        fenced: answer.fenced,
        may_stop: answer.may_stop,
        sent: answer.sent,
        session_ms: answer.session_ms,
    };
    (wire::Body::HeartbeatAnswer, wire::HeartbeatAnswer::create(builder, &args).as_union_value())
}

pub(super) fn heartbeat_answer(body: &wire::HeartbeatAnswer<'_>) -> Result<HeartbeatAnswer, FrameError> {
    let outcome = match body.outcome() {
        wire::HeartbeatOutcome::Accepted => HeartbeatOutcome::Accepted,
        wire::HeartbeatOutcome::NotLeader => HeartbeatOutcome::NotLeader { leader: body.leader().map(voter) },
        wire::HeartbeatOutcome::Unknown => HeartbeatOutcome::Unknown,
        other => return Err(FrameError::UnknownValue { what: "an outcome of a heartbeat", value: other.0 }),
    };
    Ok(HeartbeatAnswer {
        outcome,
        fenced: body.fenced(),
        may_stop: body.may_stop(),
        sent: body.sent(),
        session_ms: body.session_ms(),
    })
}
