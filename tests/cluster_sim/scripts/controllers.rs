//! Controllers and voters.

use super::{Play, Script};
use crate::clients::Acks;
use crate::queue::Span;

pub const SCRIPTS: &[Script] = &[
    ("a controller that is killed is replaced within two seconds", controller_killed),
    ("a controller that can send but not receive resigns", sends_only),
    ("what a deposed controller has decided alone is dropped", deposed),
    ("D14: a sole voter leads in a new epoch after each start", sole_voter),
    ("Q7, D15: whoever dies while the voters become three", three_voters),
    ("U7: the leader goes on while a controller is silent for three seconds", silent_controller),
    ("D1: an answer about the in-sync set is lost", lost_answer),
    ("D8: a controller is killed while it fences a server", killed_while_fencing),
    ("a majority of the voters is down: whoever leads goes on", no_majority),
    ("U15: a controller that is cut off gives no id that comes to nothing", no_id_for_nothing),
];

fn controller_killed() {
    let mut play = Play::with_voters(3);
    let controller = play.controller();
    let epoch = play.quorum_epoch();
    play.kill(controller);
    play.until("another one decides", Span::seconds(4), |it| {
        it.quorum_epoch() > epoch && it.controller() != controller
    });
    let p = play.topic("a", &[(controller + 1) % 3, (controller + 2) % 3], 1);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.boot(controller);
    play.end_well();
}

fn sends_only() {
    let mut play = Play::with_voters(3);
    let controller = play.controller();
    let epoch = play.quorum_epoch();
    for other in (0..3).filter(|at| *at != controller) {
        play.cut(other, controller);
    }
    play.until("another one decides", Span::seconds(20), |it| {
        it.quorum_epoch() > epoch && it.controller() != controller
    });
    play.end_well();
}

fn deposed() {
    let mut play = Play::with_voters(3);
    let old = play.controller();
    let p = play.topic("a", &[0, 1, 2], 2);
    play.isolate(old);
    // The one that is cut off decides what nobody hears of.
    play.run(100);
    play.until("another one decides", Span::seconds(20), |it| it.controller() != old);
    let q = play.topic("b", &[(old + 1) % 3, (old + 2) % 3], 1);
    play.mend();
    let mut sent = play.produce(q, Acks::All);
    play.expect_acked(&mut sent);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.end_well();
}

fn sole_voter() {
    let mut play = Play::of(2);
    let mut epoch = play.quorum_epoch();
    for _ in 0..3 {
        play.power(&[0]);
        play.boot(0);
        play.until("it decides again", Span::seconds(20), |it| it.quorum_epoch() > epoch);
        epoch = play.quorum_epoch();
    }
    play.end_well();
}

/// The second and third vote after a minute: one or the other, or all, go at about that time.
fn three_voters() {
    for gone in [vec![0], vec![1], vec![2], vec![1, 2], vec![0, 1, 2]] {
        for step in 0..4 {
            let mut play = Play::of(3);
            let began = play.course.queue.now();
            play.until("three servers vote", Span::seconds(120), |it| {
                let image = it.course.newest_image();
                let votes = image.is_some_and(|image| image.quorum.voters.len() == 3);
                votes || it.course.queue.now().since(began) > Span::seconds(64)
            });
            play.course.run_for(Span::micros(step * 400));
            play.power(&gone);
            play.run(300);
            gone.iter().for_each(|server| play.boot(*server));
            let p = play.topic("a", &[0, 1, 2], 2);
            let mut sent = play.produce(p, Acks::All);
            play.expect_acked(&mut sent);
            play.end_well();
        }
    }
}

fn silent_controller() {
    let mut play = Play::with_voters(3);
    let controller = play.controller();
    let [one, other] = [(controller + 1) % 3, (controller + 2) % 3];
    let p = play.topic("a", &[one, other], 2);
    let mut first = play.produce(p, Acks::All);
    play.expect_acked(&mut first);
    play.isolate(controller);
    for _ in 0..30 {
        let sent = play.produce(p, Acks::All);
        play.run(100);
        assert!(matches!(play.answer(&sent), Some(Ok(_))), "{:?}", play.answer(&sent));
    }
    play.end_well();
}

fn lost_answer() {
    for step in 0..20 {
        let mut play = Play::with_voters(3);
        let controller = play.controller();
        let [leader, other] = [(controller + 1) % 3, (controller + 2) % 3];
        let p = play.topic("a", &[leader, controller, other], 2);
        play.kill(other);
        play.until("one is out", Span::seconds(20), |it| !it.isr(p).contains(&other));
        play.boot(other);
        // The leader will soon ask for the one that is back; what it is told is lost.
        play.run(20 + step * 4);
        play.cut(controller, leader);
        for _ in 0..4 {
            drop(play.produce(p, Acks::All));
            play.run(30);
        }
        play.mend();
        play.run(30);
        let mut sent = play.produce(p, Acks::All);
        play.run(40);
        if matches!(play.answer(&sent), Some(Ok(_))) {
            play.expect_acked(&mut sent);
        }
        play.kill(leader);
        play.until_led_by_other(p, leader);
        play.boot(leader);
        play.end_well();
    }
}

fn killed_while_fencing() {
    for step in 0..12 {
        let mut play = Play::with_voters(5);
        let controller = play.controller();
        let victim = (0..5).find(|at| *at != controller).unwrap();
        let others: Vec<usize> = (0..5).filter(|at| *at != controller && *at != victim).collect();
        let partitions: Vec<_> =
            (0..4).map(|n| play.topic(&format!("t{n}"), &[victim, others[n % 3]], 1)).collect();
        play.kill(victim);
        play.course.run_for(Span::micros(step * 300));
        play.kill(controller);
        play.run(300);
        play.boot(victim);
        play.boot(controller);
        partitions.iter().for_each(|p| play.until_led(*p));
        play.end_well();
    }
}

fn no_majority() {
    let mut play = Play::with_voters(5);
    let (voters, observers) = (play.voters(), play.observers());
    let p = play.topic("a", &observers, 2);
    let controller = play.controller();
    voters.iter().filter(|at| **at != controller).for_each(|at| play.kill(*at));
    play.run(20_000);
    let sent = play.produce(p, Acks::All);
    play.run(300);
    assert!(matches!(play.answer(&sent), Some(Ok(_))), "{:?}", play.answer(&sent));
    voters.iter().filter(|at| **at != controller).for_each(|at| play.boot(*at));
    play.end_well();
}

fn no_id_for_nothing() {
    let mut play = Play::with_voters(4);
    let (controller, away) = (play.controller(), play.observers()[0]);
    play.power(&[away]);
    play.run(12_000);
    play.lose_disk(away);
    for voter in play.voters().into_iter().filter(|it| *it != controller) {
        play.cut_both(controller, voter);
    }
    play.boot(away);
    play.run(5_000);
    play.mend();
    play.end_well();
}
