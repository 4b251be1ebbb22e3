//! Inputs of a follower, and what they cause.

use crate::base::{LeaderEpoch, Offset, ServerId, StreamNumber};
use crate::replication::{
    AfterCut, Counts, Cut, Ends, EpochEnd, Following, Gap, Kind, Leader, Opened, Outcome, Part, Phase,
    Replica, Room, Take,
};

use super::super::{START, at};
use super::{ends_after, number, numbers};

/// A follower with a log that has ends and epochs.
pub struct Player {
    following: Following,
    own: Ends,
    /// Where each epoch begins.
    epochs: Vec<(i32, i64)>,
    streams: u32,
    ms: u64,
}

impl Player {
    /// `follows server 1 in epoch 5 log 0 10 12 high-watermark 8 epochs 1 0 3 9`: epoch 1 from 0, 3 from 9.
    pub fn new(words: &[&str]) -> Player {
        let own = ends_after(words, "log");
        let starts = numbers(words, "epochs");
        let epochs: Vec<(i32, i64)> =
            starts.chunks(2).map(|it| (i32::try_from(it[0]).expect("an epoch"), it[1])).collect();
        let replica = Replica {
            own,
            high_watermark: Offset(number(words, "high-watermark").expect("a high watermark")),
            agreed: LeaderEpoch(epochs.last().map_or(-1, |(epoch, _)| *epoch)),
            kind: Kind::User,
            counts: Counts::Flushed,
            room: Room::Enough,
        };
        let following = Following::new(leader(words), replica);
        Player { following, own, epochs, streams: 0, ms: 0 }
    }

    fn end_of(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        let at = self.epochs.iter().rposition(|(own, _)| *own <= epoch.0)?;
        let end = self.epochs.get(at + 1).map_or(self.own.log_end, |(_, start)| Offset(*start));
        Some(EpochEnd { epoch: LeaderEpoch(self.epochs[at].0), end })
    }

    fn open(&mut self) -> Vec<String> {
        if !self.following.wants_stream(at(self.ms)) {
            return vec![format!("asks nobody: {}", phase(self.following.phase()))];
        }
        self.streams += 1;
        let last_epoch = LeaderEpoch(self.epochs.last().map_or(-1, |(epoch, _)| *epoch));
        let ask = self.following.open(StreamNumber(self.streams), last_epoch);
        let server = self.following.leader_server();
        let log = format!("log of epoch {} ends at {}", ask.log.last_epoch, ask.log.end);
        vec![format!("asks server {server} for stream {} in epoch {}: {log}", self.streams, ask.epoch)]
    }

    fn answered(&mut self, words: &[&str]) -> Vec<String> {
        let numbers = numbers(words, words[2]);
        let offset = |at: usize| Offset(numbers[at]);
        let epoch = |at: usize| LeaderEpoch(i32::try_from(numbers[at]).expect("an epoch"));
        let outcome = match words[2] {
            "fenced" => Outcome::Fenced { current: epoch(0) },
            "not-yet" => Outcome::NotYet,
            "refused" => Outcome::Refused,
            "from" => Outcome::From { next: offset(0) },
            "diverging" => Outcome::Diverging { epoch: epoch(0), end: offset(1) },
            "begin" => Outcome::Begin { at: offset(0), epoch_before: epoch(1) },
            other => panic!("no outcome: {other}"),
        };
        let high_watermark = Offset(number(words, "high-watermark").unwrap_or(0));
        let stream = StreamNumber(number(words, "stream").expect("a stream"));
        let own = |epoch| self.end_of(epoch);
        let answer = Opened { outcome, high_watermark, log_start: Offset(0) };
        let before = self.following.clone();
        let mut following = before.clone();
        let next = following.opened(stream, answer, own, at(self.ms));
        self.following = following;
        let told = next.map_or_else(|refusal| format!("refused: {refusal}"), phase);
        self.with_watermark(before.high_watermark(), vec![told])
    }

    fn appended(&mut self, words: &[&str]) -> Vec<String> {
        let run = numbers(words, "run");
        let (base, end) = match run[..] {
            [base, end] => (Offset(base), Offset(end)),
            _ => (self.own.log_end, self.own.log_end),
        };
        let part = Part {
            base,
            end,
            bytes: u32::from(base != end),
            gap: Gap::None,
            high_watermark: Offset(number(words, "high-watermark").unwrap_or(0)),
            log_start: Offset(number(words, "log-start").unwrap_or(0)),
        };
        let stream = StreamNumber(number(words, "stream").expect("a stream"));
        let before = self.following.high_watermark();
        let told = match self.following.appended(stream, &part, at(self.ms)) {
            Ok(Take::Run) => {
                self.own.log_end = end;
                self.following.local(self.own);
                vec![format!("log ends at {end}")]
            }
            Ok(_) => Vec::new(),
            Err(refusal) => vec![format!("refused: {refusal}")],
        };
        self.with_watermark(before, told)
    }

    fn cut(&mut self) -> Vec<String> {
        let Phase::Truncating(cut) = self.following.phase() else { return vec!["nothing to cut".to_owned()] };
        match cut {
            Cut::To(end) => {
                self.epochs.retain(|(_, start)| *start < end.0);
                self.own = Ends { flushed: self.own.flushed.min(end), log_end: end, ..self.own };
            }
            Cut::All { begin, epoch } => {
                self.epochs = vec![(epoch.0, begin.0)];
                self.own = Ends { log_start: begin, flushed: begin, log_end: begin };
            }
        }
        let before = self.following.high_watermark();
        let told = match self.following.cut_done(self.own) {
            AfterCut::Open => phase(self.following.phase()),
            AfterCut::Lead(epoch) => format!("leads in epoch {epoch}"),
        };
        self.with_watermark(before, vec![told])
    }

    fn with_watermark(&self, before: Offset, mut told: Vec<String>) -> Vec<String> {
        if self.following.high_watermark() != before {
            told.push(format!("high watermark {}", self.following.high_watermark()));
        }
        told
    }
}

fn leader(words: &[&str]) -> Leader {
    Leader {
        epoch: LeaderEpoch(number(words, "epoch").expect("an epoch")),
        server: ServerId(number(words, "server").expect("a server")),
        unclean_epoch: LeaderEpoch(number(words, "unclean").unwrap_or(-1)),
    }
}

fn phase(phase: Phase) -> String {
    match phase {
        Phase::Opening => "is to ask".to_owned(),
        Phase::Truncating(Cut::To(end)) => format!("cuts its log to {end}"),
        Phase::Truncating(Cut::All { begin, epoch }) | Phase::Installing(Cut::All { begin, epoch }) => {
            format!("empties its log, begins at {begin} behind epoch {epoch}")
        }
        Phase::Installing(Cut::To(_)) => "installs nothing".to_owned(),
        Phase::Streaming { next } => format!("streams from {next}"),
        Phase::Waiting { until } => format!("waits until {} ms", until.since(START) / 1_000_000),
        Phase::Paused => "waits for disk".to_owned(),
        Phase::Diverged => "diverged, keeps its log".to_owned(),
    }
}

impl super::Player for Player {
    fn play(&mut self, words: &[&str]) -> Vec<String> {
        let before = self.following.high_watermark();
        match words[0] {
            "pass" => {
                self.ms += number::<u64>(words, "pass").expect("milliseconds");
                Vec::new()
            }
            "open" => self.open(),
            "stream" if words[2] == "run" || words[2] == "news" => self.appended(words),
            "stream" => self.answered(words),
            "flushed" => {
                self.own.flushed = self.own.log_end;
                self.own.log_start = self.following.wanted_start().unwrap_or(self.own.log_start);
                self.following.local(self.own);
                let start = format!("log starts at {}", self.own.log_start);
                let told = if self.own.log_start > Offset(0) { vec![start] } else { Vec::new() };
                self.with_watermark(before, told)
            }
            "ack" => match self.following.ack(self.own.log_start) {
                Some(ends) => vec![format!("acks {} {} {}", ends.log_start, ends.flushed, ends.log_end)],
                None => vec!["nothing to say".to_owned()],
            },
            "cut" => self.cut(),
            "leader" => {
                self.following.renewed(leader(words));
                vec![phase(self.following.phase())]
            }
            "elected" => {
                let epoch = LeaderEpoch(number(words, "epoch").expect("an epoch"));
                let at_once = self.following.elected(epoch);
                vec![if at_once { "leads".to_owned() } else { "finishes the cut first".to_owned() }]
            }
            "lane-lost" => {
                self.following.lane_lost();
                vec![phase(self.following.phase())]
            }
            "disk" => {
                let room = if words[1] == "low" { Room::Low } else { Room::Enough };
                let closed =
                    self.following.has_room(room).map(|stream| format!("closes stream {}", stream.0));
                closed.into_iter().chain([phase(self.following.phase())]).collect()
            }
            other => panic!("no input of a follower: {other}"),
        }
    }
}
