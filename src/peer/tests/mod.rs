//! Frames as they are written and read: every message, every limit.

mod any;
mod hostile;
mod samples;

use bytes::Bytes;

use super::codec;
use super::limits::*;
use super::*;
use crate::base::{LeaderEpoch, Offset, PartitionIndex, ServerId, ShardId, StreamNumber, TopicPartition};

const ACCEPTED: FrameLimits = FrameLimits::Accepted { batch_bytes_max: 8 << 20 };

fn limits(message: &Message) -> FrameLimits {
    if message.is_handshake() { FrameLimits::Greeting } else { ACCEPTED }
}

fn written(message: &Message, payload: &[u8]) -> Bytes {
    [&encode(message, payload.len())[..], payload].concat().into()
}

fn whole(bytes: &Bytes, limits: FrameLimits) -> Frame {
    match decode(bytes, &limits).unwrap() {
        Step::Frame { frame, taken } if taken == bytes.len() => frame,
        other => panic!("{other:?} of {} bytes", bytes.len()),
    }
}

/// A frame whose checksum and sizes are right whatever its header is.
fn framed(header: &[u8], payload: &[u8]) -> Bytes {
    let size = u32::try_from(8 + header.len() + payload.len()).unwrap();
    let header_size = u32::try_from(header.len()).unwrap();
    let mut bytes = [size.to_le_bytes(), header_size.to_le_bytes()].concat();
    let crc = crc32fast::hash(&[&bytes, header].concat());
    bytes.extend(crc.to_le_bytes());
    [&bytes[..], header, payload].concat().into()
}

/// What a peer hears that sends `message`, which our own side would not send.
fn refusal_of(message: &Message, payload: &[u8]) -> FrameError {
    decode(&framed(&codec::encode(message), payload), &limits(message)).unwrap_err()
}

#[test]
fn every_message_survives_its_bytes() {
    let mut names = std::collections::BTreeSet::new();
    for (message, payload) in samples::all() {
        let frame = whole(&written(&message, &payload), limits(&message));
        assert_eq!(frame, Frame { message: message.clone(), payload });
        names.insert(message.name());
    }
    assert_eq!(names.len(), 21, "a sample of each message");
}

#[test]
fn frames_follow_each_other() {
    let frames: Vec<_> = samples::all().into_iter().filter(|(it, _)| !it.is_handshake()).collect();
    let stream = frames.iter().map(|(message, payload)| written(message, payload));
    let mut left: Bytes = stream.collect::<Vec<_>>().concat().into();
    for (message, payload) in frames {
        let Step::Frame { frame, taken } = decode(&left, &ACCEPTED).unwrap() else { panic!("{message:?}") };
        assert_eq!(frame, Frame { message, payload });
        left = left.slice(taken..);
    }
    assert!(left.is_empty());
}

/// Lines of a name and a frame's bytes, one for each sample, as protocol 1 has them. RINGMAIN_UPDATE=1 writes them anew, for a
/// protocol that nobody speaks yet.
const FRAMES: &str = include_str!("frames.tsv");

#[test]
fn other_versions_read_and_write_the_same_bytes() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line =
        |message: &Message, payload| format!("{}\t{}", message.name(), hex(&written(message, payload)));
    let lines: Vec<String> = samples::all().iter().map(|(message, payload)| line(message, payload)).collect();
    if std::env::var_os("RINGMAIN_UPDATE").is_some() {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/peer/tests/frames.tsv"),
            lines.join("\n") + "\n",
        )
        .unwrap();
    }
    assert_eq!(FRAMES.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn payloads_are_not_copied() {
    let bytes = written(&Message::Append(vec![samples::part(1, 10)]), b"0123456789");
    let payload = whole(&bytes, ACCEPTED).payload;
    assert_eq!(payload.as_ptr(), bytes[bytes.len() - 10..].as_ptr());
}

#[test]
fn what_is_missing_is_named() {
    for (message, payload) in samples::all() {
        let bytes = written(&message, &payload);
        let header = bytes.len() - payload.len();
        for cut in 0..bytes.len() {
            let expected = if cut < FRONT_BYTES {
                FRONT_BYTES
            } else if cut < header {
                header
            } else {
                bytes.len()
            };
            let step = decode(&bytes.slice(..cut), &limits(&message));
            assert_eq!(step, Ok(Step::Need(expected)), "{} at {cut}", message.name());
        }
    }
}

#[test]
fn messages_as_large_as_they_may_be_fit() {
    let text = "x".repeat(TEXT_BYTES_MAX);
    let partitions = vec![TopicPartition::METADATA; DAMAGED_MAX];
    let full = |members: usize| vec![i32::try_from(members).unwrap(); ISR_CHANGES_MAX];
    let largest = [
        Message::Hello(Hello {
            cluster: "x".repeat(CLUSTER_BYTES_MAX),
            proof: vec![1; PROOF_BYTES_MAX].into(),
            ..samples::hello()
        }),
        Message::Refused(Refused::new(Refusal::Secret, &"é".repeat(WHY_BYTES_MAX))),
        Message::Open(vec![samples::open(1); STREAMS_MAX]),
        Message::Opened(vec![samples::opened()[3]; STREAMS_MAX]),
        Message::Append(vec![samples::part(1, 0); STREAMS_MAX]),
        Message::Register(Register {
            rack: Some(text.clone()),
            client: (text.clone(), 1),
            cluster: (text.clone(), 1),
            ..samples::register(Damaged::Some(partitions))
        }),
        Message::Heartbeat(Heartbeat {
            produce_bytes: vec![1; SHARDS_MAX],
            sizes: vec![(TopicPartition::METADATA, 1); SIZES_MAX],
            ..samples::heartbeat()
        }),
        Message::AlterIsr(samples::alter_isr(&full(ISR_MEMBERS_MAX / ISR_CHANGES_MAX))),
        Message::Forward(Forward { id: 1, client: text, facts: vec![1; FACTS_BYTES_MAX].into() }),
    ];
    for message in largest {
        assert_eq!(whole(&written(&message, b""), limits(&message)).message, message);
    }
}

#[test]
fn more_than_a_list_may_hold_is_refused() {
    let check = |message: Message, limit: usize| {
        let refusal = refusal_of(&message, b"");
        assert!(matches!(refusal, FrameError::TooMany { limit: found, .. } if found == limit), "{refusal}");
    };
    let close = ClosedStream { stream: StreamNumber(1), reason: CloseReason::Gone };
    check(Message::Close(vec![close; STREAMS_MAX + 1]), STREAMS_MAX);
    check(Message::Open(vec![samples::open(1); STREAMS_MAX + 1]), STREAMS_MAX);
    check(Message::Append(vec![samples::part(1, 0); STREAMS_MAX + 1]), STREAMS_MAX);
    let damaged = Damaged::Some(vec![TopicPartition::METADATA; DAMAGED_MAX + 1]);
    check(Message::Register(samples::register(damaged)), DAMAGED_MAX);
    check(Message::AlterIsr(samples::alter_isr(&vec![0; ISR_CHANGES_MAX + 1])), ISR_CHANGES_MAX);
    check(Message::AlterIsr(samples::alter_isr(&[2501])), ISR_MEMBERS_MAX);
    let cluster = "x".repeat(CLUSTER_BYTES_MAX + 1);
    check(Message::Hello(Hello { cluster, ..samples::hello() }), CLUSTER_BYTES_MAX);
    let why = "x".repeat(WHY_BYTES_MAX + 1);
    check(Message::Refused(Refused { reason: Refusal::Secret, why }), WHY_BYTES_MAX);
}

#[test]
fn payloads_are_what_their_messages_say() {
    let check = |message: Message, payload: &[u8], said: u64| {
        let found = u64::try_from(payload.len()).unwrap();
        assert_eq!(refusal_of(&message, payload), FrameError::Payload { said, found }, "{message:?}");
    };
    check(Message::Append(vec![samples::part(1, 2), samples::part(2, 3)]), b"0123", 5);
    check(Message::Append(vec![samples::part(1, 2)]), b"012", 2);
    check(Message::Append(vec![samples::part(1, u32::MAX); 4]), b"012", 4 * u64::from(u32::MAX));
    check(Message::Append(Vec::new()), b"0", 0);
    check(Message::Open(vec![samples::open(1)]), b"0", 0);
    check(Message::Hello(samples::hello()), b"0", 0);
    check(Message::SnapshotPart(samples::snapshot_part()), b"012345678", 10);
    let more_to_come = SnapshotPart { is_last: false, ..samples::snapshot_part() };
    check(Message::SnapshotPart(more_to_come), b"0123456789a", 10);
}

#[test]
fn numbers_that_none_can_be_are_refused() {
    let check = |message: Message, value: i64| {
        let refusal = refusal_of(&message, b"");
        assert!(
            matches!(refusal, FrameError::OutOfRange { value: found, .. } if found == value),
            "{refusal}"
        );
    };
    let part = samples::part(1, 0);
    check(Message::Append(vec![Part { base: Offset(i64::MIN), ..part }]), i64::MIN);
    check(Message::Append(vec![Part { end: Offset(i64::MAX), ..part }]), i64::MAX);
    check(Message::Append(vec![Part { epoch: LeaderEpoch(i32::MAX), ..part }]), i32::MAX.into());
    check(Message::Hello(Hello { shards: 0, ..samples::hello() }), 0);
    check(Message::Hello(Hello { shards: 1000, ..samples::hello() }), 1000);
    check(Message::Hello(Hello { shard: ShardId(4), ..samples::hello() }), 4);
    check(Message::Hello(Hello { server: Hello::ANYBODY, ..samples::hello() }), -1);
    check(Message::Hello(Hello { to_server: ServerId(2_147_483), ..samples::hello() }), 2_147_483);
    check(Message::Lead(Lead { epoch: i32::MAX, leader: samples::voter(1) }), i32::MAX.into());
    check(Message::Lead(Lead { epoch: 1, leader: samples::voter(-1) }), -1);
    let partition = TopicPartition { partition: PartitionIndex(-1), ..TopicPartition::METADATA };
    check(Message::Open(vec![OpenStream { partition, ..samples::open(1) }]), -1);
}

#[test]
fn runs_that_contradict_themselves_are_refused() {
    let part = samples::part(1, 4);
    let contradictions = [
        Part { end: part.base, ..part },
        Part { end: part.base.plus(-1), gap: Gap::Compacted, ..part },
        Part { bytes: 0, ..part },
        Part { bytes: 0, end: part.base.plus(-1), gap: Gap::Damaged, ..part },
    ];
    for part in contradictions {
        let payload = vec![0; usize::try_from(part.bytes).unwrap()];
        let refusal = refusal_of(&Message::Append(vec![part]), &payload);
        assert_eq!(refusal, FrameError::Contradiction { what: "a run's end" }, "{part:?}");
    }
    let beyond = SnapshotPart { position: 111, ..samples::snapshot_part() };
    let refusal = refusal_of(&Message::SnapshotPart(beyond), b"");
    assert_eq!(refusal, FrameError::Contradiction { what: "a position in a snapshot" });
}
