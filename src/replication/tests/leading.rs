//! High watermark, acks, images.

use crate::base::{BrokerEpoch, LeaderEpoch, Offset, PartitionEpoch, ServerId};
use crate::replication::{AckError, Assignment, Counts, Leading, Member, Moved, Sender};

use super::{START, assignment, at, ends, in_sync, leading, member, sender};

fn high_watermark(leading: &Leading) -> i64 {
    leading.high_watermark().0
}

#[test]
fn a_server_alone_follows_its_own_disk() {
    let alone = assignment(&[1], &[], 1);
    let mut leading = Leading::new(LeaderEpoch(0), ends(0, 10, 10), Offset(10), alone, START);
    assert!(leading.is_settled() && leading.can_acknowledge());
    assert_eq!(leading.local(ends(0, 10, 12)), Moved::NOTHING);
    assert!(leading.local(ends(0, 12, 12)).high_watermark);
    assert_eq!(high_watermark(&leading), 12);
    assert_eq!(leading.wanted_isr(at(60_000), 3_000, 60_000), None);
    assert_eq!(leading.due(3_000), crate::base::MonoNanos::NEVER);
    assert_eq!(leading.named_start(), Offset(0));
}

#[test]
fn a_server_alone_needs_little_memory() {
    // Every partition of a server alone has one of these, and nothing beside it.
    assert!(size_of::<Leading>() <= 152, "{} bytes", size_of::<Leading>());
}

#[test]
fn a_server_alone_settles_when_its_disk_has_all() {
    let alone = assignment(&[1], &[], 1);
    let mut leading = Leading::new(LeaderEpoch(0), ends(0, 8, 10), Offset(8), alone, START);
    assert!(!leading.is_settled());
    let moved = leading.local(ends(0, 10, 11));
    assert_eq!(moved, Moved { high_watermark: true, settled: true });
}

#[test]
fn the_least_of_the_maximal_isr_is_committed() {
    let mut leading = leading(&[1, 2, 3], 2);
    let _ = leading.local(ends(0, 20, 20));
    assert_eq!(high_watermark(&leading), 8, "nobody has been heard in this epoch");
    let _ = leading.opened(sender(2), ends(0, 9, 9), START).unwrap();
    assert_eq!(high_watermark(&leading), 8, "one is missing");
    let moved = leading.opened(sender(3), ends(0, 15, 16), START).unwrap();
    assert_eq!((high_watermark(&leading), moved.settled), (9, false));
    let moved = leading.acked(sender(2), ends(0, 17, 18), START).unwrap();
    assert_eq!((high_watermark(&leading), moved.settled), (15, true));
    // An ack that was overtaken.
    let moved = leading.acked(sender(2), ends(0, 12, 12), START).unwrap();
    assert_eq!((high_watermark(&leading), moved), (15, Moved::NOTHING));
    let _ = leading.acked(sender(3), ends(0, 20, 20), START).unwrap();
    assert_eq!(high_watermark(&leading), 17);
}

#[test]
fn a_topic_that_acknowledges_from_memory_counts_log_ends() {
    let counts = Assignment { counts: Counts::Appended, ..assignment(&[1, 2], &[2], 2) };
    let mut leading = Leading::new(LeaderEpoch(5), ends(0, 0, 10), Offset(8), counts, START);
    let _ = leading.opened(sender(2), ends(0, 0, 10), START).unwrap();
    assert_eq!(high_watermark(&leading), 10);
}

#[test]
fn nothing_is_committed_below_the_minimum() {
    let mut leading = in_sync(&[1], 2);
    let _ = leading.local(ends(0, 20, 20));
    assert!(!leading.can_acknowledge());
    assert_eq!(high_watermark(&leading), 8);
    // Who was asked for does not count for the minimum.
    let _ = leading.acked(sender(2), ends(0, 20, 20), at(1)).unwrap();
    assert!(leading.wanted_isr(at(1), 3_000, 0).is_some());
    assert_eq!(leading.maximal_isr().count(), 3);
    let _ = leading.local(ends(0, 21, 21));
    assert!(!leading.can_acknowledge());
    assert_eq!(high_watermark(&leading), 8);
    // The operator lowers the minimum.
    let lowered = Assignment { partition_epoch: PartitionEpoch(8), ..assignment(&[1], &[2, 3], 1) };
    let moved = leading.reassigned(lowered, at(2));
    assert!(moved.high_watermark && moved.settled && leading.can_acknowledge());
    assert_eq!(high_watermark(&leading), 21, "what was asked for is settled by the image");
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let other = |server, broker_epoch, leader_epoch| Sender {
        server: ServerId(server),
        broker_epoch: BrokerEpoch(broker_epoch),
        leader_epoch: LeaderEpoch(leader_epoch),
    };
    let disordered = ends(0, 12, 11);
    let cases = [
        (other(4, 40, 5), ends(0, 10, 10), AckError::NoReplica(ServerId(4))),
        (
            other(2, 20, 4),
            ends(0, 10, 10),
            AckError::OtherLeaderEpoch { said: LeaderEpoch(4), current: LeaderEpoch(5) },
        ),
        (
            other(2, 19, 5),
            ends(0, 10, 10),
            AckError::OtherBrokerEpoch { said: BrokerEpoch(19), known: BrokerEpoch(20) },
        ),
        (sender(2), disordered, AckError::Disordered(disordered)),
        (sender(2), ends(-1, 0, 0), AckError::Disordered(ends(-1, 0, 0))),
        (sender(2), ends(11, 10, 10), AckError::Disordered(ends(11, 10, 10))),
        (sender(2), ends(0, 11, 11), AckError::BeyondLogEnd { said: Offset(11), own: Offset(10) }),
    ];
    for (from, said, refused) in cases {
        let mut leading = in_sync(&[1, 2, 3], 2);
        let before = leading.clone();
        assert_eq!(leading.acked(from, said, START), Err(refused));
        assert_eq!(leading.opened(from, said, START), Err(refused));
        assert_eq!(leading, before);
    }
    let mut leading = leading(&[1, 2, 3], 2);
    assert_eq!(leading.acked(sender(2), ends(0, 5, 5), START), Err(AckError::NotOpened(ServerId(2))));
}

#[test]
fn an_image_without_a_new_epoch_begins_nothing_anew() {
    let mut leading = in_sync(&[1, 2, 3], 2);
    let _ = leading.local(ends(0, 20, 20));
    // Server 3 has a new incarnation, 4 is added, 2 stays as it is.
    let changed = Assignment {
        partition_epoch: PartitionEpoch(8),
        followers: vec![member(2), Member { broker_epoch: BrokerEpoch(31), ..member(3) }, member(4)],
        ..assignment(&[1, 2], &[], 2)
    };
    let _ = leading.reassigned(changed, at(1));
    assert_eq!(leading.ends_of(ServerId(2)), Some(ends(0, 10, 10)));
    assert_eq!((leading.ends_of(ServerId(3)), leading.ends_of(ServerId(4))), (None, None));
    let _ = leading.acked(sender(2), ends(0, 18, 20), at(1)).unwrap();
    assert_eq!((high_watermark(&leading), leading.epoch_start()), (18, Offset(10)));
    assert_eq!(
        leading.opened(sender(3), ends(0, 10, 10), at(1)),
        Err(AckError::OtherBrokerEpoch { said: BrokerEpoch(30), known: BrokerEpoch(31) })
    );
    // A follower that leaves is forgotten, also if it comes back.
    let without = Assignment { partition_epoch: PartitionEpoch(9), ..assignment(&[1], &[3], 1) };
    let _ = leading.reassigned(without, at(2));
    let again = Assignment { partition_epoch: PartitionEpoch(10), ..assignment(&[1], &[2, 3], 1) };
    let _ = leading.reassigned(again, at(3));
    assert_eq!(leading.ends_of(ServerId(2)), None);
    assert_eq!(high_watermark(&leading), 20);
}

#[test]
fn a_start_is_named_when_all_in_sync_have_named_it() {
    let mut leading = in_sync(&[1, 2], 2);
    let _ = leading.local(ends(6, 10, 10));
    assert_eq!(leading.named_start(), Offset(0));
    let _ = leading.acked(sender(2), ends(4, 10, 10), START).unwrap();
    assert_eq!(leading.named_start(), Offset(4));
    let _ = leading.acked(sender(2), ends(8, 10, 10), START).unwrap();
    assert_eq!(leading.named_start(), Offset(6), "the leader's own is the lowest");
}

#[test]
fn a_waiter_is_answered_in_its_epoch_alone() {
    let leading = in_sync(&[1, 2, 3], 2);
    for (epoch, end, may) in [(5, 10, true), (5, 11, false), (4, 10, false), (4, 3, false)] {
        assert_eq!(leading.may_answer(LeaderEpoch(epoch), Offset(end)), may, "{epoch} {end}");
    }
}
