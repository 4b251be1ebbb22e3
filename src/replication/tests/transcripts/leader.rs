//! Inputs of a leader, and what they cause.

use crate::base::{BrokerEpoch, LeaderEpoch, Offset, PartitionEpoch, ServerId};
use crate::replication::{
    Assignment, Counts, IsrAnswer, IsrAsk, Leading, Member, Moved, Sender, Servers, Verdict,
};

use super::super::{LAG_MS, at};
use super::{ends_after, number, numbers};

/// A leader, server 1, with broker epochs of ten times the server.
pub struct Player {
    leading: Leading,
    ms: u64,
}

impl Player {
    /// `leads epoch 5 log 0 10 10 high-watermark 8`, and an image.
    pub fn new(words: &[&str]) -> Player {
        let epoch = LeaderEpoch(number(words, "epoch").expect("an epoch"));
        let high_watermark = Offset(number(words, "high-watermark").expect("a high watermark"));
        let own = ends_after(words, "log");
        Player { leading: Leading::new(epoch, own, high_watermark, image(words), at(0)), ms: 0 }
    }

    fn moved(&self, moved: Moved) -> Vec<String> {
        let mut told = Vec::new();
        if moved.high_watermark {
            told.push(format!("high watermark {}", self.leading.high_watermark()));
        }
        if moved.settled {
            told.push("settled".to_owned());
        }
        told
    }
}

/// `image partition-epoch 7 isr 1 2 followers 2 3 minimum 2`; with `stopping 3` and `restarted 3`.
fn image(words: &[&str]) -> Assignment {
    let ids =
        |name| numbers(words, name).into_iter().map(|id| ServerId(i32::try_from(id).expect("a server")));
    let has = |name, server| ids(name).any(|it| it == server);
    let member = |server: ServerId| Member {
        server,
        broker_epoch: BrokerEpoch(i64::from(server.0) * 10 + i64::from(has("restarted", server))),
        may_join: !has("stopping", server),
    };
    Assignment {
        me: ServerId(1),
        broker_epoch: BrokerEpoch(10),
        partition_epoch: PartitionEpoch(number(words, "partition-epoch").expect("a partition epoch")),
        isr: ids("isr").collect::<Servers>(),
        followers: ids("followers").map(member).collect(),
        min_isr: number(words, "minimum").expect("a minimum"),
        counts: Counts::Flushed,
    }
}

impl super::Player for Player {
    fn play(&mut self, words: &[&str]) -> Vec<String> {
        let now = at(self.ms);
        match words[0] {
            "pass" => {
                self.ms += number::<u64>(words, "pass").expect("milliseconds");
                Vec::new()
            }
            "local" => {
                let moved = self.leading.local(ends_after(words, "local"));
                self.moved(moved)
            }
            "server" => {
                let server = number(words, "server").expect("a server");
                let from = Sender {
                    server: ServerId(server),
                    broker_epoch: BrokerEpoch(
                        number(words, "broker-epoch").unwrap_or(i64::from(server) * 10),
                    ),
                    leader_epoch: number(words, "epoch").map_or(self.leading.epoch(), LeaderEpoch),
                };
                let said = if words.contains(&"opens") {
                    self.leading.opened(from, ends_after(words, "opens"), now)
                } else if words.contains(&"acks") {
                    self.leading.acked(from, ends_after(words, "acks"), now)
                } else {
                    self.leading.heard(from.server, now);
                    Ok(Moved::NOTHING)
                };
                said.map_or_else(|refused| vec![format!("refused: {refused}")], |moved| self.moved(moved))
            }
            "stopped" => {
                let ms: u64 = number(words, "for").expect("milliseconds");
                self.ms += ms;
                self.leading.paused(ms * 1_000_000);
                Vec::new()
            }
            "image" => {
                let moved = self.leading.reassigned(image(words), now);
                self.moved(moved)
            }
            "isr" => {
                let own_lag_ms = number(words, "own-lag").unwrap_or(0);
                let asked = self.leading.wanted_isr(now, LAG_MS, own_lag_ms);
                let slow = self.leading.lags_itself().then(|| "lags itself".to_owned());
                asked.iter().map(shown).chain(slow).collect()
            }
            "answer" => {
                let number = number(words, "answer").expect("a number");
                let verdict = verdict(words[2]);
                let moved = self.leading.isr_answered(IsrAnswer { number, verdict });
                let waits = format!("waits for {:?}", self.leading.maximal_isr().collect::<Servers>());
                self.moved(moved).into_iter().chain([waits]).collect()
            }
            "show" => {
                let leading = &self.leading;
                let isr = leading.maximal_isr().collect::<Servers>();
                let may = if leading.can_acknowledge() { "may acknowledge" } else { "has no minimum" };
                let settled = if leading.is_settled() { "settled" } else { "not settled" };
                vec![format!(
                    "high watermark {}, {settled}, waits for {isr:?}, {may}, start named up to {}",
                    leading.high_watermark(),
                    leading.named_start()
                )]
            }
            other => panic!("no input of a leader: {other}"),
        }
    }
}

fn shown(ask: &IsrAsk) -> String {
    let isr: Servers = ask.isr.iter().map(|(server, _)| *server).collect();
    let IsrAsk { number, leader_epoch, partition_epoch, .. } = ask;
    format!("asks {number}: isr {isr:?}, of epochs {leader_epoch} and {partition_epoch}")
}

fn verdict(word: &str) -> Verdict {
    match word {
        "decided" => Verdict::Decided { partition_epoch: PartitionEpoch(0) },
        "same" => Verdict::SameAlready,
        "ineligible" => Verdict::Ineligible,
        "stale" => Verdict::StaleEpoch,
        other => panic!("no verdict: {other}"),
    }
}
