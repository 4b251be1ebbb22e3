//! What each step does.

use ringmain::base::{BrokerEpoch, LeaderEpoch, MonoNanos, Offset, Rule, StreamNumber, holds};
use ringmain::replication::{
    Ask, Ends, IsrAnswer, IsrAsk, Leading, Opened, Outcome, Phase, Sender, Take, Verdict, answer,
};

use crate::cluster::{Body, Cluster, Message, Step, part};
use crate::controller::{REPLICAS, server};
use crate::replica::{NOW, Record, Role, Stream, Waiter, index, offset};

const LONG_MS: u64 = 1_000_000_000;

impl Cluster {
    pub fn take(&mut self, step: Step) {
        match step {
            Step::Produce(me) => self.produce(me),
            Step::Flush(me) => self.flush(me),
            Step::Open(me) => self.open(me),
            Step::Send(me, to) => self.send_next(me, to),
            Step::Deliver(at) => {
                let message = self.messages.remove(at);
                self.deliver(message);
            }
            Step::Lose(at) => self.lose(at),
            Step::Image(me) => {
                self.servers[me].take_image();
                self.acknowledge(me);
            }
            Step::Newest(me) => {
                let coming = &mut self.servers[me].coming;
                *coming = coming.split_off(coming.len() - 1);
                self.servers[me].take_image();
                self.acknowledge(me);
            }
            Step::Cut(me) => self.servers[me].cut(),
            Step::Crash(me) => {
                self.budget.crashes -= 1;
                self.crash(me, false);
            }
            Step::Wipe(me) => {
                self.budget.wipes -= 1;
                self.crash(me, true);
            }
            Step::Restart(me) => self.restart(me),
            Step::Fence(me) => {
                self.budget.fences -= 1;
                let elected = self.image.fence(me);
                self.decided(elected);
            }
            Step::Unfence(me) => {
                self.budget.fences -= 1;
                let elected = self.image.unfence(me);
                self.decided(elected);
            }
            Step::Shrink(me) => self.ask(me, |leading, now| leading.wanted_isr(now, 1, 0)),
            Step::Grow(me) => self.ask(me, |leading, now| leading.wanted_isr(now, LONG_MS, 0)),
            Step::Again(me) => self.ask(me, |leading, _| leading.wanted_isr(leading.due(1), 1, 0)),
        }
        self.settle();
    }

    /// What follows from a step at once: watermarks, answers to producers.
    fn settle(&mut self) {
        for me in 0..REPLICAS {
            let server = &mut self.servers[me];
            let Role::Leading(leading) = &server.role else { continue };
            let high_watermark = index(leading.high_watermark());
            let log = server.log;
            let (done, waiters): (Vec<Waiter>, Vec<Waiter>) = server.waiters.iter().partition(|waiter| {
                leading.may_answer(LeaderEpoch(i32::from(waiter.epoch)), offset(usize::from(waiter.end)))
            });
            server.waiters = waiters;
            for waiter in done {
                self.acknowledged = self.acknowledged.with(usize::from(waiter.value));
            }
            let covered = &log.as_slice()[..high_watermark];
            let shared = covered.len().min(self.committed.len());
            if covered[..shared] != self.committed[..shared] {
                self.fault = Some("two leaders' high watermarks cover different records");
            } else if covered.len() > self.committed.len() {
                self.committed = covered.to_vec();
            }
        }
    }

    fn produce(&mut self, me: usize) {
        let server = &mut self.servers[me];
        let Role::Leading(leading) = &mut server.role else { return };
        let value = self.next_value;
        (self.next_value, self.budget.values) = (value + 1, self.budget.values - 1);
        let epoch = u8::try_from(leading.epoch().0).unwrap();
        server.log.push(Record { epoch, value });
        let end = u8::try_from(server.log.end()).unwrap();
        server.waiters.push(Waiter { end, epoch, value });
        self.local(me);
    }

    /// Tells the role where its log ends.
    fn local(&mut self, me: usize) {
        let server = &mut self.servers[me];
        let ends = server.ends();
        match &mut server.role {
            Role::Idle => {}
            Role::Leading(leading) => {
                let _ = leading.local(ends);
            }
            Role::Following(following) => {
                if !following.is_cutting() {
                    following.local(ends);
                }
            }
        }
    }

    fn flush(&mut self, me: usize) {
        self.servers[me].flushed = self.servers[me].log.end();
        self.local(me);
        self.acknowledge(me);
    }

    /// A follower says what it has, if that is news.
    fn acknowledge(&mut self, me: usize) {
        let follower = &mut self.servers[me];
        let Role::Following(following) = &mut follower.role else { return };
        let Some(ends) = following.ack(Offset(0)) else { return };
        let to = usize::try_from(following.leader_server().0).unwrap();
        let broker_epoch = follower.image.broker_epochs[me];
        let sender = Sender {
            server: server(me),
            broker_epoch: follower.image.broker_epoch(me),
            leader_epoch: following.epoch(),
        };
        self.send(Message { from: me, to, broker_epoch, body: Body::Ack { sender, ends } });
    }

    fn open(&mut self, me: usize) {
        let is_asking = self.messages.iter().any(|it| it.from == me && matches!(it.body, Body::Open { .. }));
        let follower = &mut self.servers[me];
        let last_epoch = follower.log.last_epoch();
        let broker_epoch = follower.image.broker_epochs[me];
        let Role::Following(following) = &mut follower.role else { return };
        // However long it waits.
        if !following.wants_stream(MonoNanos(u64::MAX)) {
            return;
        }
        // A number may come again once nothing with the old one is under way: so there are fewer states.
        follower.numbers = if is_asking { follower.numbers + 1 } else { 1 };
        let stream = StreamNumber(u32::from(follower.numbers));
        let ask = following.open(stream, last_epoch);
        let to = usize::try_from(following.leader_server().0).unwrap();
        self.send(Message { from: me, to, broker_epoch, body: Body::Open { stream, ask } });
    }

    fn send_next(&mut self, me: usize, to: usize) {
        let leader = &mut self.servers[me];
        let high_watermark = leader.high_watermark();
        let Some(stream) = &mut leader.streams[to] else { return };
        let (number, base) = (StreamNumber(u32::from(stream.number)), usize::from(stream.next));
        let record = leader.log.as_slice().get(base).copied();
        stream.next += u8::from(record.is_some());
        stream.told = u8::try_from(high_watermark.0).unwrap();
        let part = part(base, record, high_watermark);

        let follower = &mut self.servers[to];
        let Role::Following(following) = &mut follower.role else { return };
        let Ok(take) = following.appended(number, &part, NOW) else { return };
        if let (Take::Run, Some(record)) = (take, record) {
            follower.log.push(record);
            self.local(to);
        }
    }

    fn deliver(&mut self, message: Message) {
        let Message { from, to, broker_epoch, body } = message;
        let is_up = self.servers[to].is_up;
        match body {
            Body::IsrAsk(ask) => self.decide(from, &ask),
            _ if !is_up => {}
            Body::Open { stream, ask } => self.answer(from, to, broker_epoch, stream, &ask),
            Body::Ack { sender, ends } => {
                if let Role::Leading(leading) = &mut self.servers[to].role {
                    // Refused acks are what the rules are there for.
                    let _ = leading.acked(sender, ends, NOW);
                }
            }
            Body::IsrAnswer(answer) => {
                if let Role::Leading(leading) = &mut self.servers[to].role {
                    let _ = leading.isr_answered(answer);
                }
            }
        }
    }

    /// The leader's answer to an open stream.
    fn answer(&mut self, from: usize, to: usize, broker_epoch: u8, stream: StreamNumber, ask: &Ask) {
        let leader = &mut self.servers[to];
        let evidence = leader.evidence(from, broker_epoch, ask.log.last_epoch);
        let outcome = answer(ask, &evidence);
        if let (Outcome::From { next }, Role::Leading(leading)) = (outcome, &mut leader.role) {
            let sender = Sender {
                server: server(from),
                broker_epoch: BrokerEpoch(i64::from(broker_epoch)),
                leader_epoch: ask.epoch,
            };
            let ends = Ends { log_start: ask.log_start, flushed: ask.flushed, log_end: ask.log.end };
            if leading.opened(sender, ends, NOW).is_ok() {
                let (number, next) = (u8::try_from(stream.0).unwrap(), u8::try_from(next.0).unwrap());
                leader.streams[from] = Some(Stream { number, broker_epoch, next, told: 0 });
            }
        }
        let opened = Opened { outcome, high_watermark: leader.high_watermark(), log_start: Offset(0) };
        self.opened(from, broker_epoch, stream, opened);
    }

    fn opened(&mut self, me: usize, broker_epoch: u8, stream: StreamNumber, opened: Opened) {
        let follower = &mut self.servers[me];
        let log = follower.log;
        let is_same = follower.image.broker_epochs[me] == broker_epoch;
        let Role::Following(following) = &mut follower.role else { return };
        if !follower.is_up || !is_same {
            return;
        }
        let result = following.opened(stream, opened, |epoch| log.end_of(epoch), NOW);
        if matches!(result, Ok(Phase::Diverged)) {
            self.fault = Some("9: an honest leader asks to cut what is committed");
        }
    }

    /// The lane of the message is gone, with whatever else is on it.
    fn lose(&mut self, at: usize) {
        self.budget.losses -= 1;
        let lost = self.messages.remove(at);
        if matches!(lost.body, Body::IsrAsk(_) | Body::IsrAnswer(_)) {
            return;
        }
        self.servers[lost.to].streams[lost.from] = None;
        self.messages
            .retain(|it| (it.from, it.to) != (lost.from, lost.to) || matches!(it.body, Body::IsrAsk(_)));
        if let Role::Following(following) = &mut self.servers[lost.from].role
            && following.leader_server() == server(lost.to)
        {
            following.lane_lost();
        }
    }

    fn crash(&mut self, me: usize, is_wiped: bool) {
        self.servers[me].crash(is_wiped);
        // What it has sent is still on its way, what was sent to it is not.
        self.messages.retain(|message| message.to != me || matches!(message.body, Body::IsrAsk(_)));
        for server in &mut self.servers {
            server.streams[me] = None;
        }
    }

    fn restart(&mut self, me: usize) {
        let is_intact = !self.servers[me].is_wiped;
        let elected = self.image.register(me, is_intact);
        self.decided(elected);
        let server = &mut self.servers[me];
        (server.is_up, server.is_wiped) = (true, false);
        server.coming = vec![self.image];
        server.image.leader_epoch = 0;
        server.take_image();
    }

    fn decided(&mut self, elected: bool) {
        if elected {
            self.budget.elections -= 1;
            self.ask_taken = 0;
        }
        self.publish();
    }

    fn ask(&mut self, me: usize, ask: impl FnOnce(&mut Leading, MonoNanos) -> Option<IsrAsk>) {
        // Later with each ask, so that one refused does not keep the next from being made.
        let now = NOW.plus_ms(1_000 * u64::from(100 - self.budget.asks));
        let asking = &mut self.servers[me];
        let broker_epoch = asking.image.broker_epochs[me];
        let Role::Leading(leading) = &mut asking.role else { return };
        let Some(ask) = ask(leading, now) else { return };
        self.budget.asks -= 1;
        self.send(Message { from: me, to: me, broker_epoch, body: Body::IsrAsk(ask) });
    }

    /// The controller decides about an ask. It takes those of one leader in their order.
    fn decide(&mut self, from: usize, ask: &IsrAsk) {
        let is_of_this_epoch = ask.leader_epoch == self.image.epoch();
        if is_of_this_epoch && ask.number <= self.ask_taken && !self.takes_any_ask {
            return;
        }
        if is_of_this_epoch {
            self.ask_taken = ask.number;
        }
        let verdict = self.image.alter_isr(from, ask);
        if matches!(verdict, Verdict::Decided { .. }) {
            self.publish();
        }
        // Any other answer moves nothing, as long as the rules hold.
        let is_nothing = verdict != Verdict::Ineligible && holds(Rule::R2b) && holds(Rule::IsrByImage);
        if !is_nothing {
            let broker_epoch = self.image.broker_epochs[from];
            let body = Body::IsrAnswer(IsrAnswer { number: ask.number, verdict });
            self.send(Message { from, to: from, broker_epoch, body });
        }
    }
}
