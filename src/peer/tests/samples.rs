//! One of each message, with a payload that fits.

use bytes::Bytes;

use super::super::*;
use crate::base::{
    BrokerEpoch, DirectoryId, IncarnationId, LeaderEpoch, LogEnd, Offset, PartitionEpoch, PartitionIndex,
    ServerId, ShardId, StreamNumber, TopicId, TopicPartition, Voter, VoterId,
};

pub const fn voter(server: i32) -> Voter {
    Voter { server: ServerId(server), id: VoterId([7; 16]) }
}

const LOG: LogEnd = LogEnd { last_epoch: LeaderEpoch(6), end: Offset(1 << 40) };
const PARTITION: TopicPartition = TopicPartition {
    topic: TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255]),
    partition: PartitionIndex(11),
};

pub fn hello() -> Hello {
    Hello {
        protocol_min: 1,
        protocol_max: 2,
        cluster: "0123456789abcdefghijkl".into(),
        server: ServerId(3),
        directory: DirectoryId([4; 16]),
        incarnation: IncarnationId([5; 16]),
        voter: VoterId([6; 16]),
        broker_epoch: BrokerEpoch(-1),
        shard: ShardId(2),
        shards: 4,
        to_server: ServerId(1),
        to_shard: ShardId(7),
        kind: LaneKind::Control,
        window: 4 << 20,
        quorum_epoch: 9,
        quorum_leader: Some(voter(1)),
        proof: Bytes::from_static(b"proof"),
    }
}

fn welcome() -> Welcome {
    Welcome {
        protocol: 1,
        server: ServerId(1),
        directory: DirectoryId([1; 16]),
        incarnation: IncarnationId([2; 16]),
        voter: VoterId([3; 16]),
        broker_epoch: BrokerEpoch(77),
        shards: 8,
        quorum_epoch: 9,
        quorum_leader: None,
    }
}

pub fn open(stream: u32) -> OpenStream {
    OpenStream {
        stream: StreamNumber(stream),
        partition: PARTITION,
        leader_epoch: LeaderEpoch(8),
        log_end: LOG,
        flushed: Offset(99),
        log_start: Offset(5),
    }
}

pub fn opened() -> Vec<OpenedStream> {
    let outcomes = [
        OpenOutcome::Fenced { current: LeaderEpoch(9) },
        OpenOutcome::NotYet,
        OpenOutcome::Refused,
        OpenOutcome::Begin { at: Offset(4), epoch_before: LeaderEpoch(-1) },
        OpenOutcome::Diverging { epoch: LeaderEpoch(3), end: Offset(70) },
        OpenOutcome::From { next: Offset(71) },
        OpenOutcome::Snapshot { offset: Offset(1000), epoch: LeaderEpoch(7) },
    ];
    let (high_watermark, log_start) = (Offset(60), Offset(2));
    let of =
        |(stream, outcome)| OpenedStream { stream: StreamNumber(stream), outcome, high_watermark, log_start };
    (0..).zip(outcomes).map(of).collect()
}

pub fn part(stream: u32, bytes: u32) -> Part {
    Part {
        stream: StreamNumber(stream),
        bytes,
        base: Offset(100),
        end: Offset(100 + i64::from(bytes)),
        epoch: LeaderEpoch(8),
        gap: Gap::None,
        high_watermark: Offset(90),
        log_start: Offset(5),
    }
}

fn ack() -> Ack {
    let acked = |stream, wants_high_watermark, damaged| Acked {
        stream: StreamNumber(stream),
        log_end: Offset(101),
        flushed: Offset(100),
        log_start: Offset(3),
        wants_high_watermark,
        damaged,
    };
    Ack { acked: vec![acked(1, true, false), acked(2, false, true)], credit: 65_536 }
}

pub fn register(damaged: Damaged) -> Register {
    Register {
        server: ServerId(3),
        directory: DirectoryId([4; 16]),
        incarnation: IncarnationId([5; 16]),
        voter: VoterId([6; 16]),
        shards: 4,
        rack: Some("rack 1".into()),
        client: ("broker-3.example".into(), 9092),
        cluster: ("10.0.0.3".into(), 9093),
        protocol_min: 1,
        protocol_max: 1,
        clean: true,
        damaged,
        metadata_end: Offset(500),
        commit_sequence: 12,
        previous_broker_epoch: BrokerEpoch(400),
    }
}

pub fn heartbeat() -> Heartbeat {
    Heartbeat {
        server: ServerId(3),
        broker_epoch: BrokerEpoch(501),
        applied: 510,
        metadata_flushed: Offset(511),
        commit_sequence: u64::MAX,
        wants: Wants::Stop,
        drain: Drain::Replicas,
        disk_total: 1 << 40,
        disk_usable: 1 << 39,
        produce_bytes: vec![1, 2, 3, u64::MAX],
        sizes: vec![(PARTITION, 1 << 36), (TopicPartition::METADATA, 0)],
        slow_sync: true,
        sent: 123_456,
    }
}

fn change(number: u64, members: i32) -> IsrChange {
    IsrChange {
        partition: PARTITION,
        leader_epoch: LeaderEpoch(8),
        partition_epoch: PartitionEpoch(30),
        isr: (0..members).map(|server| (ServerId(server), BrokerEpoch(400 + i64::from(server)))).collect(),
        number,
    }
}

pub fn alter_isr(members: &[i32]) -> AlterIsr {
    let changes = (1..).zip(members).map(|(number, members)| change(number, *members)).collect();
    AlterIsr { quorum_epoch: 9, server: ServerId(3), broker_epoch: BrokerEpoch(501), changes }
}

fn alter_isr_answer() -> AlterIsrAnswer {
    let outcomes = [
        IsrOutcome::Decided { partition_epoch: PartitionEpoch(31) },
        IsrOutcome::SameAlready,
        IsrOutcome::Ineligible,
        IsrOutcome::StaleEpoch,
        IsrOutcome::NotLeader,
        IsrOutcome::UnknownPartition,
    ];
    AlterIsrAnswer { quorum_epoch: 9, version: 520, answers: (1..).zip(outcomes).collect() }
}

fn registered() -> Vec<Message> {
    let outcomes = [
        RegisterOutcome::Accepted { broker_epoch: BrokerEpoch(501) },
        RegisterOutcome::IdInUse,
        RegisterOutcome::OtherDirectory,
        RegisterOutcome::NotLeader { leader: Some(voter(2)) },
        RegisterOutcome::NotLeader { leader: None },
        RegisterOutcome::UnknownId,
        RegisterOutcome::Protocol,
    ];
    let of = |outcome| Message::Registered(Registered { outcome, session_ms: 9000, heartbeat_ms: 2000 });
    outcomes.map(of).into()
}

fn heartbeat_answers() -> Vec<Message> {
    let outcomes = [
        HeartbeatOutcome::Accepted,
        HeartbeatOutcome::NotLeader { leader: Some(voter(2)) },
        HeartbeatOutcome::NotLeader { leader: None },
        HeartbeatOutcome::Unknown,
    ];
    let answer =
        |outcome| HeartbeatAnswer { outcome, fenced: true, may_stop: false, sent: 9, session_ms: 9000 };
    outcomes.map(|outcome| Message::HeartbeatAnswer(answer(outcome))).into()
}

fn votes() -> Vec<Message> {
    let (from, to) = (voter(2), voter(1));
    let ask = VoteAsk { kind: VoteKind::Real, epoch: 9, candidate: to, asked: from, log: LOG };
    let answer = VoteAnswer {
        kind: VoteKind::Pre,
        epoch: 9,
        from,
        to,
        granted: true,
        log: LogEnd::EMPTY,
        leader: Some(voter(3)),
        leader_epoch: 8,
    };
    vec![
        Message::VoteAsk(ask),
        Message::VoteAnswer(answer),
        Message::VoteAnswer(VoteAnswer { granted: false, leader: None, ..answer }),
        Message::Lead(Lead { epoch: 9, leader: to }),
        Message::Resign(Resign { epoch: Some(0), what: Resigned::Leadership }),
        Message::Resign(Resign { epoch: None, what: Resigned::Storage }),
    ]
}

/// Messages without a payload.
fn bare() -> Vec<Message> {
    let close = |(stream, reason)| ClosedStream { stream: StreamNumber(stream), reason };
    let reasons = [
        CloseReason::Mismatch,
        CloseReason::NoRoom,
        CloseReason::Gone,
        CloseReason::Epoch,
        CloseReason::NotLeader,
        CloseReason::Removed,
    ];
    let anybody = Hello { to_server: Hello::ANYBODY, quorum_leader: None, proof: Bytes::new(), ..hello() };
    let mut all = vec![
        Message::Hello(hello()),
        Message::Hello(anybody),
        Message::Welcome(welcome()),
        Message::Refused(Refused::new(Refusal::NewerIncarnation, "a newer one is here")),
        Message::Open(vec![open(1), open(u32::MAX)]),
        Message::Opened(opened()),
        Message::Append(Vec::new()),
        Message::Ack(ack()),
        Message::Ack(Ack { acked: Vec::new(), credit: 0 }),
        Message::Close((0..).zip(reasons).map(close).collect()),
        Message::Register(register(Damaged::None)),
        Message::Register(register(Damaged::All)),
        Message::Register(Register { rack: None, ..register(Damaged::Some(vec![PARTITION; 2])) }),
        Message::Heartbeat(heartbeat()),
        Message::AlterIsr(alter_isr(&[3, 0, 1])),
        Message::AlterIsrAnswer(alter_isr_answer()),
    ];
    all.extend(votes());
    all.extend(registered());
    all.extend(heartbeat_answers());
    all
}

pub fn snapshot_part() -> SnapshotPart {
    let (offset, epoch) = (Offset(1000), LeaderEpoch(7));
    SnapshotPart { stream: StreamNumber(1), offset, epoch, position: 100, total: 110, is_last: true }
}

pub fn forward() -> Forward {
    Forward { id: 4, client: "10.1.1.1:5555".into(), facts: Bytes::from_static(b"shards") }
}

pub fn all() -> Vec<(Message, Bytes)> {
    let payload = Bytes::from_static(b"0123456789");
    let gap = Part { gap: Gap::Damaged, end: Offset(140), ..part(3, 0) };
    let compacted = Part { gap: Gap::Compacted, end: Offset(500), ..part(2, 6) };
    let forwarded = |outcome| Message::Forwarded(Forwarded { id: 4, version: 520, outcome });
    let mut all: Vec<(Message, Bytes)> = bare().into_iter().map(|message| (message, Bytes::new())).collect();
    all.extend([
        (Message::Append(vec![part(1, 4), compacted, part(4, 0), gap]), payload.clone()),
        (Message::SnapshotPart(snapshot_part()), payload.clone()),
        (
            Message::SnapshotPart(SnapshotPart { total: 1 << 30, is_last: false, ..snapshot_part() }),
            payload.clone(),
        ),
        (Message::Forward(forward()), payload.clone()),
        (forwarded(ForwardOutcome::Answered), payload),
        (forwarded(ForwardOutcome::NotController), Bytes::new()),
        (forwarded(ForwardOutcome::Busy), Bytes::new()),
    ]);
    all
}
