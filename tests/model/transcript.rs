//! Golden transcripts: what one server's election does with its inputs, as text that reads as a specification.
//!
//! Each file under `transcripts/` begins with a comment that says what it specifies, then a line of setting, a line `---`, and
//! the script. A line of the script is one input to server 1; the lines with an arrow below are all that comes of it.
//! Logs are "epoch/end". `RINGMAIN_UPDATE=1` writes down what really happens; review that as a diff.
//!
//! ```text
//! voters 1 2 3, ballot 4 for 1, log 0/5     the setting: epoch 4, in which server 1 got its vote; "for nobody"
//! deadline                                  time passes until the next deadline
//! pass 100 ms                               time passes
//! written                                   the ballot is durable
//! flushed 1/7                               the own log ends there from now on
//! 2 asks real 5, log 0/5                    server 2 asks for a vote; `2 asks another`: it means an older voter id
//! 2 grants pre 5, log 0/5                   an answer; `refuses`; with `, knows 3 in 4` and `, registered 9`
//! 2 leads 5, heard 5, gone 5, 2 acks        of leaders
//! voters 1 2 at 7, cut 7, committed 8       of the log
//! resign, start                             it gives up; it dies and starts
//! ```

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use ringmain::base::{LeaderEpoch, LogEnd, MonoNanos, Offset, ServerId, Voter, VoterId};
use ringmain::quorum::{
    Ballot, Change, Message, Outcome, Quorum, Timers, VoteAnswer, VoteAsk, VoteKind, Voters, VotersLog,
};

struct Server {
    quorum: Quorum,
    file: Ballot,
    writing: Option<Ballot>,
    voters: VotersLog,
    log: LogEnd,
    now: MonoNanos,
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("a number: {word}"))
}

fn epoch(word: &str) -> LeaderEpoch {
    LeaderEpoch(number(word))
}

fn voter(word: &str) -> Voter {
    Voter { server: ServerId(number(word)), id: VoterId([1; 16]) }
}

fn set(words: &[&str]) -> Voters {
    Voters::new(words.iter().map(|word| voter(word))).unwrap()
}

fn log(word: &str) -> LogEnd {
    let (last, end) = word.split_once('/').unwrap_or_else(|| panic!("epoch/end: {word}"));
    LogEnd { last_epoch: epoch(last), end: Offset(number(end)) }
}

fn kind(word: &str) -> VoteKind {
    if word == "pre" { VoteKind::Pre } else { VoteKind::Real }
}

/// The words behind `name` in a line with commas.
fn part<'a>(line: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let found = line.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix(' '));
    found.map(|rest| rest.split(' ').collect())
}

impl Server {
    fn new(setting: &str) -> Server {
        let ballot = part(setting, "ballot").expect("ballot");
        let voted_for = (ballot[2] != "nobody").then(|| voter(ballot[2]));
        let file = Ballot { voter: VoterId([1; 16]), epoch: epoch(ballot[0]), voted_for };
        let words = part(setting, "voters").expect("voters");
        let voters = VotersLog::new(if words == ["nobody"] { Voters::default() } else { set(&words) });
        let (log, now) = (log(part(setting, "log").expect("log")[0]), MonoNanos(0));
        let quorum = Quorum::new(ServerId(1), file, voters.clone(), Timers::default(), 1, now);
        Server { quorum, file, writing: None, voters, log, now }
    }

    fn input(&mut self, line: &str) -> Outcome {
        let now = self.now;
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        match words[..] {
            ["deadline"] => {
                self.now = self.quorum.deadline();
                self.quorum.tick(self.now, self.log)
            }
            ["pass", ms, "ms"] => {
                self.now = now.plus_ms(number(ms));
                self.quorum.tick(self.now, self.log)
            }
            ["written"] => {
                self.file = self.writing.take().expect("a write is under way");
                self.quorum.persisted(now)
            }
            ["flushed", end] => {
                self.log = log(end);
                Outcome::default()
            }
            ["heard", heard] => self.quorum.leader_heard(now, epoch(heard)),
            ["gone", gone] => self.quorum.leader_gone(now, epoch(gone)),
            ["cut", end] => self.quorum.voters_truncated(now, Offset(number(end))),
            ["committed", end] => self.quorum.committed(now, Offset(number(end))),
            ["resign"] => self.quorum.resign(now),
            ["start"] => {
                let (id, voters) = (ServerId(1), self.voters.clone());
                self.quorum = Quorum::new(id, self.file, voters, Timers::default(), 1, now);
                self.writing = None;
                Outcome::default()
            }
            ["voters", ref servers @ .., "at", at] => {
                self.quorum.voters_appended(now, Offset(number(at)), set(servers))
            }
            [server, "acks"] => self.quorum.acked(now, voter(server)),
            [server, "leads", led] => self.quorum.leader_named(now, epoch(led), voter(server)),
            [server, "asks", ref rest @ ..] => self.asked(server, line, rest),
            [server, given @ ("grants" | "refuses"), of, round, ..] => {
                self.answered(line, server, given == "grants", (kind(of), epoch(round)))
            }
            _ => panic!("no input: {line}"),
        }
    }

    fn asked(&mut self, server: &str, line: &str, rest: &[&str]) -> Outcome {
        let another = rest[0] == "another";
        let rest = &rest[usize::from(another)..];
        let id = if another { VoterId([9; 16]) } else { VoterId([1; 16]) };
        let ask = VoteAsk {
            kind: kind(rest[0]),
            epoch: epoch(rest[1]),
            candidate: voter(server),
            asked: Voter { server: ServerId(1), id },
            log: log(part(line, "log").expect("log")[0]),
        };
        self.quorum.vote_asked(self.now, &ask, self.log)
    }

    fn answered(&mut self, line: &str, from: &str, granted: bool, round: (VoteKind, LeaderEpoch)) -> Outcome {
        let knows = part(line, "knows");
        let leader = knows.as_ref().filter(|words| words[0] != "nobody").map(|words| voter(words[0]));
        // Who answers a real vote is in its epoch; a pre-vote is for the next.
        let own = if round.0 == VoteKind::Real { round.1 } else { LeaderEpoch(round.1.0 - 1) };
        let answer = VoteAnswer {
            kind: round.0,
            epoch: round.1,
            from: voter(from),
            to: self.quorum.me(),
            granted,
            log: log(part(line, "log").expect("log")[0]),
            leader,
            leader_epoch: knows.as_ref().map_or(own, |words| epoch(words[2])),
        };
        let registered = part(line, "registered").map_or(Offset(-1), |words| Offset(number(words[0])));
        self.quorum.vote_answered(self.now, &answer, registered, self.log)
    }
}

fn message_text(message: &Message) -> String {
    let kind = |kind| if kind == VoteKind::Pre { "pre" } else { "real" };
    match message {
        Message::Ask(ask) => {
            let LogEnd { last_epoch, end } = ask.log;
            format!("asks {} {}, log {last_epoch}/{end}", kind(ask.kind), ask.epoch)
        }
        Message::Answer(answer) => {
            let given = if answer.granted { "grants" } else { "refuses" };
            let leader = answer.leader.map_or("nobody".to_owned(), |leader| leader.server.to_string());
            let LogEnd { last_epoch, end } = answer.log;
            let knows = format!("log {last_epoch}/{end}, knows {leader} in {}", answer.leader_epoch);
            format!("{given} {} {}, {knows}", kind(answer.kind), answer.epoch)
        }
        Message::Lead(lead) => format!("leads {}", lead.epoch),
    }
}

fn outcome_text(text: &mut String, outcome: &Outcome) {
    if let Some(ballot) = outcome.persist {
        let voted_for = ballot.voted_for.map_or("nobody".to_owned(), |it| it.server.to_string());
        writeln!(text, "  → write ballot {} for {voted_for}", ballot.epoch).unwrap();
    }
    for (to, message) in &outcome.send {
        writeln!(text, "  → to {}: {}", to.server, message_text(message)).unwrap();
    }
    match outcome.change {
        Some(Change::Lead { epoch }) => writeln!(text, "  → leads epoch {epoch}").unwrap(),
        Some(Change::Follow { epoch, leader }) => {
            writeln!(text, "  → follows {} in epoch {epoch}", leader.server).unwrap();
        }
        Some(Change::Unattached { epoch }) => {
            writeln!(text, "  → has no leader in epoch {epoch}").unwrap();
        }
        Some(Change::Resigned { epoch }) => writeln!(text, "  → has resigned from epoch {epoch}").unwrap(),
        None => {}
    }
}

fn play(text: &str) -> String {
    let (head, script) = text.split_once("---\n").expect("a line --- after the setting");
    let setting = head.lines().find(|line| !line.starts_with('#') && !line.is_empty()).expect("a setting");
    let mut server = Server::new(setting);
    let mut played = format!("{head}---\n");
    for line in script.lines().filter(|line| !line.starts_with("  →")) {
        writeln!(played, "{line}").unwrap();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let outcome = server.input(line);
        server.writing = outcome.persist.or(server.writing);
        if line == "deadline" {
            writeln!(played, "  → at {} ms", server.now.0 / 1_000_000).unwrap();
        }
        outcome_text(&mut played, &outcome);
    }
    played
}

#[test]
fn an_election_does_what_its_transcripts_say() {
    let _all = crate::RULES.read().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/transcripts");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("transcripts").map(|it| it.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut different = String::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        assert!(text.starts_with("# "), "{} says what it specifies", file.display());
        let played = play(&text);
        if std::env::var_os("RINGMAIN_UPDATE").is_some() {
            fs::write(&file, &played).expect("writable");
        } else if played != text {
            let line = text.lines().zip(played.lines()).position(|(it, is)| it != is).map_or(0, |it| it + 1);
            writeln!(different, "{} differs from line {line} on:\n{played}", file.display()).unwrap();
        }
    }
    assert!(different.is_empty(), "{different}RINGMAIN_UPDATE=1 writes down what happens now");
}
