//! Whatever comes in whatever order: nothing panics, and the rules about one server's own file are kept.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

mod transcript;

use crate::base::{LeaderEpoch, LogEnd, MonoNanos, Offset, ServerId, Voter, VoterId};

const ME: Voter = Voter { server: ServerId(1), id: VoterId([1; 16]) };

#[derive(Clone, Debug)]
enum Input {
    /// Time passes, perhaps until the deadline only.
    Tick(u64),
    Deadline,
    Asked(VoteAsk),
    Answered(VoteAnswer, Offset),
    Named(LeaderEpoch, Voter),
    Heard(LeaderEpoch),
    Gone(LeaderEpoch),
    Acked(Voter),
    Appended(Offset, Vec<i32>),
    Truncated(Offset),
    Committed(Offset),
    Persisted,
    Resign,
    Start,
}

fn voters() -> impl Strategy<Value = Voter> {
    prop_oneof![
        6 => (0..5_i32, Just(1)),
        1 => (0..5_i32, Just(2)),
        1 => (any::<i32>(), any::<u8>()),
    ]
    .prop_map(|(server, id)| Voter { server: ServerId(server), id: VoterId([id; 16]) })
}

fn epochs() -> impl Strategy<Value = LeaderEpoch> {
    prop_oneof![20 => 0..8_i32, 1 => any::<i32>(), 1 => Just(i32::MIN), 1 => (i32::MAX - 2)..=i32::MAX]
        .prop_map(LeaderEpoch)
}

fn offsets() -> impl Strategy<Value = Offset> {
    prop_oneof![10 => 0..10_i64, 1 => any::<i64>()].prop_map(Offset)
}

fn logs() -> impl Strategy<Value = LogEnd> {
    (epochs(), offsets()).prop_map(|(last_epoch, end)| LogEnd { last_epoch, end })
}

fn kinds() -> impl Strategy<Value = VoteKind> {
    prop_oneof![Just(VoteKind::Pre), Just(VoteKind::Real)]
}

fn asks() -> impl Strategy<Value = VoteAsk> {
    let asked = prop_oneof![4 => Just(ME), 1 => voters()];
    (kinds(), epochs(), voters(), asked, logs()).prop_map(|(kind, epoch, candidate, asked, log)| VoteAsk {
        kind,
        epoch,
        candidate,
        asked,
        log,
    })
}

fn answers() -> impl Strategy<Value = VoteAnswer> {
    let to = prop_oneof![4 => Just(ME), 1 => voters()];
    let knows = (proptest::option::weighted(0.3, voters()), epochs());
    (kinds(), epochs(), voters(), to, any::<bool>(), logs(), knows).prop_map(
        |(kind, epoch, from, to, granted, log, (leader, leader_epoch))| VoteAnswer {
            kind,
            epoch,
            from,
            to,
            granted,
            log,
            leader,
            leader_epoch,
        },
    )
}

fn inputs() -> impl Strategy<Value = Input> {
    let servers = proptest::collection::btree_set(0..5_i32, 1..5);
    prop_oneof![
        2 => (0..3_000_u64).prop_map(Input::Tick),
        4 => Just(Input::Deadline),
        8 => asks().prop_map(Input::Asked),
        8 => (answers(), offsets()).prop_map(|(answer, at)| Input::Answered(answer, at)),
        2 => (epochs(), voters()).prop_map(|(epoch, leader)| Input::Named(epoch, leader)),
        1 => epochs().prop_map(Input::Heard),
        1 => epochs().prop_map(Input::Gone),
        1 => voters().prop_map(Input::Acked),
        1 => (offsets(), servers).prop_map(|(at, servers)| {
            Input::Appended(at, servers.into_iter().collect())
        }),
        1 => offsets().prop_map(Input::Truncated),
        1 => offsets().prop_map(Input::Committed),
        6 => Just(Input::Persisted),
        1 => Just(Input::Resign),
        1 => Just(Input::Start),
    ]
}

fn set(servers: &[i32]) -> Voters {
    let voters = servers.iter().map(|server| Voter { server: ServerId(*server), id: VoterId([1; 16]) });
    Voters::new(voters).unwrap()
}

/// The server with its file, and what it has given away.
struct Server {
    quorum: Quorum,
    file: Ballot,
    writing: Option<Ballot>,
    now: MonoNanos,
    /// Who got its vote, as others were told: itself when it asked for votes.
    votes: BTreeMap<LeaderEpoch, Voter>,
    leads: Option<LeaderEpoch>,
}

impl Server {
    fn start(file: Ballot, now: MonoNanos) -> Quorum {
        let voters = VotersLog::new(set(&[1, 2, 3]));
        Quorum::new(ME.server, file, voters, Timers::default(), 5, now)
    }

    fn input(&mut self, input: &Input, log: LogEnd) {
        let now = self.now;
        let outcome = match input {
            Input::Tick(ms) => {
                self.now = now.plus_ms(*ms);
                self.quorum.tick(self.now, log)
            }
            Input::Deadline if self.quorum.deadline() == MonoNanos::NEVER => return,
            Input::Deadline => {
                self.now = self.quorum.deadline().max(now);
                self.quorum.tick(self.now, log)
            }
            Input::Asked(ask) => self.quorum.vote_asked(now, ask, log),
            Input::Answered(answer, at) => self.quorum.vote_answered(now, answer, *at, log),
            Input::Named(epoch, leader) => self.quorum.leader_named(now, *epoch, *leader),
            Input::Heard(epoch) => self.quorum.leader_heard(now, *epoch),
            Input::Gone(epoch) => self.quorum.leader_gone(now, *epoch),
            Input::Acked(voter) => self.quorum.acked(now, *voter),
            Input::Appended(at, servers) => self.quorum.voters_appended(now, *at, set(servers)),
            Input::Truncated(end) => self.quorum.voters_truncated(now, *end),
            Input::Committed(end) => self.quorum.committed(now, *end),
            Input::Resign => self.quorum.resign(now),
            Input::Persisted => {
                let Some(file) = self.writing.take() else { return };
                self.file = file;
                self.quorum.persisted(now)
            }
            Input::Start => {
                // Whether a write that was under way has ended is seen by what the file holds.
                self.quorum = Server::start(self.file, now);
                (self.writing, self.leads) = (None, None);
                return;
            }
        };
        self.performs(outcome);
    }

    fn performs(&mut self, outcome: Outcome) {
        if let Some(ballot) = outcome.persist {
            assert_eq!(self.writing, None, "one write at a time");
            assert!(ballot.epoch >= self.file.epoch, "epochs never go back");
            self.writing = Some(ballot);
        }
        assert!(outcome.send.len() <= 64, "{}", outcome.send.len());
        for (to, message) in outcome.send {
            assert_ne!(to, ME);
            match message {
                Message::Ask(ask) if ask.kind == VoteKind::Real => self.votes_for(ask.epoch, ME),
                Message::Answer(answer) if answer.kind == VoteKind::Real && answer.granted => {
                    self.votes_for(answer.epoch, answer.to);
                }
                Message::Lead(lead) => assert_eq!(Some(lead.epoch), self.leads.or(leads(outcome.change))),
                Message::Ask(_) | Message::Answer(_) => {}
            }
        }
        if let Some(change) = outcome.change {
            self.leads = leads(outcome.change);
            match change {
                Change::Lead { epoch } => {
                    assert_eq!((self.file.epoch, self.file.voted_for), (epoch, Some(ME)), "rule Q1");
                    self.votes_for(epoch, ME);
                }
                Change::Follow { epoch, leader } => {
                    assert_eq!(self.file.epoch, epoch, "rule Q1");
                    assert_ne!(leader, ME);
                }
                Change::Unattached { .. } | Change::Resigned { .. } => {}
            }
        }
    }

    fn votes_for(&mut self, epoch: LeaderEpoch, candidate: Voter) {
        assert_eq!((self.file.epoch, self.file.voted_for), (epoch, Some(candidate)), "rule Q1");
        assert_eq!(*self.votes.entry(epoch).or_insert(candidate), candidate, "rule Q2");
    }
}

fn leads(change: Option<Change>) -> Option<LeaderEpoch> {
    match change {
        Some(Change::Lead { epoch }) => Some(epoch),
        _ => None,
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_survived(steps in proptest::collection::vec((inputs(), logs()), 1..120)) {
        let (file, now) = (Ballot::new(ME.id), MonoNanos(0));
        let quorum = Server::start(file, now);
        let (writing, votes, leads) = (None, BTreeMap::new(), None);
        let mut server = Server { quorum, file, writing, now, votes, leads };
        for (input, log) in &steps {
            server.input(input, *log);
        }
    }

    #[test]
    fn any_bytes_are_a_ballot_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(ballot) = Ballot::decode(&bytes) {
            assert_eq!(ballot.encode(), bytes);
        }
    }
}

/// What is behind a snapshot counts by the snapshot's epoch (rule D4).
#[test]
fn a_log_behind_a_snapshot_is_compared_by_its_epoch() {
    let installed = log_end(None, Some(LeaderEpoch(7)), Offset(1_000));
    let behind = log_end(Some(LeaderEpoch(3)), None, Offset(200));
    let ahead = log_end(Some(LeaderEpoch(7)), Some(LeaderEpoch(7)), Offset(1_001));
    assert!(behind < installed && installed < ahead);
    assert_eq!(log_end(None, None, Offset(0)), LogEnd::EMPTY);
}
