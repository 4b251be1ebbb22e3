//! The leader's answer, row by row.

use crate::base::{LeaderEpoch, LogEnd, Offset};
use crate::replication::{Ask, EpochEnd, Evidence, Outcome, answer};

fn ask(epoch: i32, last_epoch: i32, log_start: i64, end: i64) -> Ask {
    Ask {
        epoch: LeaderEpoch(epoch),
        log: LogEnd { last_epoch: LeaderEpoch(last_epoch), end: Offset(end) },
        flushed: Offset(end),
        log_start: Offset(log_start),
    }
}

/// A leader in epoch 7 whose log is epochs 2 from 100, 4 from 200, 7 from 300, to 350; before 100 was epoch 1.
fn ours(asked: &Ask) -> Evidence {
    let ends = [(2, 200), (4, 300), (7, 350)];
    let found = ends.iter().rev().find(|(epoch, _)| LeaderEpoch(*epoch) <= asked.log.last_epoch);
    Evidence {
        epoch: LeaderEpoch(7),
        is_leader: true,
        is_replica: true,
        knows_broker_epoch: true,
        log_start: Offset(100),
        epoch_before_log_start: LeaderEpoch(1),
        epoch_before_kept: LeaderEpoch(1),
        kept_from: Offset(100),
        end_of_epoch: found.map(|(epoch, end)| EpochEnd { epoch: LeaderEpoch(*epoch), end: Offset(*end) }),
        has_snapshot: false,
    }
}

fn check(asked: Ask, expected: Outcome) {
    assert_eq!(answer(&asked, &ours(&asked)), expected, "{asked:?}");
}

fn diverging(epoch: i32, end: i64) -> Outcome {
    Outcome::Diverging { epoch: LeaderEpoch(epoch), end: Offset(end) }
}

fn from(next: i64) -> Outcome {
    Outcome::From { next: Offset(next) }
}

const BEGIN: Outcome = Outcome::Begin { at: Offset(100), epoch_before: LeaderEpoch(1) };

#[test]
fn epochs_come_first() {
    check(ask(6, 7, 0, 350), Outcome::Fenced { current: LeaderEpoch(7) });
    check(ask(8, 7, 0, 350), Outcome::NotYet);
    let asked = ask(7, 7, 0, 350);
    for (evidence, expected) in [
        (Evidence { knows_broker_epoch: false, ..ours(&asked) }, Outcome::NotYet),
        (Evidence { is_leader: false, ..ours(&asked) }, Outcome::Refused),
        (Evidence { is_replica: false, ..ours(&asked) }, Outcome::Refused),
        (Evidence { epoch: LeaderEpoch(-1), ..ours(&asked) }, Outcome::NotYet),
    ] {
        assert_eq!(answer(&asked, &evidence), expected);
    }
}

#[test]
fn logs_that_agree_go_on() {
    for (last_epoch, end) in [(7, 350), (7, 320), (4, 300), (4, 250), (2, 200), (2, 100), (1, 100)] {
        check(ask(7, last_epoch, 0, end), from(end));
    }
}

#[test]
fn logs_that_part_are_cut() {
    // Longer than the leader's in the epoch.
    check(ask(7, 4, 0, 301), diverging(4, 300));
    check(ask(7, 2, 0, 350), diverging(2, 200));
    check(ask(7, 7, 0, 351), diverging(7, 350));
    // An epoch that the leader never had.
    check(ask(7, 6, 0, 250), diverging(4, 300));
    check(ask(7, 3, 0, 120), diverging(2, 200));
    // Longer than what the leader has deleted of the epoch.
    check(ask(7, 1, 0, 150), diverging(1, 100));
}

#[test]
fn logs_of_no_use_begin_anew() {
    check(ask(7, 0, 0, 150), BEGIN);
    check(ask(7, -1, 0, 0), BEGIN);
    check(ask(7, 2, 0, 99), BEGIN);
    check(ask(7, 7, 40, 90), BEGIN);
    let asked = ask(7, -1, 0, 0);
    let snapshot = Outcome::Snapshot { offset: Offset(100), epoch: LeaderEpoch(1) };
    assert_eq!(answer(&asked, &Evidence { has_snapshot: true, ..ours(&asked) }), snapshot);
}

#[test]
fn an_empty_log_at_the_leaders_start_goes_on() {
    for last_epoch in [-1, 1, 9] {
        check(ask(7, last_epoch, 100, 100), from(100));
    }
    // A new follower of a new leader.
    let asked = ask(0, -1, 0, 0);
    let new = Evidence {
        epoch: LeaderEpoch(0),
        log_start: Offset(0),
        epoch_before_log_start: LeaderEpoch(-1),
        epoch_before_kept: LeaderEpoch(-1),
        kept_from: Offset(0),
        end_of_epoch: None,
        ..ours(&asked)
    };
    assert_eq!(answer(&asked, &new), from(0));
}

#[test]
fn whoever_has_nothing_begins_where_a_batch_does() {
    // Records were deleted up to 100, in the midst of a batch; its segment begins at 80.
    let kept =
        |asked: &Ask| Evidence { kept_from: Offset(80), epoch_before_kept: LeaderEpoch(-1), ..ours(asked) };
    let begin = Outcome::Begin { at: Offset(80), epoch_before: LeaderEpoch(-1) };
    for asked in [ask(7, -1, 0, 0), ask(7, 1, 100, 100), ask(7, 1, 20, 79), ask(7, 0, 20, 90)] {
        assert_eq!(answer(&asked, &kept(&asked)), begin, "{asked:?}");
    }
    for (asked, expected) in
        [(ask(7, -1, 80, 80), from(80)), (ask(7, 1, 20, 90), from(90)), (ask(7, 2, 120, 120), from(120))]
    {
        assert_eq!(answer(&asked, &kept(&asked)), expected, "{asked:?}");
    }
}
