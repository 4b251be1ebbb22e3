//! Who is asked to leave and to join the ISR, and what the answers mean.

use crate::base::{BrokerEpoch, Offset, PartitionEpoch, ServerId};
use crate::replication::{Assignment, IsrAnswer, Leading, Member, Verdict};

use super::{LAG_MS, assignment, at, ends, in_sync, member, sender};

/// Numbers of the servers that are asked for.
fn asked(leading: &mut Leading, ms: u64, own_lag_ms: u64) -> Option<(Vec<i32>, u64)> {
    let ask = leading.wanted_isr(at(ms), LAG_MS, own_lag_ms)?;
    assert_eq!(ask.leader_epoch, leading.epoch());
    for (server, broker_epoch) in &ask.isr {
        assert_eq!(broker_epoch.0, i64::from(server.0) * 10);
    }
    Some((ask.isr.iter().map(|(server, _)| server.0).collect(), ask.number))
}

fn acked(leading: &mut Leading, server: i32, flushed: i64, ms: u64) {
    let _ = leading.acked(sender(server), ends(0, flushed, flushed), at(ms)).unwrap();
}

#[test]
fn who_lags_is_expelled_after_a_while() {
    let mut leading = in_sync(&[1, 2, 3], 2);
    let _ = leading.local(ends(0, 20, 20));
    acked(&mut leading, 2, 20, 1_000);
    assert_eq!(leading.due(LAG_MS), at(3_000));
    assert_eq!(asked(&mut leading, 3_000, 0), None);
    assert_eq!(asked(&mut leading, 3_001, 0), Some((vec![1, 2], 1)));
    // Until the image says so, the high watermark waits for it.
    assert_eq!(leading.high_watermark(), Offset(10));
    assert_eq!(leading.maximal_isr().count(), 3);
    let shrunk = Assignment { partition_epoch: PartitionEpoch(8), ..assignment(&[1, 2], &[2, 3], 2) };
    assert!(leading.reassigned(shrunk, at(3_010)).high_watermark);
    assert_eq!(leading.high_watermark(), Offset(20));
}

#[test]
fn a_follower_is_caught_up_with_what_there_was_when_it_last_answered() {
    let mut leading = in_sync(&[1, 2, 3], 2);
    // There is always more than the follower has, and never much.
    for second in 0..10 {
        let _ = leading.local(ends(0, 20 + second, 20 + second));
        let ms = u64::try_from(second).unwrap() * 1_000;
        acked(&mut leading, 2, 19 + second, ms);
        acked(&mut leading, 3, 19 + second, ms);
        assert_eq!(asked(&mut leading, ms, 0), None, "second {second}");
    }
}

#[test]
fn whose_lane_is_heard_stays_in_an_idle_partition() {
    let mut leading = in_sync(&[1, 2, 3], 2);
    for second in 1..10 {
        leading.heard(ServerId(2), at(second * 1_000));
    }
    assert_eq!(asked(&mut leading, 9_000, 0), Some((vec![1, 2], 1)), "server 3 was not heard");
}

#[test]
fn being_heard_is_nothing_where_records_are_missing() {
    let mut leading = in_sync(&[1, 2, 3], 2);
    let _ = leading.local(ends(0, 20, 20));
    for second in 1..4 {
        acked(&mut leading, 2, 20, second * 1_000);
        leading.heard(ServerId(3), at(second * 1_000));
    }
    assert_eq!(asked(&mut leading, 3_500, 0), Some((vec![1, 2], 1)));
}

#[test]
fn a_leader_that_lags_itself_expels_nobody() {
    let mut leading = in_sync(&[1, 2, 3], 2);
    let _ = leading.local(ends(0, 20, 20));
    assert_eq!(asked(&mut leading, 4_000, 3_001), None);
    assert!(leading.lags_itself());
    assert!(asked(&mut leading, 4_000, 2_000).is_some());
    assert!(!leading.lags_itself());
}

#[test]
fn a_leader_that_was_stopped_expels_nobody() {
    let mut leading = in_sync(&[1, 2, 3], 2);
    let _ = leading.local(ends(0, 20, 20));
    leading.paused(4_000_000_000);
    assert_eq!(asked(&mut leading, 7_000, 0), None);
    assert_eq!(asked(&mut leading, 7_001, 0), Some((vec![1], 1)));
}

/// The follower's log start, flushed end, and whether the image lets it join, with whether it joins. The leader begins at 4,
/// ends at 20, has committed 12, and its epoch starts at 10.
#[test]
fn who_has_everything_and_may_joins() {
    let cases = [
        (4, 20, true, true),
        (4, 12, true, true),
        (4, 11, true, false),
        (5, 20, true, true),
        (3, 20, true, false),
        (4, 20, false, false),
    ];
    for (log_start, flushed, may_join, joins) in cases {
        let mut leading = in_sync(&[1, 2], 2);
        let _ = leading.local(ends(4, 12, 12));
        acked(&mut leading, 2, 12, 0);
        // What it has flushed is all there is at this moment: so it is caught up.
        let _ = leading.local(ends(4, flushed.max(12), flushed.max(12)));
        let _ = leading.acked(sender(3), ends(log_start, flushed, flushed.max(12)), at(0)).unwrap();
        let image = Assignment {
            followers: vec![member(2), Member { may_join, ..member(3) }],
            ..assignment(&[1, 2], &[], 2)
        };
        let _ = leading.reassigned(image, at(0));
        let found = asked(&mut leading, 1, 0);
        assert_eq!(found, joins.then(|| (vec![1, 2, 3], 1)), "{log_start} {flushed} {may_join}");
    }
}

#[test]
fn below_the_epochs_start_nobody_joins() {
    let mut leading = super::leading(&[1, 2], 2);
    // The high watermark is 8, the epoch's start 10.
    let _ = leading.opened(sender(3), ends(0, 9, 10), at(0)).unwrap();
    assert_eq!(asked(&mut leading, 1, 0), None);
    acked(&mut leading, 3, 10, 1);
    assert_eq!(asked(&mut leading, 1, 0), Some((vec![1, 2, 3], 1)));
}

#[test]
fn who_was_heard_long_ago_does_not_join() {
    let mut leading = in_sync(&[1, 2], 2);
    for second in 1..4 {
        leading.heard(ServerId(2), at(second * 1_000));
    }
    assert_eq!(asked(&mut leading, 3_000, 0), None, "half of the lag that expels has passed");
    leading.heard(ServerId(3), at(3_000));
    assert_eq!(asked(&mut leading, 3_000, 0), Some((vec![1, 2, 3], 1)));
}

#[test]
fn what_is_not_answered_is_asked_again_as_it_was() {
    let mut leading = in_sync(&[1, 2], 2);
    let first = leading.wanted_isr(at(0), LAG_MS, 0).unwrap();
    let mut numbers = Vec::new();
    for ms in 0..6_000 {
        if let Some(again) = leading.wanted_isr(at(ms), LAG_MS, 0) {
            numbers.push((ms, again.number));
            assert_eq!(crate::replication::IsrAsk { number: first.number, ..again }, first);
        }
    }
    assert_eq!(numbers, [(500, 2), (1_500, 3), (3_500, 4)]);
    assert_eq!(leading.due(LAG_MS), at(7_500));
}

/// Finding D1 of the review: the grant is on its way when a copy is refused for its epoch.
#[test]
fn a_refused_epoch_settles_nothing() {
    for verdict in [
        Verdict::StaleEpoch,
        Verdict::SameAlready,
        Verdict::NotLeader,
        Verdict::Decided { partition_epoch: PartitionEpoch(8) },
    ] {
        let mut leading = in_sync(&[1, 2], 2);
        let number = asked(&mut leading, 0, 0).unwrap().1;
        let _ = leading.isr_answered(IsrAnswer { number, verdict });
        assert_eq!(leading.maximal_isr().count(), 3, "{verdict:?}");
        assert_eq!((leading.isr().count(), leading.asked().is_some()), (2, true));
        // The image settles it.
        let image = Assignment { partition_epoch: PartitionEpoch(8), ..assignment(&[1, 2], &[2, 3], 2) };
        let _ = leading.reassigned(image, at(1));
        assert_eq!((leading.maximal_isr().count(), leading.asked().is_some()), (2, false));
    }
}

#[test]
fn a_refused_member_settles_the_newest_copy_alone() {
    let mut leading = in_sync(&[1, 2], 2);
    assert_eq!(asked(&mut leading, 0, 0), Some((vec![1, 2, 3], 1)));
    assert_eq!(asked(&mut leading, 500, 0), Some((vec![1, 2, 3], 2)));
    let verdict = Verdict::Ineligible;
    let _ = leading.isr_answered(IsrAnswer { number: 1, verdict });
    assert_eq!(leading.maximal_isr().count(), 3, "the second copy may yet be granted");
    let _ = leading.isr_answered(IsrAnswer { number: 2, verdict });
    assert_eq!(leading.maximal_isr().count(), 2);
    // Not asked for again at once.
    leading.heard(ServerId(2), at(1_400));
    leading.heard(ServerId(3), at(1_400));
    assert_eq!(asked(&mut leading, 1_400, 0), None);
    assert_eq!(asked(&mut leading, 1_500, 0), Some((vec![1, 2, 3], 3)));
}

#[test]
fn a_new_incarnation_is_not_who_was_asked_for() {
    let mut leading = in_sync(&[1, 2], 2);
    let _ = asked(&mut leading, 0, 0);
    let image = Assignment {
        followers: vec![member(2), Member { broker_epoch: BrokerEpoch(31), ..member(3) }],
        ..assignment(&[1, 2], &[], 2)
    };
    let _ = leading.reassigned(image, at(1));
    assert_eq!(leading.maximal_isr().map(|it| it.0).collect::<Vec<_>>(), [1, 2]);
}
