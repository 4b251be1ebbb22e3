//! Where walks begin: states that a few scripted steps lead to, each beside what a rule is there for.

use crate::cluster::Step::{Cut, Deliver, Fence, Flush, Grow, Image, Newest, Open, Produce, Send, Unfence};
use crate::cluster::{Budget, Cluster, Step};

pub struct Start {
    pub name: &'static str,
    script: Vec<Step>,
    budget: Budget,
}

const NOTHING: Budget =
    Budget { values: 0, elections: 0, fences: 0, crashes: 0, wipes: 0, losses: 0, asks: 0 };
/// As much as any script needs.
const PLENTY: Budget =
    Budget { values: 9, elections: 9, fences: 9, crashes: 9, wipes: 9, losses: 9, asks: 9 };
/// Two elections, two values, one crash that loses what is not flushed, one lost lane.
const USUAL: Budget =
    Budget { values: 2, elections: 2, fences: 2, crashes: 1, losses: 1, asks: 2, ..NOTHING };

/// Two servers have streams from the first, which leads; all three are in sync.
const STREAMS: [Step; 4] = [Open(1), Deliver(0), Open(2), Deliver(0)];
/// A record is on the leader and server 1, whose ack is on its way.
const ON_TWO: [Step; 4] = [Produce(0), Flush(0), Send(0, 1), Flush(1)];
/// From there: it is on all three, and committed. No follower knows.
const ON_ALL: [Step; 4] = [Deliver(0), Send(0, 2), Flush(2), Deliver(0)];
/// Server 2 is out of the ISR, may join, and has all there is.
const ONE_OUT: [Step; 4] = [Fence(2), Image(0), Unfence(2), Image(0)];
/// The leader is alone in the ISR, server 1 is eligible, server 2 has all there is and may join.
const ALONE: [Step; 7] = [Fence(2), Image(0), Fence(1), Image(0), Unfence(2), Image(0), Unfence(1)];
/// Server 1 leads; the old leader has a record that server 2 has not flushed, and does not know.
const TWO_EPOCHS: [Step; 6] = [Produce(0), Send(0, 2), Fence(0), Image(1), Image(2), Unfence(0)];
/// Server 1 leads and has committed a record with server 2; the old leader, which knows of nothing, has flushed another.
const REPLACED: [Step; 12] = [
    Produce(0),
    Flush(0),
    Fence(0),
    Image(1),
    Image(2),
    Open(2),
    Deliver(0),
    Produce(1),
    Flush(1),
    Send(1, 2),
    Flush(2),
    Deliver(0),
];
/// Server 2 has a record of the first epoch, of which it has said so. The leader of the second was the server 1, which has
/// another record in that place, and so has server 0, which leads again. Server 2 has missed all that.
const LED_AGAIN: [Step; 22] = [
    Produce(0),
    Send(0, 2),
    Flush(2),
    Deliver(0),
    Fence(0),
    Image(1),
    Image(0),
    Unfence(0),
    Open(0),
    Deliver(0),
    Cut(0),
    Open(0),
    Deliver(0),
    Produce(1),
    Send(1, 0),
    Flush(0),
    Deliver(0),
    Image(1),
    Grow(1),
    Deliver(0),
    Fence(1),
    Image(0),
];
/// From there: server 2 learns of it, and takes over what is in the place of its record.
const FOLLOWED_AGAIN: [Step; 8] =
    [Newest(2), Open(2), Deliver(0), Cut(2), Open(2), Deliver(0), Send(0, 2), Flush(2)];

impl Start {
    fn new(name: &'static str, scripts: &[&[Step]], budget: Budget) -> Start {
        Start {
            name,
            script: [&STREAMS]
                .into_iter()
                .flatten()
                .chain(scripts.iter().copied().flatten())
                .copied()
                .collect(),
            budget,
        }
    }

    /// The state, or what is wrong on the way to it.
    pub fn cluster(&self) -> Result<Cluster, &'static str> {
        let mut cluster = Cluster::new(PLENTY);
        for (at, step) in self.script.iter().enumerate() {
            let steps = cluster.steps();
            assert!(steps.contains(step), "{}: step {at}, {step:?}, is one of {steps:?}", self.name);
            cluster.take(*step);
            cluster.wrong().map_or(Ok(()), Err)?;
        }
        cluster.budget = self.budget;
        Ok(cluster)
    }
}

pub fn all() -> Vec<Start> {
    vec![
        Start::new("fresh", &[], USUAL),
        Start::new("committed", &[&ON_TWO, &ON_ALL], USUAL),
        Start::new(
            "wiped",
            &[&ON_TWO, &ON_ALL],
            Budget { crashes: 0, losses: 0, wipes: 1, fences: 3, ..USUAL },
        ),
        Start::new("one out", &[&ONE_OUT], Budget { values: 1, fences: 3, asks: 3, ..USUAL }),
        Start::new("one behind", &[&ONE_OUT, &ON_TWO], Budget { values: 0, fences: 3, asks: 3, ..USUAL }),
        Start::new("alone", &[&ALONE], Budget { values: 1, fences: 4, ..USUAL }),
        Start::new("replaced", &[&REPLACED], Budget { values: 0, elections: 1, ..USUAL }),
        Start::new("led again", &[&LED_AGAIN], Budget { values: 0, elections: 0, ..USUAL }),
        Start::new(
            "followed again",
            &[&LED_AGAIN, &FOLLOWED_AGAIN],
            Budget { values: 0, elections: 0, ..USUAL },
        ),
        Start::new("two epochs", &[&TWO_EPOCHS], Budget { values: 1, elections: 1, asks: 3, ..USUAL }),
    ]
}
