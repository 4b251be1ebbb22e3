//! The phases of a course: rounds of chaos, after each of which everything is put right, must be well, and is read.

use ringmain::base::ShardId;

use super::{Course, Outcome};
use crate::checks::{Invariant, require, violated};
use crate::clients::Rests;
use crate::event::{Event, Stage};
use crate::queue::{Instant, Span};

/// After the faults all must be well within this.
const RECOVERY: Span = Span::seconds(30);

impl Course {
    pub fn run(mut self) -> Outcome {
        self.course();
        Outcome {
            trace: self.trace.hash(),
            events: self.trace.events(),
            records: self.oracle.sent_count() as u64,
            lives: self.lives,
        }
    }

    /// The course itself, for whoever wants to look at what is left of it.
    pub fn course(&mut self) {
        self.begin();
        let end = Instant(0).plus(self.plan.length);
        while self.queue.now() < end {
            self.chaos();
            self.recover();
            self.check_everything();
        }
    }

    fn begin(&mut self) {
        for server in 0..self.servers.len() {
            self.queue.after(Span::ms(1), Event::Boot { server, life: 0 });
        }
        self.run_for(Span::ms(50));
        let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
        self.clients.add_usual(&mut stage);
        self.queue.after(Span::seconds(1), Event::Look);
    }

    fn chaos(&mut self) {
        self.is_chaos = true;
        let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
        self.clients.rest(Rests::No, &mut stage);
        self.choose_later();
        let length = Span::ms(60_000 + self.rng.below(90_000));
        self.run_for(length);
    }

    /// Everything is put right, and all that was asked is answered in time.
    fn recover(&mut self) {
        self.heal();
        let mut stage = Stage { queue: &mut self.queue, rng: &mut self.rng };
        self.clients.rest(Rests::Yes, &mut stage);
        let until = self.queue.now().plus(RECOVERY);
        while !(self.is_healed(self.queue.now()) && self.clients.are_idle()) {
            if self.queue.now() > until {
                violated(Invariant::Liveness, "clients wait for answers still");
            }
            self.step();
        }
        require(Invariant::Liveness, true, String::new);
    }

    pub(super) fn run_for(&mut self, span: Span) {
        let until = self.queue.now().plus(span);
        while self.queue.now() < until {
            self.step();
        }
    }

    /// What the servers say of themselves must agree with what they have told others.
    pub(super) fn look(&mut self) {
        self.note(&[9]);
        for server in &self.servers {
            for (number, shard) in (0..).map(ShardId).zip(server.shards()) {
                for end in shard.ends() {
                    let id = shard.current_image().topic(&end.topic).map(|topic| topic.id);
                    let Some(topic) = id else { continue };
                    let partition = ringmain::base::PartitionIndex(end.partition);
                    let partition = ringmain::base::TopicPartition { topic, partition };
                    let Some(log) = self.oracle.log(partition) else { continue };
                    let exposed = log.exposed();
                    require(Invariant::Watermarks, end.end >= exposed, || {
                        format!(
                            "{partition} reached {exposed}, and ends at {} on {} {number}",
                            end.end, server.id
                        )
                    });
                    log.expose(0, end.end);
                }
            }
        }
    }
}
