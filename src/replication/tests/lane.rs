//! Turns, credit and silence.

use crate::base::{MonoNanos, Offset, StreamNumber};
use crate::replication::{
    FRAME_BYTES_MAX, Frame, InLane, IntakeError, LaneError, Left, Lies, Offer, OutLane, PARTS_MAX,
    PIECE_BYTES_MAX, Redial, Run, Turn, WINDOW_BYTES,
};

use super::{START, at};

const KIB: u32 = 1 << 10;

fn lane(streams: u32) -> OutLane {
    let mut lane = OutLane::new(WINDOW_BYTES, START).unwrap();
    for number in 0..streams {
        lane.open(StreamNumber(number), Offset(0), START).unwrap();
    }
    lane
}

/// Fills a frame: each stream has `bytes` of memory left, in batches of `batch`. Tells who had how much.
fn fill(
    lane: &mut OutLane,
    left: &mut [u64],
    batch: u64,
    now: MonoNanos,
) -> (Vec<(u32, u64)>, Option<Frame>) {
    let mut placed = Vec::new();
    while let Some(turn) = lane.next_turn(now) {
        let Turn::Run { stream, next, bytes_max } = turn else {
            placed.push((if let Turn::Watermark { stream, .. } = turn { stream.0 } else { 0 }, 0));
            continue;
        };
        let has = &mut left[usize::try_from(stream.0).unwrap()];
        let bytes = (u64::from(bytes_max) / batch).max(1) * batch;
        let bytes = bytes.min(*has);
        let left = if bytes < *has { Left::InTail } else { Left::Nothing };
        let run =
            Run { end: next.plus(i64::try_from(bytes).unwrap()), bytes: u32::try_from(bytes).unwrap(), left };
        if lane.offer(stream, run) == Offer::Placed {
            *has -= bytes;
            placed.push((stream.0, bytes));
        }
    }
    (placed, lane.end_frame(now))
}

#[test]
fn streams_take_turns() {
    let mut lane = lane(3);
    let mut left = [1 << 20; 3];
    (0..3).for_each(|number| lane.has_news(StreamNumber(number), Lies::InTail));
    let mut order = Vec::new();
    for _ in 0..3 {
        let (placed, frame) = fill(&mut lane, &mut left, 1 << 10, START);
        assert_eq!(frame, Some(Frame { parts: 2, bytes: FRAME_BYTES_MAX }));
        order.extend(placed.iter().map(|(number, _)| *number));
        assert!(placed.iter().all(|(_, bytes)| *bytes == PIECE_BYTES_MAX));
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    assert_eq!(lane.under_way(), 3 << 19);
}

#[test]
fn nothing_is_sent_without_credit() {
    let mut lane = lane(1);
    let mut left = [8 << 20];
    lane.has_news(StreamNumber(0), Lies::InTail);
    for _ in 0..8 {
        assert!(lane.wants_frame(START));
        let _ = fill(&mut lane, &mut left, 1 << 10, START);
    }
    assert_eq!((lane.credit(), lane.wants_frame(START)), (0, false));
    assert_eq!(fill(&mut lane, &mut left, 1 << 10, START).1, None);
    lane.credited(10 << 10).unwrap();
    let (placed, _) = fill(&mut lane, &mut left, 1 << 10, START);
    assert_eq!(placed, [(0, 10 << 10)]);
    assert_eq!(
        lane.credited(WINDOW_BYTES + 1),
        Err(LaneError::TooMuchCredit { given: WINDOW_BYTES + 1, owed: 4 << 20 })
    );
}

#[test]
fn a_batch_waits_until_there_is_credit_for_it() {
    let mut lane = lane(2);
    let mut left = [WINDOW_BYTES - (100 << 10), 0];
    lane.has_news(StreamNumber(0), Lies::InTail);
    while lane.wants_frame(START) {
        let _ = fill(&mut lane, &mut left, 1 << 10, START);
    }
    assert_eq!(lane.credit(), 100 << 10);
    // The first has a batch of 300 KiB, the second a small one: the small one does not pass it for ever.
    let mut left = [300 << 10, 1 << 10];
    lane.has_news(StreamNumber(0), Lies::InTail);
    lane.has_news(StreamNumber(1), Lies::InTail);
    assert_eq!(fill(&mut lane, &mut left, 300 << 10, START), (vec![], None));
    assert!(!lane.wants_frame(START));
    lane.credited(199 << 10).unwrap();
    assert!(!lane.wants_frame(START));
    lane.credited(1 << 10).unwrap();
    let (placed, _) = fill(&mut lane, &mut left, 300 << 10, START);
    assert_eq!(placed, [(0, 300 << 10)]);
}

#[test]
fn a_batch_larger_than_a_frame_goes_alone() {
    let mut lane = lane(2);
    let mut left = [1 << 10, 9 << 20];
    lane.has_news(StreamNumber(0), Lies::InTail);
    lane.has_news(StreamNumber(1), Lies::InTail);
    // Not in one frame with the small one.
    let run = |bytes, end| Run { end: Offset(end), bytes, left: Left::Nothing };
    assert!(matches!(lane.next_turn(START), Some(Turn::Run { stream: StreamNumber(0), .. })));
    assert_eq!(lane.offer(StreamNumber(0), run(KIB, 1)), Offer::Placed);
    assert!(matches!(lane.next_turn(START), Some(Turn::Run { stream: StreamNumber(1), .. })));
    assert_eq!(lane.offer(StreamNumber(1), run(9 << 20, 1)), Offer::NotNow);
    assert_eq!(lane.next_turn(START), None);
    assert_eq!(lane.end_frame(START), Some(Frame { parts: 1, bytes: 1 << 10 }));
    left[0] = 0;
    let (placed, frame) = fill(&mut lane, &mut left, 9 << 20, START);
    assert_eq!((placed, frame), (vec![(1, 9 << 20)], Some(Frame { parts: 1, bytes: 9 << 20 })));
    assert!(lane.credit() < 0 && !lane.wants_frame(START));
}

#[test]
fn a_snapshots_pieces_share_the_credit() {
    let mut lane = lane(0);
    assert_eq!(lane.spend(3 << 20), Some(3 << 20));
    assert_eq!(lane.spend(3 << 20), Some(1 << 20));
    assert_eq!(lane.spend(1), None);
    lane.credited(5).unwrap();
    assert_eq!(lane.spend(1), Some(1));
}

#[test]
fn a_window_smaller_than_a_frame_works() {
    let mut lane = OutLane::new(64 << 10, START).unwrap();
    lane.open(StreamNumber(0), Offset(0), START).unwrap();
    lane.has_news(StreamNumber(0), Lies::InTail);
    let mut left = [200 << 10];
    assert_eq!(fill(&mut lane, &mut left, 100 << 10, START).0, [(0, 100 << 10)]);
    assert_eq!(lane.credit(), -(36 << 10));
    lane.credited(100 << 10).unwrap();
    assert_eq!(fill(&mut lane, &mut left, 100 << 10, START).0, [(0, 100 << 10)]);
    assert_eq!(OutLane::new(0, START).unwrap_err(), LaneError::NoWindow);
}

/// Streams 0 is hot and has always more, the others are cold.
#[test]
fn cold_streams_have_a_quarter_while_hot_ones_wait() {
    for batch in [KIB, 100 * KIB, 700 * KIB] {
        let mut lane = lane(2);
        lane.has_news(StreamNumber(0), Lies::InTail);
        lane.has_news(StreamNumber(1), Lies::InSegments);
        assert_eq!(lane.next_read(), Some((StreamNumber(1), Offset(0))));
        lane.read_done(StreamNumber(1));
        let mut sent = [0u64; 2];
        for frame in 0..400 {
            while let Some(Turn::Run { stream, next, bytes_max }) = lane.next_turn(START) {
                let is_cold = stream.0 == 1;
                let bytes = if is_cold { (bytes_max / batch).max(1) * batch } else { bytes_max };
                let left = if is_cold { Left::InWindow } else { Left::InTail };
                if lane.offer(stream, Run { end: next.plus(1), bytes, left }) == Offer::Placed {
                    sent[usize::try_from(stream.0).unwrap()] += u64::from(bytes);
                }
            }
            let bytes = lane.end_frame(START).map_or(0, |frame| frame.bytes);
            lane.credited(bytes).unwrap();
            assert!(sent[1] <= (sent[0] + sent[1]) / 4 + u64::from(batch), "frame {frame}: {sent:?}");
        }
        assert!(sent[1] >= (sent[0] + sent[1]) / 6, "cold ones starve: {sent:?}");
    }
}

#[test]
fn two_are_read_at_a_time() {
    let mut lane = lane(4);
    (0..4).for_each(|number| lane.has_news(StreamNumber(number), Lies::InSegments));
    let first = lane.next_read().unwrap().0;
    let second = lane.next_read().unwrap().0;
    assert_eq!((first, second, lane.next_read()), (StreamNumber(0), StreamNumber(1), None));
    lane.read_done(first);
    assert_eq!(lane.next_read(), None, "what was read is not sent yet");
    assert!(matches!(lane.next_turn(START), Some(Turn::Run { .. })));
    let run = Run { end: Offset(9), bytes: KIB, left: Left::InSegments };
    assert_eq!(lane.offer(first, run), Offer::Placed);
    assert_eq!(lane.next_read(), Some((StreamNumber(2), Offset(0))));
    lane.close(second);
    assert_eq!(lane.next_read(), Some((StreamNumber(3), Offset(0))));
    lane.read_done(second);
    lane.close(StreamNumber(2));
    assert_eq!(lane.next_read(), Some((first, Offset(9))));
}

#[test]
fn high_watermarks_go_alone_now_and_then() {
    let mut lane = lane(2);
    let mut none = [0; 2];
    lane.watermark_moved(StreamNumber(0));
    assert_eq!(fill(&mut lane, &mut none, 1, START).0, [(0, 0)]);
    lane.watermark_moved(StreamNumber(1));
    lane.watermark_moved(StreamNumber(1));
    assert!(!lane.wants_frame(at(4)));
    assert_eq!(lane.due(at(4)), at(5));
    assert_eq!(fill(&mut lane, &mut none, 1, at(5)).0, [(1, 0)]);
    // A consumer waits there.
    lane.awaited(StreamNumber(0), true);
    lane.watermark_moved(StreamNumber(0));
    assert_eq!(fill(&mut lane, &mut none, 1, at(6)).0, [(0, 0)]);
    // A run tells it as well.
    lane.awaited(StreamNumber(0), false);
    lane.watermark_moved(StreamNumber(1));
    lane.has_news(StreamNumber(1), Lies::InTail);
    assert_eq!(fill(&mut lane, &mut [0, 50], 50, at(7)).0, [(1, 50)]);
    assert_eq!(fill(&mut lane, &mut none, 1, at(100)), (vec![], None));
}

#[test]
fn a_frame_has_a_number_of_parts() {
    let count = u32::try_from(PARTS_MAX).unwrap() + 5;
    let mut lane = lane(count);
    (0..count).for_each(|number| lane.watermark_moved(StreamNumber(number)));
    let mut none = vec![0; usize::try_from(count).unwrap()];
    assert_eq!(fill(&mut lane, &mut none, 1, START).0.len(), PARTS_MAX);
    assert_eq!(fill(&mut lane, &mut none, 1, at(5)).0.len(), 5);
}

#[test]
fn an_idle_lane_says_that_it_lives() {
    let mut lane = lane(0);
    assert!(!lane.wants_frame(at(10_000)) && !lane.is_silent(at(10_000)));
    lane.open(StreamNumber(0), Offset(0), at(10_000)).unwrap();
    assert_eq!(lane.due(at(10_000)), at(10_500));
    assert_eq!(lane.end_frame(at(10_499)), None);
    assert_eq!(fill(&mut lane, &mut [0], 1, at(10_500)), (vec![], Some(Frame::default())));
    assert_eq!(lane.due(at(10_500)), at(11_000));
    lane.heard(at(11_000));
    assert!(!lane.is_silent(at(14_000)) && lane.is_silent(at(14_001)));
    lane.paused(2_000_000_000);
    assert!(!lane.is_silent(at(16_000)) && lane.is_silent(at(16_001)));
}

#[test]
fn a_number_is_used_once() {
    let mut lane = lane(2);
    lane.close(StreamNumber(1));
    for number in [0, 1] {
        let refused = lane.open(StreamNumber(number), Offset(0), START);
        assert_eq!(refused, Err(LaneError::Repeated(StreamNumber(number), StreamNumber(1))));
    }
    assert_eq!(lane.open(StreamNumber(7), Offset(3), START), Ok(()));
    assert_eq!((lane.next(StreamNumber(7)), lane.next(StreamNumber(1))), (Some(Offset(3)), None));
    assert_eq!(lane.streams().map(|number| number.0).collect::<Vec<_>>(), [0, 7]);
}

#[test]
fn closed_streams_leave_the_queues() {
    let mut lane = lane(0);
    for number in 0..100_000 {
        let number = StreamNumber(number);
        lane.open(number, Offset(0), START).unwrap();
        lane.has_news(number, Lies::InTail);
        lane.watermark_moved(number);
        lane.close(number);
    }
    assert!(!lane.wants_frame(at(400)) || lane.next_turn(at(400)).is_none());
    assert_eq!(lane.end_frame(at(400)), None);
    assert!(format!("{lane:?}").len() < 4_000, "what was closed stays");
}

#[test]
fn credit_comes_back_whatever_becomes_of_the_bytes() {
    let mut lane = InLane::new(WINDOW_BYTES, START);
    let (first, second) = (lane.open(START).unwrap(), lane.open(START).unwrap());
    assert_eq!((first, second), (StreamNumber(0), StreamNumber(1)));
    lane.received(1_000, START).unwrap();
    lane.taken(first, Offset(10), 300);
    lane.taken(first, Offset(20), 200);
    lane.taken(second, Offset(5), 100);
    lane.taken(StreamNumber(9), Offset(5), 150);
    lane.dropped(250);
    assert_eq!((lane.held(), lane.ack()), (1_000, 400));
    lane.flushed(first, Offset(19));
    assert_eq!(lane.ack(), 300);
    lane.close(second, START);
    lane.flushed(second, Offset(5));
    assert_eq!(lane.ack(), 100);
    lane.flushed(first, Offset(20));
    assert_eq!((lane.ack(), lane.held()), (200, 0));
}

#[test]
fn who_sends_beyond_the_credit_is_refused() {
    let mut lane = InLane::new(1_000, START);
    let number = lane.open(START).unwrap();
    assert_eq!(lane.received(600, START), Ok(()));
    lane.taken(number, Offset(1), 600);
    assert_eq!(lane.received(401, START), Err(IntakeError::BeyondCredit { bytes: 401, allowed: 400 }));
    assert_eq!(lane.received(400, START), Ok(()));
    lane.taken(number, Offset(2), 400);
    assert_eq!(lane.received(0, START), Ok(()), "news costs nothing");
    assert_eq!(lane.received(5_000, START), Err(IntakeError::BeyondCredit { bytes: 5_000, allowed: 0 }));
    lane.flushed(number, Offset(1));
    assert_eq!(lane.ack(), 600);
    assert_eq!(lane.received(5_000, START), Ok(()), "a batch larger than the window");
}

/// Finding U5 of the review.
#[test]
fn every_append_is_answered() {
    let mut lane = InLane::new(WINDOW_BYTES, START);
    let number = lane.open(START).unwrap();
    assert!(!lane.wants_ack(at(100)));
    lane.received(0, at(100)).unwrap();
    lane.received(0, at(300)).unwrap();
    assert!(!lane.wants_ack(at(349)) && lane.wants_ack(at(350)));
    assert_eq!((lane.due(at(300)), lane.ack()), (at(350), 0));
    assert!(!lane.wants_ack(at(2_000)));
    assert!(!lane.is_silent(at(3_300)) && lane.is_silent(at(3_301)));
    lane.paused(1_000_000_000);
    assert!(!lane.is_silent(at(4_300)));
    lane.close(number, at(5_000));
    assert!(!lane.is_silent(at(9_000)));
    assert_eq!(lane.due(at(9_000)), at(65_000));
    assert!(!lane.is_idle(at(64_999)) && lane.is_idle(at(65_000)));
}

#[test]
fn a_lane_is_dialled_again_later_each_time() {
    let mut redial = Redial::new(7);
    let mut waits = Vec::new();
    for _ in 0..12 {
        redial.failed(START);
        waits.push(redial.at().since(START) / 1_000_000);
    }
    for (wait, most) in waits.iter().zip([50, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000, 2_000]) {
        assert!((most / 2..=most).contains(wait), "{waits:?}");
    }
    redial.answered();
    redial.failed(START);
    assert!(redial.at() <= at(50));
}
