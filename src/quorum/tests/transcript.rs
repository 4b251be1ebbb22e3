//! Golden transcripts: elections as text that reads as a specification.
//!
//! Each file under `transcripts/` begins with a comment that says what it specifies. A line is something that happens; the lines
//! with an arrow below are what the server it happens to does, in order. `RINGMAIN_UPDATE=1` writes down what really happens;
//! review that as a diff.
//!
//! | line | what happens |
//! |---|---|
//! | `voters 1,2,3` | servers start for the first time, each with these voters in its log |
//! | `log 1 7@20` | server 1's log ends with a batch of epoch 7, at offset 20, flushed |
//! | `due 1` | time passes until server 1's next deadline |
//! | `pass 100` | so many milliseconds pass, and nobody looks at a clock |
//! | `disk 1` | the ballot that server 1 writes is durable |
//! | `net 1-2` | the oldest message from server 1 to server 2 arrives |
//! | `lost 1-2` | it does not |
//! | `hears 2`, `gone 2` | server 2 has a frame of the leader it follows, or sees its connection closed |
//! | `ack 1 2` | server 1 has an ack of server 2 |
//! | `start 1` | server 1's process is killed and started: what was not durable is forgotten |
//! | `record 1 30 1,2` | a VotersRecord is in server 1's log, at offset 30 |
//! | `cut 1 30`, `committed 1 31` | server 1's log is cut there, or its high watermark is there |
//! | `resign 1` | server 1 stops in an orderly way |

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::*;

const EFFECT: &str = "  → ";

#[test]
fn elections_go_as_their_transcripts_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/quorum/tests/transcripts");
    let files = std::fs::read_dir(&folder).expect("transcripts").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    assert!(!files.is_empty(), "transcripts are beside the code that plays them");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        assert!(text.starts_with("# "), "{} says what it specifies", file.display());
        let played = play(&text);
        if std::env::var_os("RINGMAIN_UPDATE").is_some() {
            std::fs::write(&file, &played).expect("writable");
        } else {
            assert_eq!(played, text, "{}: RINGMAIN_UPDATE=1 writes down what happens now", file.display());
        }
    }
}

fn play(text: &str) -> String {
    let mut played = String::new();
    let mut world = World::default();
    for line in text.lines().filter(|line| !line.starts_with(EFFECT)) {
        writeln!(played, "{line}").expect("memory");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for effect in world.step(line) {
            writeln!(played, "{EFFECT}{effect}").expect("memory");
        }
    }
    played
}

struct Member {
    quorum: Quorum,
    voters: VotersLog,
    /// Durable.
    file: Ballot,
    writing: Option<Ballot>,
    log: LogEnd,
}

#[derive(Default)]
struct World {
    now: u64,
    members: BTreeMap<i32, Member>,
    net: BTreeMap<(i32, i32), VecDeque<Message>>,
}

impl World {
    fn step(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<i32>().expect("a number");
        let offset = |at: usize| Offset(words[at].parse().expect("an offset"));
        let list =
            |at: usize| words[at].split(',').map(|it| it.parse().expect("a server")).collect::<Vec<i32>>();
        match words[0] {
            "voters" => {
                list(1).iter().for_each(|server| self.make(*server, &list(1)));
                Vec::new()
            }
            "log" => {
                let (epoch, end) = words[2].split_once('@').expect("epoch@end");
                self.member(number(1)).log = LogEnd {
                    last_epoch: LeaderEpoch(epoch.parse().expect("an epoch")),
                    end: Offset(end.parse().expect("an offset")),
                };
                Vec::new()
            }
            "due" => {
                let deadline = self.member(number(1)).quorum.deadline();
                assert_ne!(deadline, MonoNanos::NEVER, "{line}: it waits for nothing");
                self.now = self.now.max(deadline.0);
                self.to(number(1), |member, now| member.quorum.tick(now, member.log))
            }
            "pass" => {
                self.now = MonoNanos(self.now).plus_ms(words[1].parse().expect("milliseconds")).0;
                Vec::new()
            }
            "disk" => self.to(number(1), |member, now| {
                member.file = member.writing.take().expect("it writes");
                member.quorum.persisted(now)
            }),
            "net" => self.arrives(words[1]),
            "lost" => {
                _ = self.message(words[1]);
                Vec::new()
            }
            "hears" => {
                self.to(number(1), |member, now| member.quorum.leader_heard(now, member.quorum.epoch()))
            }
            "gone" => self.to(number(1), |member, now| member.quorum.leader_gone(now, member.quorum.epoch())),
            "ack" => self.to(number(1), |member, now| member.quorum.acked(now, voter(number(2)))),
            "start" => {
                let (server, now) = (number(1), MonoNanos(self.now));
                let member = self.member(server);
                member.writing = None;
                member.quorum = started(server, member.file, member.voters.clone(), now);
                Vec::new()
            }
            "record" => self.to(number(1), |member, now| {
                member.voters.appended(offset(2), set(&list(3)));
                member.quorum.voters_appended(now, offset(2), set(&list(3)))
            }),
            "cut" => self.to(number(1), |member, now| {
                member.voters.truncated(offset(2));
                member.quorum.voters_truncated(now, offset(2))
            }),
            "committed" => self.to(number(1), |member, now| member.quorum.committed(now, offset(2))),
            "resign" => self.to(number(1), |member, now| member.quorum.resign(now)),
            other => panic!("no word of transcripts: {other}"),
        }
    }

    fn make(&mut self, server: i32, voters: &[i32]) {
        let (voters, file) = (VotersLog::new(set(voters)), Ballot::new(voter(server).id));
        let quorum = started(server, file, voters.clone(), MonoNanos(self.now));
        self.members.insert(server, Member { quorum, voters, file, writing: None, log: LogEnd::EMPTY });
    }

    fn member(&mut self, server: i32) -> &mut Member {
        self.members.get_mut(&server).expect("it was started")
    }

    fn message(&mut self, pair: &str) -> (i32, Message) {
        let (from, to) = pair.split_once('-').expect("from-to");
        let [from, to] = [from, to].map(|it| it.parse::<i32>().expect("a server"));
        (to, self.net.entry((from, to)).or_default().pop_front().expect("it is on its way"))
    }

    fn arrives(&mut self, pair: &str) -> Vec<String> {
        let (to, message) = self.message(pair);
        self.to(to, |member, now| match &message {
            Message::Ask(ask) => member.quorum.vote_asked(now, ask, member.log),
            Message::Answer(answer) => member.quorum.vote_answered(now, answer, Offset(-1), member.log),
            Message::Lead(lead) => member.quorum.leader_named(now, lead.epoch, lead.leader),
        })
    }

    fn to(&mut self, server: i32, what: impl FnOnce(&mut Member, MonoNanos) -> Outcome) -> Vec<String> {
        let now = MonoNanos(self.now);
        let member = self.member(server);
        let outcome = what(member, now);
        let mut said = Vec::new();
        if let Some(ballot) = outcome.persist {
            assert_eq!(member.writing.replace(ballot), None, "one write at a time");
            let vote = ballot.voted_for.map_or("no vote".into(), |it| format!("vote for {}", it.server));
            said.push(format!("writes epoch {}, {vote}", ballot.epoch.0));
        }
        for (to, message) in outcome.send {
            said.push(format!("to {}: {}", to.server, shown(&message)));
            self.net.entry((server, to.server.0)).or_default().push_back(message);
        }
        said.extend(outcome.change.map(|change| match change {
            Change::Lead { epoch } => format!("leads epoch {}", epoch.0),
            Change::Follow { epoch, leader } => format!("follows {} in epoch {}", leader.server, epoch.0),
            Change::Unattached { epoch } => format!("knows no leader of epoch {}", epoch.0),
            Change::Resigned { epoch } => format!("has resigned in epoch {}", epoch.0),
        }));
        said
    }
}

fn voter(server: i32) -> Voter {
    Voter { server: ServerId(server), id: VoterId([1; 16]) }
}

fn started(server: i32, file: Ballot, voters: VotersLog, now: MonoNanos) -> Quorum {
    let seed = u64::try_from(server).expect("a server");
    Quorum::new(ServerId(server), file, voters, Timers::default(), seed, now)
}

fn shown(message: &Message) -> String {
    match message {
        Message::Ask(ask) => {
            let kind = if ask.kind == VoteKind::Pre { "would you vote" } else { "vote" };
            format!("{kind} for {} in epoch {}? ({})", ask.candidate.server, ask.epoch.0, end(ask.log))
        }
        Message::Answer(answer) => {
            let said = if answer.granted { "yes" } else { "no" };
            let leader = answer.leader.map_or("nobody".into(), |it| it.server.to_string());
            format!(
                "{said} for epoch {}; epoch {} is led by {leader} ({})",
                answer.epoch.0,
                answer.leader_epoch.0,
                end(answer.log)
            )
        }
        Message::Lead(lead) => format!("I lead epoch {}", lead.epoch.0),
    }
}

fn end(log: LogEnd) -> String {
    format!("{}@{}", log.last_epoch.0, log.end.0)
}
