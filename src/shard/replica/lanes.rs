//! Lanes: connections to and from other servers, from the dial to the last word.
//!
//! A shard dials whoever has something that it needs, says Hello, and waits for Welcome. Whoever accepts knows from the Hello who
//! comes. What streams on a lane is not known here.
//!
//! Limits: one lane to each target; of accepted lanes the newest of each shard of each server, so a peer that dials again and
//! again holds one.

use std::collections::BTreeMap;

use crate::base::rng::Rng;
use crate::base::{IncarnationId, LaneId, MonoNanos, Payload, ServerId, ShardId, VoterId, mark};
use crate::peer::{self, Hello, LaneKind, Message, Refused, Welcome};

use super::super::effect::{DialError, Effect, OutFrame};
use super::super::turn::Turn;
use super::me::{Me, QuorumSeen};
use super::target::Target;

/// The first wait before a target is dialled again, and the longest.
const BACKOFF_MS: (u64, u64) = (50, 2000);
/// A dial and its handshake take no longer.
const HANDSHAKE_MS: u64 = 5000;

/// Who is at the other end of an accepted lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Dialler {
    pub server: ServerId,
    pub shard: ShardId,
    pub kind: LaneKind,
    pub incarnation: IncarnationId,
    pub voter: VoterId,
    pub window: u32,
}

/// What has become of a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LaneNews {
    /// A target answered with Welcome: streams may be opened.
    Open { lane: LaneId, target: Target, incarnation: IncarnationId, quorum: QuorumSeen },
    /// A lane to a target is gone, or was never made.
    Lost { lane: LaneId, target: Target, how: Loss },
    /// A peer has dialled.
    Accepted { lane: LaneId, from: Dialler, quorum: QuorumSeen },
    /// An accepted lane is gone.
    Left { lane: LaneId, from: Dialler },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Nobody listens at the address: the process is gone.
    Refused,
    NoAnswer,
    /// The peer closed it, or it was reset.
    Closed,
    /// This side gave it up.
    GivenUp,
}

#[derive(Debug)]
pub(super) struct Lanes {
    next: u64,
    rng: Rng,
    dialled: BTreeMap<u64, Dialled>,
    targets: BTreeMap<Target, Wanted>,
    accepted: BTreeMap<u64, Dialler>,
    news: Vec<LaneNews>,
}

#[derive(Debug)]
struct Dialled {
    target: Target,
    phase: Phase,
    /// When the handshake has taken too long.
    until: MonoNanos,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Dialling,
    /// Hello was said.
    Greeting,
    Open,
}

/// A target that somebody needs.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    lane: Option<u64>,
    /// When to dial, if there is no lane.
    at: MonoNanos,
    backoff_ms: u64,
}

impl Lanes {
    pub(super) fn new(seed: u64) -> Lanes {
        Lanes {
            next: 0,
            rng: Rng::seeded(seed),
            dialled: BTreeMap::new(),
            targets: BTreeMap::new(),
            accepted: BTreeMap::new(),
            news: Vec::new(),
        }
    }

    /// A lane to this target is needed from now on.
    pub(super) fn want(&mut self, target: Target) {
        let fresh = Wanted { lane: None, at: MonoNanos(0), backoff_ms: 0 };
        self.targets.entry(target).or_insert(fresh);
    }

    /// Nobody needs the target any more.
    pub(super) fn drop_target(&mut self, target: Target, turn: &mut Turn<'_>) {
        let Some(wanted) = self.targets.remove(&target) else { return };
        if let Some(number) = wanted.lane {
            self.dialled.remove(&number);
            turn.effect(Effect::Hang { lane: LaneId::Dialled(number) });
            let lane = LaneId::Dialled(number);
            self.news.push(LaneNews::Lost { lane, target, how: Loss::GivenUp });
        }
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.targets.keys().copied()
    }

    /// The open lane to a target.
    pub(super) fn open_to(&self, target: Target) -> Option<LaneId> {
        let number = self.targets.get(&target)?.lane?;
        (self.dialled.get(&number)?.phase == Phase::Open).then_some(LaneId::Dialled(number))
    }

    pub(super) fn target_of(&self, lane: LaneId) -> Option<Target> {
        let LaneId::Dialled(number) = lane else { return None };
        Some(self.dialled.get(&number)?.target)
    }

    pub(super) fn dialler_of(&self, lane: LaneId) -> Option<Dialler> {
        let LaneId::Accepted(number) = lane else { return None };
        self.accepted.get(&number).copied()
    }

    /// Accepted lanes, with who dialled.
    pub(super) fn accepted(&self) -> impl Iterator<Item = (LaneId, Dialler)> + '_ {
        self.accepted.iter().map(|(number, from)| (LaneId::Accepted(*number), *from))
    }

    /// Dials whoever is due, and gives up handshakes that take too long.
    pub(super) fn turn(&mut self, me: &Me<'_>, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let late = |it: &Dialled| it.phase != Phase::Open && it.until <= now;
        let late: Vec<u64> = self.dialled.iter().filter(|(_, it)| late(it)).map(|(at, _)| *at).collect();
        for number in late {
            turn.effect(Effect::Hang { lane: LaneId::Dialled(number) });
            self.lost(number, Loss::NoAnswer, now);
        }
        let due: Vec<Target> =
            self.targets.iter().filter(|(_, it)| it.lane.is_none() && it.at <= now).map(|it| *it.0).collect();
        for target in due {
            let Some((host, port)) = me.address_of(target.server) else {
                // Whoever is not known yet is dialled when the image or a setting names it.
                self.later(target, now);
                continue;
            };
            self.next += 1;
            let lane = LaneId::Dialled(self.next);
            let until = now.plus_ms(HANDSHAKE_MS);
            self.dialled.insert(self.next, Dialled { target, phase: Phase::Dialling, until });
            if let Some(wanted) = self.targets.get_mut(&target) {
                wanted.lane = Some(self.next);
            }
            turn.effect(Effect::Dial { lane, to: target.server, host, port });
        }
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        let dial = self.targets.values().filter(|it| it.lane.is_none()).map(|it| it.at);
        let late = self.dialled.values().filter(|it| it.phase != Phase::Open).map(|it| it.until);
        dial.chain(late).min().unwrap_or(MonoNanos::NEVER)
    }

    /// A dial has ended.
    pub(super) fn dialled(
        &mut self,
        lane: LaneId,
        outcome: Result<(), DialError>,
        me: &Me<'_>,
        turn: &mut Turn<'_>,
    ) {
        let LaneId::Dialled(number) = lane else { return };
        let Some(it) = self.dialled.get_mut(&number) else {
            // Given up meanwhile.
            return turn.effect(Effect::Hang { lane });
        };
        match outcome {
            Ok(()) => {
                it.phase = Phase::Greeting;
                let hello = Message::Hello(me.hello(it.target));
                send(lane, &hello, Vec::new(), turn);
            }
            Err(DialError::Refused) => self.lost(number, Loss::Refused, turn.now.mono),
            Err(DialError::NoAnswer) => self.lost(number, Loss::NoAnswer, turn.now.mono),
        }
    }

    /// The server that was dialled accepts.
    pub(super) fn welcomed(&mut self, lane: LaneId, welcome: &Welcome, me: &Me<'_>, turn: &mut Turn<'_>) {
        let LaneId::Dialled(number) = lane else { return };
        let Some(it) = self.dialled.get_mut(&number).filter(|it| it.phase == Phase::Greeting) else {
            return self.hang(lane, turn);
        };
        let target = it.target;
        if welcome.server != target.server || !me.is_current(welcome.server, welcome.incarnation) {
            mark("a lane answered by an incarnation that is not the registered one");
            return self.hang(lane, turn);
        }
        it.phase = Phase::Open;
        if let Some(wanted) = self.targets.get_mut(&target) {
            wanted.backoff_ms = 0;
        }
        let quorum = QuorumSeen { epoch: welcome.quorum_epoch, leader: welcome.quorum_leader };
        self.news.push(LaneNews::Open { lane, target, incarnation: welcome.incarnation, quorum });
    }

    /// The server that was dialled refuses.
    pub(super) fn refused(&mut self, lane: LaneId, refused: &Refused, turn: &mut Turn<'_>) {
        if let Some(target) = self.target_of(lane) {
            turn.notice(format!("server {} refuses a lane: {}", target.server, refused.why));
        }
        self.hang(lane, turn);
    }

    /// A peer has dialled this shard.
    pub(super) fn accept(&mut self, lane: LaneId, hello: &Hello, me: &Me<'_>, turn: &mut Turn<'_>) {
        let LaneId::Accepted(number) = lane else { return };
        if let Err((reason, why)) = me.judge(hello) {
            mark("a lane was refused");
            let refused = Message::Refused(Refused::new(reason, &why));
            send(lane, &refused, Vec::new(), turn);
            return turn.effect(Effect::Hang { lane });
        }
        let from = Dialler {
            server: hello.server,
            shard: hello.shard,
            kind: hello.kind,
            incarnation: hello.incarnation,
            voter: hello.voter,
            window: hello.window,
        };
        let is_same = |it: &Dialler| (it.server, it.shard, it.kind) == (from.server, from.shard, from.kind);
        let older: Vec<u64> = self.accepted.iter().filter(|it| is_same(it.1)).map(|it| *it.0).collect();
        for older in older {
            mark("a peer dialled again before its old lane was gone");
            self.hang(LaneId::Accepted(older), turn);
        }
        self.accepted.insert(number, from);
        send(lane, &Message::Welcome(me.welcome()), Vec::new(), turn);
        let quorum = QuorumSeen { epoch: hello.quorum_epoch, leader: hello.quorum_leader };
        self.news.push(LaneNews::Accepted { lane, from, quorum });
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self, lane: LaneId, now: MonoNanos) {
        match lane {
            LaneId::Dialled(number) => self.lost(number, Loss::Closed, now),
            LaneId::Accepted(number) => {
                if let Some(from) = self.accepted.remove(&number) {
                    self.news.push(LaneNews::Left { lane, from });
                }
            }
        }
    }

    /// Every lane there is, in some phase.
    pub(super) fn all(&self) -> Vec<LaneId> {
        let dialled = self.dialled.keys().map(|number| LaneId::Dialled(*number));
        dialled.chain(self.accepted.keys().map(|number| LaneId::Accepted(*number))).collect()
    }

    /// This side ends the connection.
    pub(super) fn hang(&mut self, lane: LaneId, turn: &mut Turn<'_>) {
        turn.effect(Effect::Hang { lane });
        match lane {
            LaneId::Dialled(number) => self.lost(number, Loss::GivenUp, turn.now.mono),
            LaneId::Accepted(_) => self.closed(lane, turn.now.mono),
        }
    }

    pub(super) fn take_news(&mut self) -> Vec<LaneNews> {
        std::mem::take(&mut self.news)
    }

    fn lost(&mut self, number: u64, how: Loss, now: MonoNanos) {
        let Some(gone) = self.dialled.remove(&number) else { return };
        if let Some(wanted) = self.targets.get_mut(&gone.target) {
            wanted.lane = None;
        }
        self.later(gone.target, now);
        self.news.push(LaneNews::Lost { lane: LaneId::Dialled(number), target: gone.target, how });
    }

    /// Dials a target again after a while, each time a longer one.
    fn later(&mut self, target: Target, now: MonoNanos) {
        let (first, longest) = BACKOFF_MS;
        let jitter = self.rng.below(first);
        if let Some(wanted) = self.targets.get_mut(&target) {
            wanted.backoff_ms = (wanted.backoff_ms * 2).clamp(first, longest);
            wanted.at = now.plus_ms(wanted.backoff_ms + jitter);
        }
    }
}

/// Says something on a lane.
pub(super) fn send(lane: LaneId, message: &Message, payload: Vec<Payload>, turn: &mut Turn<'_>) {
    let bytes: usize = payload.iter().map(|piece| piece.len()).sum();
    let head = peer::encode(message, bytes);
    turn.effect(Effect::Send { lane, frame: OutFrame { head, payload } });
}
