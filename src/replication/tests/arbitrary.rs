//! Inputs by chance, sense and nonsense: nothing panics, and what must always hold does.

use std::collections::VecDeque;

use proptest::prelude::*;

use crate::base::{BrokerEpoch, LeaderEpoch, Offset, PartitionEpoch, ServerId, StreamNumber};
use crate::replication::{
    Assignment, Counts, Cut, Ends, EpochEnd, Following, Gap, InLane, IsrAnswer, Kind, Leading, Left, Lies,
    Member, Moved, Offer, Opened, OutLane, Outcome, Part, Phase, Replica, Room, Run, Sender, Take, Turn,
    Verdict,
};

use super::following::leader;
use super::{START, at, ends, servers};

#[derive(Clone, Debug)]
enum Said {
    Local { appended: i64, flushed: i64 },
    Opened(Sender, Ends),
    Acked(Sender, Ends),
    Heard(i32),
    Paused(u64),
    Image { isr: u8, followers: u8, broker_epochs: u8, may_join: u8, min_isr: usize, step: i32 },
    Wanted { own_lag_ms: u64 },
    Answered { number: u64, verdict: Verdict },
}

fn sender() -> impl Strategy<Value = Sender> {
    (1..5i32, 0..2i64, 4..6i32).prop_map(|(server, incarnation, epoch)| Sender {
        server: ServerId(server),
        broker_epoch: BrokerEpoch(i64::from(server) * 10 + incarnation),
        leader_epoch: LeaderEpoch(epoch.max(4)),
    })
}

fn some_ends() -> impl Strategy<Value = Ends> {
    (-1..20i64, 0..40i64, 0..40i64).prop_map(|(start, flushed, end)| ends(start, flushed, end))
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Ineligible),
        Just(Verdict::StaleEpoch),
        Just(Verdict::NotLeader),
        Just(Verdict::SameAlready),
        Just(Verdict::Decided { partition_epoch: PartitionEpoch(9) }),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let image = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), 1..4usize, 0..2i32);
    prop_oneof![
        3 => (0..4i64, 0..8i64).prop_map(|(appended, flushed)| Said::Local { appended, flushed }),
        3 => (sender(), some_ends()).prop_map(|(from, ends)| Said::Opened(from, ends)),
        6 => (sender(), some_ends()).prop_map(|(from, ends)| Said::Acked(from, ends)),
        1 => (1..5i32).prop_map(Said::Heard),
        1 => (0..5_000_000_000u64).prop_map(Said::Paused),
        2 => image.prop_map(|(isr, followers, broker_epochs, may_join, min_isr, step)| {
            Said::Image { isr, followers, broker_epochs, may_join, min_isr, step }
        }),
        2 => (0..5_000u64).prop_map(|own_lag_ms| Said::Wanted { own_lag_ms }),
        1 => (0..6u64, verdict()).prop_map(|(number, verdict)| Said::Answered { number, verdict }),
    ]
}

/// Followers are some of the servers 2 to 4.
fn image(said: &Said, partition_epoch: PartitionEpoch) -> Option<(Assignment, PartitionEpoch)> {
    let Said::Image { isr, followers, broker_epochs, may_join, min_isr, step } = said else { return None };
    let has = |bits: u8, server: i32| bits & (1 << server) != 0;
    let among = |bits: u8| (2..5).filter(move |server| has(bits, *server)).collect::<Vec<i32>>();
    let member = |server: &i32| Member {
        server: ServerId(*server),
        broker_epoch: BrokerEpoch(i64::from(*server) * 10 + i64::from(has(*broker_epochs, *server))),
        may_join: has(*may_join, *server),
    };
    let partition_epoch = PartitionEpoch(partition_epoch.0 + step);
    let image = Assignment {
        me: ServerId(1),
        broker_epoch: BrokerEpoch(10),
        partition_epoch,
        isr: servers(&[vec![1], among(isr & followers)].concat()),
        followers: among(*followers).iter().map(member).collect(),
        min_isr: *min_isr,
        counts: Counts::Flushed,
    };
    Some((image, partition_epoch))
}

proptest! {
    #[test]
    fn a_leader_takes_whatever_is_said(inputs in prop::collection::vec(said(), 1..60)) {
        let mut own = ends(0, 10, 12);
        let mut partition_epoch = PartitionEpoch(7);
        let first = super::assignment(&[1, 2, 3], &[2, 3], 2);
        let mut leading = Leading::new(LeaderEpoch(5), own, Offset(8), first, START);
        for (step, input) in inputs.iter().enumerate() {
            let now = at(u64::try_from(step).unwrap() * 400);
            let before = leading.clone();
            let moved = match input {
                Said::Local { appended, flushed } => {
                    own.log_end = own.log_end.plus(*appended);
                    own.flushed = own.flushed.plus(*flushed).min(own.log_end);
                    leading.local(own)
                }
                Said::Opened(from, ends) => leading.opened(*from, *ends, now).unwrap_or_default(),
                Said::Acked(from, ends) => leading.acked(*from, *ends, now).unwrap_or_default(),
                Said::Answered { number, verdict } => {
                    leading.isr_answered(IsrAnswer { number: *number, verdict: *verdict })
                }
                Said::Image { .. } => {
                    let (image, newer) = image(input, partition_epoch).unwrap();
                    partition_epoch = newer;
                    leading.reassigned(image, now)
                }
                Said::Heard(server) => {
                    leading.heard(ServerId(*server), now);
                    Moved::NOTHING
                }
                Said::Paused(gap_ns) => {
                    leading.paused(*gap_ns);
                    Moved::NOTHING
                }
                Said::Wanted { own_lag_ms } => {
                    let asked = leading.wanted_isr(now, 2_000, *own_lag_ms);
                    let names_leader = |ask: &crate::replication::IsrAsk| ask.isr[0].0 == ServerId(1);
                    prop_assert!(asked.iter().all(names_leader));
                    Moved::NOTHING
                }
            };
            let high_watermark = leading.high_watermark();
            prop_assert!(high_watermark >= before.high_watermark() && high_watermark <= own.flushed);
            prop_assert_eq!(moved.high_watermark, high_watermark > before.high_watermark());
            if moved.high_watermark {
                prop_assert!(leading.can_acknowledge());
                let others = leading.maximal_isr().filter(|server| *server != ServerId(1));
                for server in others {
                    prop_assert!(leading.ends_of(server).is_some_and(|ends| ends.flushed >= high_watermark));
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Heard {
    Leader { step: i32, server: i32 },
    Elected,
    Ask,
    Answer { old: bool, outcome: Outcome, own_end: i64 },
    Append { old: bool, skip: i64, records: i64, bytes: u32, gap: Gap, high_watermark: i64, log_start: i64 },
    Flush,
    Cut,
    Ack,
    Installed,
    Room(Room),
    LaneLost,
    Close,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let epoch = || (-1..9i32).prop_map(LeaderEpoch);
    let offset = || (-1..40i64).prop_map(Offset);
    prop_oneof![
        6 => Just(Outcome::From { next: Offset(i64::MIN) }),
        1 => offset().prop_map(|next| Outcome::From { next }),
        4 => (epoch(), offset()).prop_map(|(epoch, end)| Outcome::Diverging { epoch, end }),
        2 => (epoch(), offset()).prop_map(|(epoch_before, at)| Outcome::Begin { at, epoch_before }),
        1 => (epoch(), offset()).prop_map(|(epoch, offset)| Outcome::Snapshot { offset, epoch }),
        1 => epoch().prop_map(|current| Outcome::Fenced { current }),
        1 => Just(Outcome::NotYet),
        1 => Just(Outcome::Refused),
    ]
}

fn heard() -> impl Strategy<Value = Heard> {
    let gap = prop_oneof![4 => Just(Gap::None), 1 => Just(Gap::Compacted), 1 => Just(Gap::Damaged)];
    let room = prop_oneof![4 => Just(Room::Enough), 1 => Just(Room::Low), 1 => Just(Room::Full)];
    let append = (0..9u8, -1..8i64, -1..4i64, 0..2u32, gap, -1..60i64, -1..40i64);
    prop_oneof![
        2 => (0..2i32, 1..3i32).prop_map(|(step, server)| Heard::Leader { step, server }),
        1 => Just(Heard::Elected),
        6 => Just(Heard::Ask),
        6 => (0..9u8, outcome(), 0..40i64)
            .prop_map(|(old, outcome, own_end)| Heard::Answer { old: old == 0, outcome, own_end }),
        12 => append.prop_map(|(old, skip, records, bytes, gap, high_watermark, log_start)| {
            let skip = if skip > 1 { 0 } else { skip };
            Heard::Append { old: old == 0, skip, records, bytes, gap, high_watermark, log_start }
        }),
        4 => Just(Heard::Flush),
        4 => Just(Heard::Cut),
        2 => Just(Heard::Ack),
        1 => Just(Heard::Installed),
        1 => room.prop_map(Heard::Room),
        1 => Just(Heard::LaneLost),
        1 => Just(Heard::Close),
    ]
}

/// A follower with the ends of its log.
struct World {
    following: Following,
    own: Ends,
    number: u32,
}

impl World {
    fn new() -> World {
        let own = ends(0, 10, 12);
        let replica = Replica {
            own,
            high_watermark: Offset(8),
            agreed: LeaderEpoch(3),
            kind: Kind::User,
            counts: Counts::Flushed,
            room: Room::Enough,
        };
        World { following: Following::new(leader(5, 1, -1), replica), own, number: 0 }
    }

    fn stream(&self, old: bool) -> StreamNumber {
        StreamNumber(if old { self.number.saturating_sub(1) } else { self.number })
    }

    fn take(&mut self, input: &Heard) {
        let now = START;
        match input {
            Heard::Leader { step, server } => {
                let epoch = self.following.epoch().0 + step;
                self.following.renewed(leader(epoch, *server, -1));
            }
            Heard::Elected => {
                let epoch = LeaderEpoch(self.following.epoch().0 + 1);
                let _ = self.following.elected(epoch);
            }
            Heard::Ask => {
                if self.following.wants_stream(at(10_000)) {
                    self.number += 1;
                    let _ = self.following.open(StreamNumber(self.number), LeaderEpoch(3));
                }
            }
            Heard::Answer { old, outcome, own_end } => self.answer(self.stream(*old), *outcome, *own_end),
            Heard::Append { .. } => self.append(input),
            Heard::Flush => {
                self.own.flushed = self.own.log_end;
                self.own.log_start = self.following.wanted_start().unwrap_or(self.own.log_start);
                if !self.following.is_cutting() {
                    let _ = self.following.local(self.own);
                }
            }
            Heard::Cut => self.cut(),
            Heard::Ack => {
                let _ = self.following.ack(self.own.log_start);
            }
            Heard::Installed => self.following.snapshot_installed(),
            Heard::Room(room) => {
                let _ = self.following.has_room(*room);
            }
            Heard::LaneLost => self.following.lane_lost(),
            Heard::Close => {
                let _ = self.following.close(now);
            }
        }
    }

    fn answer(&mut self, stream: StreamNumber, outcome: Outcome, own_end: i64) {
        // Most answers are right.
        let outcome = match outcome {
            Outcome::From { next } if next < Offset(-1) => Outcome::From { next: self.own.log_end },
            other => other,
        };
        let end = Offset(own_end).min(self.own.log_end);
        let opened = Opened { outcome, high_watermark: Offset(own_end), log_start: Offset(0) };
        let own_end_of = |epoch| (own_end > 5).then_some(EpochEnd { epoch, end });
        let _ = self.following.opened(stream, opened, own_end_of, START);
    }

    fn append(&mut self, input: &Heard) {
        let Heard::Append { old, skip, records, bytes, gap, high_watermark, log_start } = input else {
            return;
        };
        let base = self.own.log_end.plus(*skip);
        let part = Part {
            base,
            end: base.plus(*records),
            bytes: *bytes,
            gap: *gap,
            high_watermark: Offset(*high_watermark),
            log_start: Offset(*log_start),
        };
        if let Ok(Take::Run | Take::Gap(_)) = self.following.appended(self.stream(*old), &part, START) {
            self.own.log_end = part.end;
            let _ = self.following.local(self.own);
        }
    }

    fn cut(&mut self) {
        let Phase::Truncating(cut) = self.following.phase() else { return };
        self.own = match cut {
            Cut::To(end) => Ends { flushed: self.own.flushed.min(end), log_end: end, ..self.own },
            Cut::All { begin, .. } => Ends { log_start: begin, flushed: begin, log_end: begin },
        };
        let _ = self.following.cut_done(self.own);
    }
}

proptest! {
    #[test]
    fn a_follower_takes_whatever_is_sent(inputs in prop::collection::vec(heard(), 1..80)) {
        let mut world = World::new();
        for input in &inputs {
            let before = world.following.high_watermark();
            world.take(input);
            let after = world.following.high_watermark();
            prop_assert!(after >= before, "no leader was unclean, and yet it went back by {input:?}");
            prop_assert!(after <= world.own.flushed, "{after} of {:?} by {input:?}", world.own);
        }
    }
}

#[derive(Clone, Debug)]
enum Turned {
    Open,
    Close(u32),
    News(u32, Lies),
    Watermark(u32),
    Read,
    Fill { batch: u32, batches: u32, left: u8 },
    Arrive,
    Flush(u32),
    Ack,
    Return,
}

fn moved() -> impl Strategy<Value = Turned> {
    let lies = prop_oneof![Just(Lies::InTail), Just(Lies::InSegments)];
    prop_oneof![
        1 => Just(Turned::Open),
        1 => (0..8u32).prop_map(Turned::Close),
        4 => (0..8u32, lies).prop_map(|(number, lies)| Turned::News(number, lies)),
        1 => (0..8u32).prop_map(Turned::Watermark),
        2 => Just(Turned::Read),
        6 => (1..2_000_000u32, 0..4u32, 0..4u8)
            .prop_map(|(batch, batches, left)| Turned::Fill { batch, batches, left }),
        4 => Just(Turned::Arrive),
        4 => (0..8u32).prop_map(Turned::Flush),
        3 => Just(Turned::Ack),
        3 => Just(Turned::Return),
    ]
}

/// Both ends of a lane, and what is between them.
struct Pair {
    out: OutLane,
    intake: InLane,
    frames: VecDeque<Vec<(StreamNumber, Offset, u32)>>,
    acks: VecDeque<u64>,
    reads: Vec<StreamNumber>,
    step: u64,
}

impl Pair {
    fn take(&mut self, input: &Turned) {
        self.step += 1;
        let now = at(self.step);
        match input {
            Turned::Open => {
                let number = self.intake.open(now).unwrap();
                self.out.open(number, Offset(0), now).unwrap();
            }
            Turned::Close(number) => {
                // The two ends hear of it at different times.
                if self.step.is_multiple_of(2) {
                    self.out.close(StreamNumber(*number));
                }
                self.intake.close(StreamNumber(*number), now);
            }
            Turned::News(number, lies) => self.out.has_news(StreamNumber(*number), *lies),
            Turned::Watermark(number) => self.out.watermark_moved(StreamNumber(*number)),
            Turned::Read => {
                self.reads.drain(..).for_each(|number| self.out.read_done(number));
                self.reads.extend(self.out.next_read().map(|(number, _)| number));
            }
            Turned::Fill { batch, batches, left } => self.fill(*batch, *batches, *left),
            Turned::Arrive => self.arrive(),
            Turned::Flush(number) => self.intake.flushed(StreamNumber(*number), Offset(i64::MAX)),
            Turned::Ack => {
                if self.intake.wants_ack(now) {
                    self.acks.push_back(self.intake.ack());
                }
            }
            Turned::Return => {
                if let Some(credit) = self.acks.pop_front() {
                    self.out.credited(credit).unwrap();
                }
            }
        }
    }

    fn fill(&mut self, batch: u32, batches: u32, left: u8) {
        let now = at(self.step);
        let mut frame = Vec::new();
        while let Some(turn) = self.out.next_turn(now) {
            let Turn::Run { stream, next, bytes_max } = turn else { continue };
            let count = (bytes_max / batch).clamp(1, batches.max(1));
            let bytes = if batches == 0 { 0 } else { batch * count };
            let left = match left {
                _ if bytes == 0 => Left::Nothing,
                0 => Left::Nothing,
                1 => Left::InTail,
                2 => Left::InWindow,
                _ => Left::InSegments,
            };
            let end = next.plus(i64::from(bytes > 0));
            if self.out.offer(stream, Run { end, bytes, left }) == Offer::Placed && bytes > 0 {
                frame.push((stream, end, bytes));
            }
        }
        if self.out.end_frame(now).is_some() {
            self.frames.push_back(frame);
        }
    }

    fn arrive(&mut self) {
        let Some(frame) = self.frames.pop_front() else { return };
        let bytes = frame.iter().map(|(_, _, bytes)| u64::from(*bytes)).sum();
        self.intake.received(bytes, at(self.step)).unwrap();
        for (number, end, bytes) in frame {
            if self.step.is_multiple_of(3) {
                self.intake.dropped(bytes)
            } else {
                self.intake.taken(number, end, bytes)
            }
        }
    }

    /// Bytes on their way, at the follower, and in acks.
    fn under_way(&self) -> u64 {
        let sent: u64 = self.frames.iter().flatten().map(|(_, _, bytes)| u64::from(*bytes)).sum();
        sent + self.intake.held() + self.acks.iter().sum::<u64>()
    }
}

proptest! {
    #[test]
    fn credit_is_never_lost(inputs in prop::collection::vec(moved(), 1..120), window in 1..5_000_000u64) {
        let mut pair = Pair {
            out: OutLane::new(window, START).unwrap(),
            intake: InLane::new(window, START),
            frames: VecDeque::new(),
            acks: VecDeque::new(),
            reads: Vec::new(),
            step: 0,
        };
        (0..3).for_each(|_| pair.take(&Turned::Open));
        for input in &inputs {
            pair.take(input);
            prop_assert_eq!(u64::try_from(pair.out.under_way()).unwrap(), pair.under_way());
        }
        // All that is under way comes back.
        for _ in 0..200 {
            pair.take(&Turned::Arrive);
            (0..130).for_each(|number| pair.take(&Turned::Flush(number)));
            pair.take(&Turned::Ack);
            pair.take(&Turned::Return);
        }
        prop_assert_eq!(pair.out.under_way(), 0);
    }
}
