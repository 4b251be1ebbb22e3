//! Any message that may be sent comes back as it was, and any bytes are read without a panic.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::check::{EPOCH_MAX, OFFSET_MAX, SERVER_MAX};
use super::super::*;
use super::{ACCEPTED, framed, limits, samples, whole, written};
use crate::base::{
    BrokerEpoch, DirectoryId, IncarnationId, LeaderEpoch, LogEnd, Offset, PartitionEpoch, PartitionIndex,
    ServerId, ShardId, StreamNumber, TopicId, TopicPartition, Voter, VoterId,
};

fn offset() -> impl Strategy<Value = Offset> {
    (0..=OFFSET_MAX).prop_map(Offset)
}

fn epoch() -> impl Strategy<Value = i32> {
    -1..=EPOCH_MAX
}

fn leader_epoch() -> impl Strategy<Value = LeaderEpoch> {
    epoch().prop_map(LeaderEpoch)
}

fn broker_epoch() -> impl Strategy<Value = BrokerEpoch> {
    (-1..=OFFSET_MAX).prop_map(BrokerEpoch)
}

fn server() -> impl Strategy<Value = ServerId> {
    (0..=SERVER_MAX).prop_map(ServerId)
}

fn stream() -> impl Strategy<Value = StreamNumber> {
    any::<u32>().prop_map(StreamNumber)
}

fn voter() -> impl Strategy<Value = Voter> {
    (server(), any::<[u8; 16]>()).prop_map(|(server, id)| Voter { server, id: VoterId(id) })
}

fn log_end() -> impl Strategy<Value = LogEnd> {
    (leader_epoch(), offset()).prop_map(|(last_epoch, end)| LogEnd { last_epoch, end })
}

fn partition() -> impl Strategy<Value = TopicPartition> {
    (any::<[u8; 16]>(), 0..i32::MAX)
        .prop_map(|(topic, index)| TopicPartition { topic: TopicId(topic), partition: PartitionIndex(index) })
}

fn hello() -> impl Strategy<Value = Message> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<[u8; 16]>(), server(), broker_epoch());
    let to =
        (option::of(server()), any::<u16>(), select(vec![LaneKind::Data, LaneKind::Control, LaneKind::Vote]));
    let rest = (
        any::<[u16; 2]>(),
        "\\PC{0,10}",
        1..1000u16,
        any::<u32>(),
        epoch(),
        option::of(voter()),
        vec(any::<u8>(), 0..40),
    );
    (ids, to, rest).prop_map(|(ids, to, rest)| {
        let ([protocol_min, protocol_max], cluster, shards, window, quorum_epoch, quorum_leader, proof) =
            rest;
        Message::Hello(Hello {
            protocol_min,
            protocol_max,
            cluster,
            server: ids.3,
            directory: DirectoryId(ids.0),
            incarnation: IncarnationId(ids.1),
            voter: VoterId(ids.2),
            broker_epoch: ids.4,
            shard: ShardId(shards - 1),
            shards,
            to_server: to.0.unwrap_or(Hello::ANYBODY),
            to_shard: ShardId(to.1),
            kind: to.2,
            window,
            quorum_epoch,
            quorum_leader,
            proof: proof.into(),
        })
    })
}

fn open() -> impl Strategy<Value = OpenStream> {
    (stream(), partition(), leader_epoch(), log_end(), offset(), offset()).prop_map(
        |(stream, partition, leader_epoch, log_end, flushed, log_start)| OpenStream {
            stream,
            partition,
            leader_epoch,
            log_end,
            flushed,
            log_start,
        },
    )
}

fn opened() -> impl Strategy<Value = OpenedStream> {
    let outcome = (0..7u8, offset(), leader_epoch()).prop_map(|(which, offset, epoch)| match which {
        0 => OpenOutcome::Fenced { current: epoch },
        1 => OpenOutcome::NotYet,
        2 => OpenOutcome::Refused,
        3 => OpenOutcome::Begin { at: offset, epoch_before: epoch },
        4 => OpenOutcome::Diverging { epoch, end: offset },
        5 => OpenOutcome::From { next: offset },
        _ => OpenOutcome::Snapshot { offset, epoch },
    });
    (stream(), outcome, offset(), offset()).prop_map(|(stream, outcome, high_watermark, log_start)| {
        OpenedStream { stream, outcome, high_watermark, log_start }
    })
}

fn part() -> impl Strategy<Value = Part> {
    let run = (0..2000u32, 0..OFFSET_MAX / 2, 1..OFFSET_MAX / 2);
    let gap = select(vec![Gap::None, Gap::Compacted, Gap::Damaged]);
    (stream(), run, leader_epoch(), gap, offset(), offset()).prop_map(
        |(stream, (bytes, base, length), epoch, gap, high_watermark, log_start)| {
            let length = if bytes == 0 && gap == Gap::None { 0 } else { length };
            let (base, end) = (Offset(base), Offset(base + length));
            Part { stream, bytes, base, end, epoch, gap, high_watermark, log_start }
        },
    )
}

fn acked() -> impl Strategy<Value = Acked> {
    (stream(), offset(), offset(), offset(), any::<bool>(), any::<bool>()).prop_map(
        |(stream, log_end, flushed, log_start, wants_high_watermark, damaged)| Acked {
            stream,
            log_end,
            flushed,
            log_start,
            wants_high_watermark,
            damaged,
        },
    )
}

fn vote() -> impl Strategy<Value = Message> {
    let kind = select(vec![VoteKind::Pre, VoteKind::Real]);
    let voters = (voter(), voter(), option::of(voter()));
    (kind, voters, epoch(), log_end(), option::of((any::<bool>(), epoch()))).prop_map(
        |(kind, (from, to, leader), epoch, log, answer)| match answer {
            None => Message::VoteAsk(VoteAsk { kind, epoch, candidate: to, asked: from, log }),
            Some((granted, leader_epoch)) => {
                Message::VoteAnswer(VoteAnswer { kind, epoch, from, to, granted, log, leader, leader_epoch })
            }
        },
    )
}

fn register() -> impl Strategy<Value = Message> {
    let damaged =
        prop_oneof![Just(Damaged::None), vec(partition(), 0..20).prop_map(Damaged::Some), Just(Damaged::All)];
    let texts = (option::of("\\PC{0,20}"), "\\PC{0,20}", "\\PC{0,20}");
    let numbers = (server(), 1..1000u16, any::<[u16; 4]>(), offset(), any::<u64>(), broker_epoch());
    (any::<[u8; 16]>(), texts, numbers, damaged, any::<bool>()).prop_map(
        |(id, texts, numbers, damaged, clean)| {
            Message::Register(Register {
                server: numbers.0,
                directory: DirectoryId(id),
                incarnation: IncarnationId(id.map(|byte| byte ^ 1)),
                voter: VoterId(id.map(|byte| byte ^ 2)),
                shards: numbers.1,
                rack: texts.0,
                client: (texts.1, numbers.2[0]),
                cluster: (texts.2, numbers.2[1]),
                protocol_min: numbers.2[2],
                protocol_max: numbers.2[3],
                clean,
                damaged,
                metadata_end: numbers.3,
                commit_sequence: numbers.4,
                previous_broker_epoch: numbers.5,
            })
        },
    )
}

fn heartbeat() -> impl Strategy<Value = Message> {
    let lists = (vec(any::<u64>(), 0..40), vec((partition(), any::<u64>()), 0..40));
    let drain = select(vec![Drain::None, Drain::Leaderships, Drain::Replicas]);
    (server(), broker_epoch(), offset(), any::<[u64; 4]>(), lists, drain, any::<[bool; 2]>()).prop_map(
        |(server, broker_epoch, flushed, numbers, (produce_bytes, sizes), drain, flags)| {
            Message::Heartbeat(Heartbeat {
                server,
                broker_epoch,
                applied: flushed.0,
                metadata_flushed: flushed,
                commit_sequence: numbers[0],
                wants: if flags[0] { Wants::Stop } else { Wants::Serve },
                drain,
                disk_total: numbers[1],
                disk_usable: numbers[2],
                produce_bytes,
                sizes,
                slow_sync: flags[1],
                sent: numbers[3],
            })
        },
    )
}

fn alter_isr() -> impl Strategy<Value = Message> {
    let isr = vec((server(), broker_epoch()), 0..6);
    let change = (partition(), leader_epoch(), epoch(), isr, any::<u64>()).prop_map(
        |(partition, leader_epoch, epoch, isr, number)| IsrChange {
            partition,
            leader_epoch,
            partition_epoch: PartitionEpoch(epoch),
            isr,
            number,
        },
    );
    (epoch(), server(), broker_epoch(), vec(change, 0..20)).prop_map(
        |(quorum_epoch, server, broker_epoch, changes)| {
            Message::AlterIsr(AlterIsr { quorum_epoch, server, broker_epoch, changes })
        },
    )
}

/// Messages whose fields have no shape of their own are in the samples.
fn message() -> impl Strategy<Value = Message> {
    let answer = (any::<u64>(), epoch())
        .prop_map(|(number, epoch)| (number, IsrOutcome::Decided { partition_epoch: PartitionEpoch(epoch) }));
    let answers = (epoch(), offset(), vec(answer, 0..20)).prop_map(|(quorum_epoch, version, answers)| {
        Message::AlterIsrAnswer(AlterIsrAnswer { quorum_epoch, version: version.0, answers })
    });
    let ack =
        (vec(acked(), 0..20), any::<u32>()).prop_map(|(acked, credit)| Message::Ack(Ack { acked, credit }));
    let forward = (any::<u64>(), "\\PC{0,20}", vec(any::<u8>(), 0..40))
        .prop_map(|(id, client, facts)| Message::Forward(Forward { id, client, facts: facts.into() }));
    let sample = select(samples::all()).prop_map(|(message, _)| message);
    prop_oneof![
        sample,
        hello(),
        vec(open(), 0..20).prop_map(Message::Open),
        vec(opened(), 0..20).prop_map(Message::Opened),
        vec(part(), 0..20).prop_map(Message::Append),
        ack,
        vote(),
        register(),
        heartbeat(),
        alter_isr(),
        answers,
        forward,
    ]
}

fn payload_of(message: &Message) -> Bytes {
    let bytes = match message {
        Message::Append(parts) => parts.iter().map(|part| part.bytes).sum(),
        Message::SnapshotPart(part) => u32::try_from((part.total - part.position).min(10)).unwrap(),
        _ => 0,
    };
    vec![b'p'; usize::try_from(bytes).unwrap()].into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(message in message()) {
        let payload = payload_of(&message);
        let frame = whole(&written(&message, &payload), limits(&message));
        prop_assert_eq!(frame, Frame { message, payload });
    }

    #[test]
    fn damaged_headers_are_refused_or_say_something_else(
        message in message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let payload = payload_of(&message);
        let bytes = written(&message, &payload);
        let mut header = bytes[limits::FRONT_BYTES..bytes.len() - payload.len()].to_vec();
        for (at, byte) in changes {
            let at = at.index(header.len());
            header[at] = byte;
        }
        if let Ok(Step::Frame { frame, .. }) = decode(&framed(&header, &payload), &limits(&message)) {
            let again = written(&frame.message, &frame.payload);
            prop_assert_eq!(whole(&again, limits(&frame.message)), frame);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        for limits in [FrameLimits::Greeting, ACCEPTED] {
            let _ = decode(&framed(&bytes, b""), &limits);
            let _ = decode(&bytes.clone().into(), &limits);
        }
    }
}
