//! Leaders that end, fall behind, or are cut off.

use super::{Play, Script};
use crate::clients::Acks;
use crate::queue::Span;

pub const SCRIPTS: &[Script] = &[
    ("followers flushed a record before their leader, which is killed", followers_flush_first),
    ("no follower has a record of a leader that is killed", nobody_else_has_it),
    ("a leader restarts at once and has lost what a follower flushed", back_at_once),
    ("a suffix of a lower epoch is shorter than one of a higher", older_suffix),
    ("a leader cut off from the controller alone is replaced", cut_from_controller),
    ("a killed leader is replaced within a second", failover_time),
    ("U5: idle replicas stay in sync, and an idle controller stays", idle),
    ("U14: a leader that was paused expels nobody", paused_leader),
    ("a follower below the minimum leaves a record unacknowledged", below_minimum),
    ("D11: what was asked for is not counted against the minimum", asked_for_is_no_member),
    ("a leader that is cut off by half goes on or gives way, and loses nothing", one_way),
    ("a follower comes back though the start of an idle log has moved", start_of_an_idle_log),
];

fn followers_flush_first() {
    let mut play = Play::with_voters(3);
    let (leader, p) = play.topic_led_beside_the_controller();
    let mut first = play.produce(p, Acks::All);
    play.expect_acked(&mut first);
    play.stall_disk(leader);
    let mut sent = play.produce(p, Acks::All);
    play.expect_no_ack(&sent, 100);
    play.kill(leader);
    play.until_led_by_other(p, leader);
    // The new leader has the record: what is sent again is a duplicate.
    play.expect_acked(&mut sent);
    play.right_disk(leader);
    play.boot(leader);
    play.end_well();
}

fn nobody_else_has_it() {
    let mut play = Play::with_voters(3);
    let (leader, p) = play.topic_led_beside_the_controller();
    let mut first = play.produce(p, Acks::All);
    play.expect_acked(&mut first);
    for other in (0..3).filter(|at| *at != leader) {
        play.cut(leader, other);
    }
    let mut lost = play.produce(p, Acks::All);
    play.expect_no_ack(&lost, 200);
    play.kill(leader);
    play.mend();
    play.until_led_by_other(p, leader);
    let mut other = play.produce(p, Acks::Leader);
    play.expect_acked(&mut other);
    // The old leader cuts its record off.
    play.boot(leader);
    play.until_isr(p, &[0, 1, 2]);
    play.expect_acked(&mut lost);
    play.end_well();
}

fn back_at_once() {
    let mut play = Play::with_voters(3);
    let (leader, p) = play.topic_led_beside_the_controller();
    let epoch = play.epoch(p);
    play.stall_disk(leader);
    let mut sent = play.produce(p, Acks::All);
    play.expect_no_ack(&sent, 20);
    play.power(&[leader]);
    play.right_disk(leader);
    play.boot(leader);
    play.until("the epoch rises", Span::seconds(30), |it| it.epoch(p) > epoch);
    play.until_led(p);
    play.expect_acked(&mut sent);
    play.end_well();
}

fn older_suffix() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 1);
    let mut first = play.produce(p, Acks::All);
    play.expect_acked(&mut first);
    // The first leader writes what nobody gets, and goes.
    play.cut(0, 1);
    play.cut(0, 2);
    (0..4).for_each(|_| drop(play.produce(p, Acks::Leader)));
    play.run(50);
    play.kill(0);
    play.mend();
    play.until_led_by_other(p, 0);
    let second = play.leader(p).unwrap();
    let third = 3 - second;
    // So does the second, in a higher epoch and fewer.
    play.cut(second, third);
    drop(play.produce(p, Acks::Leader));
    play.run(50);
    play.kill(second);
    play.mend();
    play.boot(0);
    play.until_led_by_other(p, second);
    play.boot(second);
    let mut last = play.produce(p, Acks::All);
    play.expect_acked(&mut last);
    play.end_well();
}

fn cut_from_controller() {
    let mut play = Play::with_voters(3);
    let controller = play.controller();
    let leader = (controller + 1) % 3;
    let p = play.topic("a", &[leader, controller, 3 - controller - leader], 2);
    play.cut_both(leader, controller);
    play.until_led_by_other(p, leader);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.end_well();
}

fn failover_time() {
    let mut play = Play::with_voters(3);
    let (leader, p) = play.topic_led_beside_the_controller();
    let mut first = play.produce(p, Acks::All);
    play.expect_acked(&mut first);
    play.kill(leader);
    play.until("another server leads", Span::seconds(1), |it| it.leader(p).is_some_and(|at| at != leader));
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.boot(leader);
    play.end_well();
}

fn idle() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    let mut first = play.produce(p, Acks::All);
    play.expect_acked(&mut first);
    play.run(1_000);
    let before = (play.partition(p), play.quorum_epoch());
    play.run(60_000);
    assert_eq!((play.partition(p), play.quorum_epoch()), before, "nothing happens by itself");
    play.end_well();
}

fn paused_leader() {
    let mut play = Play::with_voters(3);
    let (leader, p) = play.topic_led_beside_the_controller();
    let mut first = play.produce(p, Acks::All);
    play.expect_acked(&mut first);
    play.run(2_000);
    play.pause(leader, 4_000);
    for _ in 0..43 {
        play.run(100);
        // The leader itself may be taken for gone.
        let others = play.isr(p).into_iter().filter(|at| *at != leader).count();
        assert_eq!(others, 2, "nobody else was expelled: {:?}", play.partition(p));
    }
    play.end_well();
}

fn below_minimum() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    let controller = play.controller();
    let others: Vec<usize> = (0..3).filter(|at| *at != controller).collect();
    play.kill(others[0]);
    play.until_led(p);
    let mut two = play.produce(p, Acks::All);
    play.expect_acked(&mut two);
    // The last two of three replicas: one is left, and the quorum has no majority.
    play.kill(others[1]);
    let alone = play.leader(p).filter(|at| *at == controller);
    if alone.is_some() {
        let sent = play.produce(p, Acks::All);
        play.expect_no_ack(&sent, 4_000);
    }
    play.boot(others[0]);
    play.boot(others[1]);
    play.end_well();
}

fn asked_for_is_no_member() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    let controller = play.controller();
    let [one, other] = [(controller + 1) % 3, (controller + 2) % 3];
    play.kill(one);
    play.until_led(p);
    play.until("one is out", Span::seconds(20), |it| !it.isr(p).contains(&one));
    // The one that comes back is asked for while the other goes.
    play.boot(one);
    for _ in 0..30 {
        play.run(10);
        if play.leader(p).is_some() {
            drop(play.produce(p, Acks::All));
        }
    }
    play.kill(other);
    play.run(3_000);
    play.boot(other);
    play.end_well();
}

fn one_way() {
    for (from_leader, to_leader) in [(true, false), (false, true)] {
        let mut play = Play::with_voters(3);
        let p = play.topic("a", &[0, 1, 2], 2);
        for other in [1, 2] {
            if from_leader {
                play.cut(0, other);
            }
            if to_leader {
                play.cut(other, 0);
            }
        }
        let mut sent = play.produce(p, Acks::All);
        play.run(15_000);
        play.until_led(p);
        play.expect_acked(&mut sent);
        play.end_well();
    }
}

fn start_of_an_idle_log() {
    let mut play = Play::with_voters(3);
    let (leader, p) = play.topic_led_beside_the_controller();
    let controller = play.controller();
    let follower = 3 - controller - leader;
    play.set(p, "segment.ms", "1000");
    for _ in 0..3 {
        let mut sent = play.produce(p, Acks::All);
        play.expect_acked(&mut sent);
        play.run(3_000);
    }
    play.cut_both(follower, controller);
    play.until_isr(p, &[controller.min(leader), controller.max(leader)]);
    play.set(p, "retention.bytes", "1");
    play.until("retention moves the start", Span::seconds(900), |it| {
        it.log_start(leader, p).is_some_and(|start| start > 0)
    });
    play.mend();
    play.until_isr(p, &[0, 1, 2]);
    play.end_well();
}
