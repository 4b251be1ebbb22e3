//! What must hold for every message, whoever made it: lists within their limits, numbers that others can go on to calculate with,
//! parts and payload that agree.
//!
//! The same function looks at what is received, where a violation is an error, and at what is sent, where it is a fault of ours.

use crate::base::{
    BrokerEpoch, LeaderEpoch, LogEnd, Offset, PartitionEpoch, ServerId, TopicPartition, Voter,
};

use super::control::{
    AlterIsr, AlterIsrAnswer, Damaged, Forward, Heartbeat, HeartbeatOutcome, IsrOutcome, Register,
    RegisterOutcome,
};
use super::error::FrameError;
use super::handshake::{Hello, Welcome};
use super::lanes::{Ack, Gap, OpenOutcome, OpenStream, OpenedStream, Part, SnapshotPart};
use super::limits::{
    CLUSTER_BYTES_MAX, DAMAGED_MAX, FACTS_BYTES_MAX, ISR_CHANGES_MAX, ISR_MEMBERS_MAX, PROOF_BYTES_MAX,
    SHARDS_MAX, SIZES_MAX, STREAMS_MAX, TEXT_BYTES_MAX, WHY_BYTES_MAX,
};
use super::message::Message;
use super::quorum::{VoteAnswer, VoteAsk};

type Checked = Result<(), FrameError>;

/// Far above every offset there will be, and so far below the end of the type that sums and differences of some stay in it.
pub(super) const OFFSET_MAX: i64 = 1 << 60;
/// As far above every epoch.
pub(super) const EPOCH_MAX: i32 = 1 << 30;
/// The last server id whose node ids are numbers of Kafka's.
pub(super) const SERVER_MAX: i32 = 2_147_482;

/// Everything but the payload.
pub(super) fn message(message: &Message) -> Checked {
    match message {
        Message::Hello(hello) => check_hello(hello),
        Message::Welcome(welcome) => check_welcome(welcome),
        Message::Refused(refused) => at_most("bytes of why", refused.why.len(), WHY_BYTES_MAX),
        Message::Open(streams) => each("streams", streams, open_stream),
        Message::Opened(streams) => each("streams", streams, opened_stream),
        Message::Append(parts) => each("parts", parts, part),
        Message::Ack(ack) => check_ack(ack),
        Message::Close(streams) => at_most("streams", streams.len(), STREAMS_MAX),
        Message::VoteAsk(ask) => vote_ask(ask),
        Message::VoteAnswer(answer) => vote_answer(answer),
        Message::Lead(lead) => epoch("an epoch", lead.epoch).and_then(|()| voter(lead.leader)),
        Message::Resign(resign) => resign.epoch.map_or(Ok(()), |it| epoch("an epoch", it)),
        Message::Register(register) => check_register(register),
        Message::Registered(registered) => registered_as(registered.outcome),
        Message::Heartbeat(heartbeat) => check_heartbeat(heartbeat),
        Message::HeartbeatAnswer(answer) => match answer.outcome {
            HeartbeatOutcome::NotLeader { leader: Some(leader) } => voter(leader),
            _ => Ok(()),
        },
        Message::AlterIsr(alter) => alter_isr(alter),
        Message::AlterIsrAnswer(answer) => alter_isr_answer(answer),
        Message::SnapshotPart(part) => snapshot_part(part),
        Message::Forward(forward) => check_forward(forward),
        Message::Forwarded(forwarded) => position("a version", forwarded.version, -1),
    }
}

/// What the message says of a payload of so many bytes.
pub(super) fn payload(message: &Message, bytes: u64) -> Checked {
    match message {
        Message::Append(parts) => is(parts.iter().map(|part| u64::from(part.bytes)).sum(), bytes),
        Message::SnapshotPart(part) => {
            let left = part.total - part.position;
            if part.is_last || bytes > left { is(left, bytes) } else { Ok(()) }
        }
        Message::Forward(_) | Message::Forwarded(_) => Ok(()),
        _ => is(0, bytes),
    }
}

fn is(said: u64, found: u64) -> Checked {
    if said == found { Ok(()) } else { Err(FrameError::Payload { said, found }) }
}

fn check_hello(hello: &Hello) -> Checked {
    at_most("bytes of a cluster's id", hello.cluster.len(), CLUSTER_BYTES_MAX)?;
    at_most("bytes of a proof", hello.proof.len(), PROOF_BYTES_MAX)?;
    server(hello.server)?;
    broker_epoch(hello.broker_epoch)?;
    shards(hello.shards)?;
    if hello.shard.0 >= hello.shards {
        return Err(FrameError::OutOfRange { what: "a shard", value: hello.shard.0.into() });
    }
    if hello.to_server != Hello::ANYBODY {
        server(hello.to_server)?;
    }
    epoch("an epoch", hello.quorum_epoch)?;
    hello.quorum_leader.map_or(Ok(()), voter)
}

fn check_welcome(welcome: &Welcome) -> Checked {
    server(welcome.server)?;
    broker_epoch(welcome.broker_epoch)?;
    shards(welcome.shards)?;
    epoch("an epoch", welcome.quorum_epoch)?;
    welcome.quorum_leader.map_or(Ok(()), voter)
}

fn open_stream(stream: &OpenStream) -> Checked {
    partition(stream.partition)?;
    leader_epoch(stream.leader_epoch)?;
    log_end(stream.log_end)?;
    offset("a flushed offset", stream.flushed, 0)?;
    offset("a log's start", stream.log_start, 0)
}

fn opened_stream(stream: &OpenedStream) -> Checked {
    let (at, of) = match stream.outcome {
        OpenOutcome::Fenced { current } => (Offset(0), current),
        OpenOutcome::NotYet | OpenOutcome::Refused => (Offset(0), LeaderEpoch(0)),
        OpenOutcome::Begin { at, epoch_before } => (at, epoch_before),
        OpenOutcome::Diverging { epoch, end } => (end, epoch),
        OpenOutcome::From { next } => (next, LeaderEpoch(0)),
        OpenOutcome::Snapshot { offset, epoch } => (offset, epoch),
    };
    offset("an offset", at, 0)?;
    leader_epoch(of)?;
    offset("a high watermark", stream.high_watermark, -1)?;
    offset("a log's start", stream.log_start, -1)
}

fn part(part: &Part) -> Checked {
    offset("a run's base", part.base, 0)?;
    offset("a run's end", part.end, 0)?;
    leader_epoch(part.epoch)?;
    offset("a high watermark", part.high_watermark, 0)?;
    offset("a log's start", part.log_start, 0)?;
    let moves = part.end > part.base;
    let agrees = match (part.bytes, part.gap) {
        (0, Gap::None) => part.end == part.base,
        (0, _) => part.end >= part.base,
        _ => moves,
    };
    if agrees { Ok(()) } else { Err(FrameError::Contradiction { what: "a run's end" }) }
}

fn check_ack(ack: &Ack) -> Checked {
    each("acks", &ack.acked, |acked| {
        offset("a log's end", acked.log_end, 0)?;
        offset("a flushed offset", acked.flushed, 0)?;
        offset("a log's start", acked.log_start, 0)
    })
}

fn snapshot_part(part: &SnapshotPart) -> Checked {
    offset("an offset", part.offset, 0)?;
    leader_epoch(part.epoch)?;
    if part.position > part.total {
        return Err(FrameError::Contradiction { what: "a position in a snapshot" });
    }
    Ok(())
}

fn vote_ask(ask: &VoteAsk) -> Checked {
    epoch("an epoch", ask.epoch)?;
    voter(ask.candidate)?;
    voter(ask.asked)?;
    log_end(ask.log)
}

fn vote_answer(answer: &VoteAnswer) -> Checked {
    epoch("an epoch", answer.epoch)?;
    voter(answer.from)?;
    voter(answer.to)?;
    log_end(answer.log)?;
    answer.leader.map_or(Ok(()), voter)?;
    epoch("an epoch", answer.leader_epoch)
}

fn check_register(register: &Register) -> Checked {
    server(register.server)?;
    shards(register.shards)?;
    for text in [register.rack.as_deref().unwrap_or(""), &register.client.0, &register.cluster.0] {
        at_most("bytes of text", text.len(), TEXT_BYTES_MAX)?;
    }
    if let Damaged::Some(partitions) = &register.damaged {
        at_most("damaged partitions", partitions.len(), DAMAGED_MAX)?;
        partitions.iter().copied().try_for_each(partition)?;
    }
    offset("a log's end", register.metadata_end, 0)?;
    broker_epoch(register.previous_broker_epoch)
}

fn registered_as(outcome: RegisterOutcome) -> Checked {
    match outcome {
        RegisterOutcome::Accepted { broker_epoch } => position("a broker epoch", broker_epoch.0, 0),
        RegisterOutcome::NotLeader { leader: Some(leader) } => voter(leader),
        _ => Ok(()),
    }
}

fn check_heartbeat(heartbeat: &Heartbeat) -> Checked {
    server(heartbeat.server)?;
    broker_epoch(heartbeat.broker_epoch)?;
    position("a version", heartbeat.applied, -1)?;
    offset("a flushed offset", heartbeat.metadata_flushed, 0)?;
    at_most("shards", heartbeat.produce_bytes.len(), SHARDS_MAX)?;
    at_most("sizes", heartbeat.sizes.len(), SIZES_MAX)?;
    heartbeat.sizes.iter().try_for_each(|(of, _)| partition(*of))
}

fn alter_isr(alter: &AlterIsr) -> Checked {
    epoch("an epoch", alter.quorum_epoch)?;
    server(alter.server)?;
    broker_epoch(alter.broker_epoch)?;
    at_most("changes", alter.changes.len(), ISR_CHANGES_MAX)?;
    let members = alter.changes.iter().map(|change| change.isr.len()).sum();
    at_most("members", members, ISR_MEMBERS_MAX)?;
    alter.changes.iter().try_for_each(|change| {
        partition(change.partition)?;
        leader_epoch(change.leader_epoch)?;
        partition_epoch(change.partition_epoch)?;
        change.isr.iter().try_for_each(|(member, of)| server(*member).and_then(|()| broker_epoch(*of)))
    })
}

fn alter_isr_answer(answer: &AlterIsrAnswer) -> Checked {
    epoch("an epoch", answer.quorum_epoch)?;
    position("a version", answer.version, -1)?;
    at_most("answers", answer.answers.len(), ISR_CHANGES_MAX)?;
    answer.answers.iter().try_for_each(|(_, outcome)| match outcome {
        IsrOutcome::Decided { partition_epoch: decided } => partition_epoch(*decided),
        _ => Ok(()),
    })
}

fn check_forward(forward: &Forward) -> Checked {
    at_most("bytes of text", forward.client.len(), TEXT_BYTES_MAX)?;
    at_most("bytes of facts", forward.facts.len(), FACTS_BYTES_MAX)
}

/// A list of things that belong to streams.
fn each<T>(what: &'static str, list: &[T], check: impl Fn(&T) -> Checked) -> Checked {
    at_most(what, list.len(), STREAMS_MAX)?;
    list.iter().try_for_each(check)
}

fn at_most(what: &'static str, count: usize, limit: usize) -> Checked {
    if count <= limit { Ok(()) } else { Err(FrameError::TooMany { what, count, limit }) }
}

fn position(what: &'static str, value: i64, least: i64) -> Checked {
    if (least..=OFFSET_MAX).contains(&value) { Ok(()) } else { Err(FrameError::OutOfRange { what, value }) }
}

fn offset(what: &'static str, value: Offset, least: i64) -> Checked {
    position(what, value.0, least)
}

fn epoch(what: &'static str, value: i32) -> Checked {
    if (-1..=EPOCH_MAX).contains(&value) {
        Ok(())
    } else {
        Err(FrameError::OutOfRange { what, value: value.into() })
    }
}

fn leader_epoch(value: LeaderEpoch) -> Checked {
    epoch("a leader epoch", value.0)
}

fn partition_epoch(value: PartitionEpoch) -> Checked {
    epoch("a partition epoch", value.0)
}

fn broker_epoch(value: BrokerEpoch) -> Checked {
    position("a broker epoch", value.0, -1)
}

fn log_end(value: LogEnd) -> Checked {
    leader_epoch(value.last_epoch)?;
    offset("a log's end", value.end, 0)
}

fn server(value: ServerId) -> Checked {
    if (0..=SERVER_MAX).contains(&value.0) {
        Ok(())
    } else {
        Err(FrameError::OutOfRange { what: "a server", value: value.0.into() })
    }
}

fn voter(value: Voter) -> Checked {
    server(value.server)
}

fn shards(count: u16) -> Checked {
    if (1..=SHARDS_MAX).contains(&usize::from(count)) {
        Ok(())
    } else {
        Err(FrameError::OutOfRange { what: "a number of shards", value: count.into() })
    }
}

fn partition(value: TopicPartition) -> Checked {
    let index = value.partition.0;
    if (0..i32::MAX).contains(&index) {
        Ok(())
    } else {
        Err(FrameError::OutOfRange { what: "a partition", value: index.into() })
    }
}
