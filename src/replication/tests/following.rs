//! What a follower does with answers, images and runs.

use crate::base::{LeaderEpoch, MonoNanos, Offset, ServerId, StreamNumber};
use crate::replication::{
    AfterCut, Counts, Cut, EpochEnd, Following, Gap, Kind, Leader, Opened, Outcome, Part, Phase, Refusal,
    Replica, Room, Take,
};

use super::{START, at, ends};

const STREAM: StreamNumber = StreamNumber(1);
const OPENING: Phase = Phase::Opening;

pub fn leader(epoch: i32, server: i32, unclean_epoch: i32) -> Leader {
    Leader { epoch: LeaderEpoch(epoch), server: ServerId(server), unclean_epoch: LeaderEpoch(unclean_epoch) }
}

/// A log from 0 to 100, flushed to 90, with high watermark 50: epochs 1 to 40, 3 to 100.
pub fn replica() -> Replica {
    Replica {
        own: ends(0, 90, 100),
        high_watermark: Offset(50),
        agreed: LeaderEpoch(3),
        kind: Kind::User,
        counts: Counts::Flushed,
        room: Room::Enough,
    }
}

fn own_end_of(epoch: LeaderEpoch) -> Option<EpochEnd> {
    [(3, 100), (1, 40)]
        .into_iter()
        .find(|(own, _)| LeaderEpoch(*own) <= epoch)
        .map(|(own, end)| EpochEnd { epoch: LeaderEpoch(own), end: Offset(end) })
}

/// Follows server 1 in epoch 5.
fn following() -> Following {
    Following::new(leader(5, 1, -1), replica())
}

fn asking(mut following: Following) -> Following {
    assert!(following.wants_stream(START));
    let ask = following.open(STREAM, LeaderEpoch(3));
    assert_eq!((ask.log.end, ask.flushed, ask.epoch), (Offset(100), Offset(90), following.epoch()));
    assert!(!following.wants_stream(START));
    following
}

fn opened(outcome: Outcome) -> Opened {
    Opened { outcome, high_watermark: Offset(95), log_start: Offset(0) }
}

fn streaming() -> Following {
    let mut following = asking(following());
    let phase = following.opened(STREAM, opened(Outcome::From { next: Offset(100) }), own_end_of, START);
    assert_eq!(phase, Ok(Phase::Streaming { next: Offset(100) }));
    following
}

fn diverging(epoch: i32, end: i64) -> Outcome {
    Outcome::Diverging { epoch: LeaderEpoch(epoch), end: Offset(end) }
}

fn begin(at: i64) -> Outcome {
    Outcome::Begin { at: Offset(at), epoch_before: LeaderEpoch(4) }
}

fn all(begin: i64, epoch: i32) -> Phase {
    Phase::Truncating(Cut::All { begin: Offset(begin), epoch: LeaderEpoch(epoch) })
}

fn to(end: i64) -> Phase {
    Phase::Truncating(Cut::To(Offset(end)))
}

#[test]
fn an_answer_leads_to_a_phase() {
    let waiting = |ms| Phase::Waiting { until: at(ms) };
    let cases = [
        (Outcome::Fenced { current: LeaderEpoch(6) }, waiting(1_000)),
        (Outcome::Refused, waiting(1_000)),
        (Outcome::NotYet, waiting(50)),
        (Outcome::From { next: Offset(100) }, Phase::Streaming { next: Offset(100) }),
        // The lower of the leader's end of the epoch and the own one.
        (diverging(3, 80), to(80)),
        (diverging(3, 50), to(50)),
        (diverging(4, 70), to(70)),
        // Below the high watermark.
        (diverging(3, 49), Phase::Diverged),
        (diverging(2, 300), Phase::Diverged),
        (diverging(0, 300), Phase::Diverged),
        (begin(120), all(120, 4)),
        (begin(50), all(50, 4)),
        (begin(49), Phase::Diverged),
        (
            Outcome::Snapshot { offset: Offset(120), epoch: LeaderEpoch(4) },
            Phase::Installing(Cut::All { begin: Offset(120), epoch: LeaderEpoch(4) }),
        ),
    ];
    for (outcome, expected) in cases {
        let mut following = asking(following());
        assert_eq!(following.opened(STREAM, opened(outcome), own_end_of, START), Ok(expected));
        let taken_over = matches!(outcome, Outcome::From { .. });
        assert_eq!(following.high_watermark(), Offset(if taken_over { 90 } else { 50 }), "{outcome:?}");
        let is_kept = matches!(expected, Phase::Streaming { .. } | Phase::Installing(_));
        assert_eq!(following.stream().is_some(), is_kept, "{outcome:?}");
    }
}

#[test]
fn an_answer_that_makes_no_sense_is_refused() {
    let cases = [
        (Outcome::From { next: Offset(99) }, Refusal::WrongEnd { said: Offset(99), own: Offset(100) }),
        (diverging(3, 100), Refusal::NothingToCut { epoch: LeaderEpoch(3), end: Offset(100) }),
        (diverging(4, 200), Refusal::NothingToCut { epoch: LeaderEpoch(4), end: Offset(200) }),
        (diverging(3, -1), Refusal::NoOffset(Offset(-1))),
        (begin(-1), Refusal::NoOffset(Offset(-1))),
    ];
    for (outcome, refusal) in cases {
        let mut following = asking(following());
        assert_eq!(following.opened(STREAM, opened(outcome), own_end_of, START), Err(refusal));
        assert_eq!(following.phase(), Phase::Waiting { until: at(1_000) });
        assert_eq!(following.high_watermark(), Offset(50));
    }
    let mut following = streaming();
    let again = opened(Outcome::From { next: Offset(100) });
    assert_eq!(following.opened(STREAM, again, own_end_of, START), Err(Refusal::NotAsked));
    let old = following.opened(StreamNumber(0), again, own_end_of, START);
    assert_eq!(old, Err(Refusal::OldStream));
}

#[test]
fn after_an_unclean_election_what_was_committed_may_go() {
    // The last epoch elected unclean, and whether the cut below the high watermark is made. The log agreed in epoch 3.
    for (unclean_epoch, is_made) in [(-1, false), (2, false), (3, false), (4, true), (5, true)] {
        let mut following = asking(Following::new(leader(5, 1, unclean_epoch), replica()));
        let phase = following.opened(STREAM, opened(diverging(1, 30)), own_end_of, START).unwrap();
        assert_eq!(phase, if is_made { to(30) } else { Phase::Diverged }, "{unclean_epoch}");
        if is_made {
            assert_eq!(following.cut_done(ends(0, 30, 30)), AfterCut::Open);
            assert_eq!(following.high_watermark(), Offset(30));
        }
    }
}

#[test]
fn a_cut_is_followed_by_another_question() {
    let mut following = asking(following());
    let _ = following.opened(STREAM, opened(diverging(3, 80)), own_end_of, START);
    assert!(following.is_cutting() && !following.wants_stream(START));
    assert_eq!(following.cut_done(ends(0, 80, 80)), AfterCut::Open);
    assert!(following.wants_stream(START));
    assert_eq!(following.open(StreamNumber(2), LeaderEpoch(3)).log.end, Offset(80));
    assert_eq!(following.high_watermark(), Offset(50));
}

#[test]
fn a_log_that_begins_anew_has_a_higher_watermark() {
    let mut following = asking(following());
    let _ = following.opened(STREAM, opened(begin(120)), own_end_of, START);
    let _ = following.cut_done(ends(120, 120, 120));
    assert_eq!(following.high_watermark(), Offset(120));
}

/// A cut at the log's end takes no record and yet an epoch: of what an empty log was behind.
#[test]
fn an_epoch_without_records_is_cut() {
    let empty = Replica { own: ends(60, 60, 60), high_watermark: Offset(60), ..replica() };
    let mut following = Following::new(leader(5, 1, -1), empty);
    let _ = following.open(STREAM, LeaderEpoch(4));
    let phase = following.opened(STREAM, opened(diverging(3, 60)), |_| None, START);
    assert_eq!(phase, Ok(all(60, 3)));
    let _ = following.cut_done(ends(60, 60, 60));
    let _ = following.open(StreamNumber(2), LeaderEpoch(3));
    let again = following.opened(StreamNumber(2), opened(diverging(3, 60)), |_| None, START);
    assert_eq!(again, Err(Refusal::NothingToCut { epoch: LeaderEpoch(3), end: Offset(60) }));
}

#[test]
fn every_epoch_opens_the_stream_anew() {
    for server in [1, 2] {
        let mut following = streaming();
        following.renewed(leader(5, 1, -1));
        assert_eq!(following.phase(), Phase::Streaming { next: Offset(100) }, "nothing has changed");
        following.renewed(leader(6, server, -1));
        assert_eq!((following.phase(), following.stream()), (OPENING, None));
        let late = following.appended(STREAM, &part(100, 110, 10), START);
        assert_eq!(late, Err(Refusal::OldStream));
        assert_eq!(following.agreed(), LeaderEpoch(5));
    }
}

/// Finding T2 of the review.
#[test]
fn a_cut_is_finished_whoever_leads() {
    let cutting = || {
        let mut following = asking(following());
        let _ = following.opened(STREAM, opened(diverging(3, 80)), own_end_of, START);
        following
    };
    let mut following = cutting();
    following.renewed(leader(6, 2, -1));
    assert_eq!(following.phase(), to(80));
    assert_eq!(following.cut_done(ends(0, 80, 80)), AfterCut::Open);
    assert_eq!(following.leader_server(), ServerId(2));

    let mut following = cutting();
    assert!(!following.elected(LeaderEpoch(6)));
    assert_eq!(following.cut_done(ends(0, 80, 80)), AfterCut::Lead(LeaderEpoch(6)));

    let mut following = cutting();
    assert!(!following.elected(LeaderEpoch(6)));
    following.renewed(leader(7, 1, -1));
    assert_eq!(following.cut_done(ends(0, 80, 80)), AfterCut::Open, "deposed before it led");

    assert!(streaming().elected(LeaderEpoch(6)));
}

#[test]
fn the_leaders_watermark_is_taken_over_as_far_as_the_disk_has_it() {
    let mut following = streaming();
    assert_eq!(following.high_watermark(), Offset(90), "finding T1 of the review");
    assert!(following.local(ends(0, 100, 100)));
    assert_eq!(following.high_watermark(), Offset(95));
    let news = Part { high_watermark: Offset(99), ..part(100, 100, 0) };
    assert_eq!(following.appended(STREAM, &news, START), Ok(Take::Nothing));
    assert_eq!(following.high_watermark(), Offset(99));
    let lower = Part { high_watermark: Offset(20), ..part(100, 100, 0) };
    let _ = following.appended(STREAM, &lower, START);
    assert_eq!(following.high_watermark(), Offset(99));
}

pub fn part(base: i64, end: i64, bytes: u32) -> Part {
    Part {
        base: Offset(base),
        end: Offset(end),
        bytes,
        gap: Gap::None,
        high_watermark: Offset(0),
        log_start: Offset(0),
    }
}

#[test]
fn runs_follow_each_other() {
    let gap = |gap, base, end, bytes| Part { gap, ..part(base, end, bytes) };
    let wrong_base = |base| Err(Refusal::WrongBase { base: Offset(base), next: Offset(100) });
    let disordered =
        |base, end, bytes| Err(Refusal::Disordered { base: Offset(base), end: Offset(end), bytes });
    let cases = [
        (part(100, 110, 50), Ok(Take::Run)),
        (part(100, 100, 0), Ok(Take::Nothing)),
        (gap(Gap::Compacted, 100, 120, 50), Ok(Take::Run)),
        (gap(Gap::Damaged, 100, 120, 0), Ok(Take::Gap(Offset(120)))),
        (part(101, 110, 50), wrong_base(101)),
        (part(99, 110, 50), wrong_base(99)),
        (part(99, 99, 0), wrong_base(99)),
        (gap(Gap::Damaged, 101, 120, 50), wrong_base(101)),
        (part(100, 100, 50), disordered(100, 100, 50)),
        (part(100, 99, 50), disordered(100, 99, 50)),
        (part(100, 110, 0), disordered(100, 110, 0)),
        (gap(Gap::Damaged, 100, 100, 0), disordered(100, 100, 0)),
        (part(100, i64::MAX, 50), disordered(100, i64::MAX, 50)),
    ];
    for (part, expected) in cases {
        let mut following = streaming();
        assert_eq!(following.appended(STREAM, &part, START), expected, "{part:?}");
        let phase = match expected {
            Ok(_) => Phase::Streaming { next: part.end },
            Err(_) => Phase::Waiting { until: at(1_000) },
        };
        assert_eq!(following.phase(), phase, "{part:?}");
    }
    let mut following = asking(following());
    assert_eq!(following.appended(STREAM, &part(100, 110, 50), START), Err(Refusal::NotStreaming));
}

#[test]
fn news_alone_is_acknowledged() {
    let mut following = streaming();
    assert_eq!(following.ack(Offset(0)), Some(ends(0, 90, 100)));
    assert_eq!(following.ack(Offset(0)), None);
    following.local(ends(0, 100, 100));
    assert_eq!(following.ack(Offset(0)), Some(ends(0, 100, 100)));
    following.lane_lost();
    assert_eq!(following.ack(Offset(0)), None);
}

#[test]
fn the_leaders_log_start_is_followed_below_the_own_watermark() {
    let mut following = streaming();
    let _ = following.appended(STREAM, &Part { log_start: Offset(94), ..part(100, 100, 0) }, START);
    assert_eq!(following.wanted_start(), Some(Offset(90)));
    following.local(ends(90, 90, 100));
    assert_eq!(following.wanted_start(), None);
    assert_eq!(following.ack(Offset(0)), Some(ends(0, 90, 100)), "no checkpoint holds the start");
    assert_eq!(following.ack(Offset(90)), Some(ends(90, 90, 100)));
    following.local(ends(90, 100, 100));
    assert_eq!(following.wanted_start(), Some(Offset(94)));
}

/// Finding U3 of the review.
#[test]
fn a_low_disk_stops_the_partitions_of_users_first() {
    for (kind, room, takes) in [
        (Kind::User, Room::Low, false),
        (Kind::User, Room::Full, false),
        (Kind::Internal, Room::Low, true),
        (Kind::Internal, Room::Full, false),
        (Kind::Metadata, Room::Full, true),
        (Kind::User, Room::Enough, true),
    ] {
        let mut following = Following::new(leader(5, 1, -1), Replica { kind, ..replica() });
        let _ = following.open(STREAM, LeaderEpoch(3));
        let closed = following.has_room(room);
        assert_eq!(closed, (!takes).then_some(STREAM), "{kind:?} {room:?}");
        assert_eq!(following.phase(), if takes { OPENING } else { Phase::Paused }, "{kind:?} {room:?}");
        assert_eq!(following.has_room(Room::Enough), None);
        assert_eq!(following.wants_stream(START), !takes, "{kind:?} {room:?}");
        let begun = Following::new(leader(5, 1, -1), Replica { kind, room, ..replica() });
        assert_eq!(begun.phase(), if takes { OPENING } else { Phase::Paused }, "{kind:?} {room:?}");
    }
}

#[test]
fn a_replica_that_diverged_waits_for_another_leader() {
    let mut following = asking(following());
    let _ = following.opened(STREAM, opened(begin(49)), own_end_of, START);
    assert_eq!(following.close(START), None);
    following.lane_lost();
    let _ = following.has_room(Room::Full);
    assert!(!following.wants_stream(MonoNanos::NEVER));
    assert_eq!(following.phase(), Phase::Diverged);
    let _ = following.has_room(Room::Enough);
    following.renewed(leader(6, 2, -1));
    assert_eq!(following.phase(), OPENING);
}

#[test]
fn a_snapshot_is_installed_and_then_cut_to() {
    let metadata = Replica { kind: Kind::Metadata, ..replica() };
    let install = || {
        let mut following = asking(Following::new(leader(5, 1, -1), metadata));
        let outcome = Outcome::Snapshot { offset: Offset(120), epoch: LeaderEpoch(4) };
        let _ = following.opened(STREAM, opened(outcome), own_end_of, START);
        following
    };
    let mut following = install();
    following.snapshot_installed();
    assert_eq!((following.phase(), following.stream()), (all(120, 4), None));
    let _ = following.cut_done(ends(120, 120, 120));
    assert_eq!(following.open(StreamNumber(2), LeaderEpoch(4)).log_start, Offset(120));

    let mut following = install();
    following.lane_lost();
    following.snapshot_installed();
    assert_eq!(following.phase(), OPENING, "the snapshot was not whole");
}
