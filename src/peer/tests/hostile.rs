//! Frames that no honest peer sends: refused by their first bytes where that can be, and never a panic.

use bytes::Bytes;
use flatbuffers::FlatBufferBuilder;

use super::super::codec;
use super::super::generated as wire;
use super::super::limits::*;
use super::super::*;
use super::{ACCEPTED, framed, limits, samples, written};

/// The front of a frame of `size` bytes behind its size.
fn front(size: u32, header: u32) -> Bytes {
    [size, header, 0].map(u32::to_le_bytes).concat().into()
}

#[test]
fn a_frame_larger_than_allowed_is_refused_by_its_front() {
    let check = |limits: FrameLimits, size: usize, allowed: bool| {
        let bytes = front(u32::try_from(size).unwrap(), 100);
        let step = decode(&bytes, &limits);
        if allowed {
            assert_eq!(step, Ok(Step::Need(112)), "{size}");
        } else {
            assert!(matches!(step, Err(FrameError::TooLarge { .. })), "{size}: {step:?}");
        }
    };
    check(FrameLimits::Greeting, GREETING_BYTES_MAX - 4, true);
    check(FrameLimits::Greeting, GREETING_BYTES_MAX - 3, false);
    let largest = 8 + HEADER_BYTES_MAX + FORWARD_BYTES_MAX;
    check(ACCEPTED, largest, true);
    check(ACCEPTED, largest + 1, false);
    let batch_bytes_max = 100 << 20;
    let larger = FrameLimits::Accepted { batch_bytes_max };
    let largest = 8 + HEADER_BYTES_MAX + usize::try_from(batch_bytes_max).unwrap();
    check(larger, largest, true);
    check(larger, largest + 1, false);
    check(larger, usize::try_from(u32::MAX).unwrap(), false);
}

#[test]
fn a_payload_larger_than_its_message_may_have_is_refused_by_its_header() {
    let check = |message: &Message, payload: usize, limit: usize| {
        let bytes = framed(&codec::encode(message), &vec![0; payload]);
        let header = bytes.slice(..bytes.len() - payload);
        let limits = FrameLimits::Accepted { batch_bytes_max: 3 << 20 };
        if payload <= limit {
            assert_eq!(decode(&header, &limits), Ok(Step::Need(bytes.len())));
            assert!(matches!(decode(&bytes, &limits), Ok(Step::Frame { taken, .. }) if taken == bytes.len()));
        } else {
            let limit = u64::try_from(limit).unwrap();
            let error = FrameError::TooLarge { bytes: u64::try_from(payload).unwrap(), limit };
            assert_eq!(decode(&header, &limits), Err(error));
        }
    };
    let part = |bytes: usize| samples::part(1, u32::try_from(bytes).unwrap());
    for over in [0, 1] {
        let alone = (3 << 20) + over;
        check(&Message::Append(vec![part(alone)]), alone, 3 << 20);
        check(&Message::Append(vec![part(0), part(alone), part(0)]), alone, 3 << 20);
        let half = PAYLOAD_BYTES_MAX / 2;
        check(&Message::Append(vec![part(half), part(half + over)]), 2 * half + over, PAYLOAD_BYTES_MAX);
        let piece = SnapshotPart { total: 1 << 30, is_last: false, ..samples::snapshot_part() };
        check(&Message::SnapshotPart(piece), PAYLOAD_BYTES_MAX + over, PAYLOAD_BYTES_MAX);
        check(&Message::Forward(samples::forward()), FORWARD_BYTES_MAX + over, FORWARD_BYTES_MAX);
    }
}

#[test]
fn nothing_but_the_handshake_comes_before_a_lane_is_accepted() {
    for (message, payload) in samples::all() {
        let step = decode(&written(&message, &payload), &FrameLimits::Greeting);
        if message.is_handshake() {
            assert!(matches!(step, Ok(Step::Frame { .. })), "{step:?}");
        } else {
            assert_eq!(step, Err(FrameError::Early(message.name())));
        }
    }
}

#[test]
fn sizes_that_do_not_fit_each_other_are_refused() {
    let large = u32::try_from(HEADER_BYTES_MAX).unwrap() + 1;
    for (size, header) in [(0, 0), (7, 0), (8, 1), (100, 93), (100, u32::MAX), (1 << 20, large)] {
        let step = decode(&front(size, header), &ACCEPTED);
        assert_eq!(step, Err(FrameError::HeaderSize { header, frame: size }), "{size} {header}");
    }
}

#[test]
fn a_changed_byte_before_the_payload_is_refused() {
    for (message, payload) in samples::all() {
        let bytes = written(&message, &payload);
        for at in 0..bytes.len() - payload.len() {
            for change in [1, 0x80, 0xFF] {
                let mut bad = bytes.to_vec();
                bad[at] ^= change;
                // A larger header asks for more bytes first; the checksum covers both sizes.
                let step = decode(&bad.into(), &limits(&message));
                let refused = matches!(step, Err(_) | Ok(Step::Need(_)));
                assert!(refused, "{} at {at}: {step:?}", message.name());
            }
        }
    }
}

/// With the checksum made right again, a changed byte is refused or is another message, which has bytes of its own.
#[test]
fn a_changed_header_with_a_right_checksum_is_refused_or_another_message() {
    let mut other = 0;
    for (message, payload) in samples::all() {
        let bytes = written(&message, &payload);
        let header = &bytes[FRONT_BYTES..bytes.len() - payload.len()];
        for at in 0..header.len() {
            for change in [1, 2, 0x80, 0xFF] {
                let mut bad = header.to_vec();
                bad[at] ^= change;
                let limits = limits(&message);
                if let Ok(Step::Frame { frame, .. }) = decode(&framed(&bad, &payload), &limits) {
                    other += 1;
                    let again = written(&frame.message, &frame.payload);
                    let taken = again.len();
                    assert_eq!(decode(&again, &limits), Ok(Step::Frame { frame, taken }));
                }
            }
        }
    }
    assert!(other > 1000, "{other} others");
}

#[test]
fn a_header_cut_short_with_a_right_checksum_lacks_nothing_or_is_refused() {
    for (message, payload) in samples::all() {
        let bytes = written(&message, &payload);
        let header = &bytes[FRONT_BYTES..bytes.len() - payload.len()];
        for cut in 0..header.len() {
            let step = decode(&framed(&header[..cut], &payload), &limits(&message));
            // Padding may be missed, and nothing else.
            let same = matches!(&step, Ok(Step::Frame { frame, .. }) if frame.message == message);
            let padding = header[cut..].iter().all(|byte| *byte == 0) && header.len() - cut < 8;
            assert!(step.is_err() || (same && padding), "{} at {cut}: {step:?}", message.name());
        }
    }
}

fn refused(build: impl FnOnce(&mut FlatBufferBuilder<'_>) -> (wire::Body, u32)) -> FrameError {
    let mut builder = FlatBufferBuilder::new();
    let (body_type, body) = build(&mut builder);
    let body = Some(flatbuffers::WIPOffset::new(body));
    let root = wire::Header::create(&mut builder, &wire::HeaderArgs { body_type, body });
    wire::finish_header_buffer(&mut builder, root);
    decode(&framed(builder.finished_data(), b""), &ACCEPTED).unwrap_err()
}

#[test]
fn what_is_not_said_is_missed() {
    let error = refused(|builder| {
        let body = wire::Registered::create(builder, &wire::RegisteredArgs::default());
        (wire::Body::Registered, body.value())
    });
    assert_eq!(error, FrameError::Missing { what: "a broker epoch" });

    for (members, what) in [(0, None), (1, Some("a member of an in-sync set"))] {
        let error = refused(|builder| {
            let topic = wire::TopicPartition::new(&wire::Uuid::new(0, 1), 0);
            let change = wire::IsrChange::new(&topic, 1, 1, 1, 2);
            let changes = Some(builder.create_vector(&[change]));
            let member = wire::IsrMember::new(1, 1);
            let list: &[wire::IsrMember] = &[member; 3];
            let members = Some(builder.create_vector(if members == 1 { &list[..1] } else { list }));
            let args = wire::AlterIsrArgs { changes, members, ..wire::AlterIsrArgs::default() };
            (wire::Body::AlterIsr, wire::AlterIsr::create(builder, &args).value())
        });
        let too_many = FrameError::Contradiction { what: "the number of members" };
        assert_eq!(error, what.map_or(too_many, |what| FrameError::Missing { what }));
    }

    let error = refused(|builder| {
        let body = wire::Resign::create(builder, &wire::ResignArgs::default());
        (wire::Body(200), body.value())
    });
    assert_eq!(error, FrameError::UnknownMessage(200));

    let error = refused(|builder| {
        let args = wire::ResignArgs { epoch: None, what: wire::Resigned(9) };
        (wire::Body::Resign, wire::Resign::create(builder, &args).value())
    });
    assert_eq!(error, FrameError::UnknownValue { what: "a resignation", value: 9 });
}
