//! Everything a command found out, for the terminal, as JSON and as a page.

mod page;
mod svg;
mod terminal;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::compare::{Row, Spread};
use crate::error::BenchError;
use crate::goals::Verdict;
use crate::machine::Machine;
use crate::model::Prediction;
use crate::outcome::{Outcome, Value};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub command: String,
    pub version: String,
    pub machine: Machine,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floor: Vec<Value>,
    /// Figures of a command that is not a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
    /// Figures of several brokers side by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Row>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judged: Vec<Judged>,
    /// Runs that came to nothing, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// What a scenario was held to: its goals, and what the floor predicts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    pub scenario: String,
    pub verdicts: Vec<Verdict>,
    pub predictions: Vec<Prediction>,
}

/// A run and its figures by name, which scripts look for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    #[serde(flatten)]
    pub outcome: Outcome,
    pub figures: Vec<Value>,
}

impl From<Outcome> for Run {
    fn from(outcome: Outcome) -> Run {
        let figures = outcome.values();
        Run { outcome, figures }
    }
}

impl Report {
    pub fn new(command: &str, dir: &Path) -> Report {
        Report {
            command: command.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Machine::this(dir),
            floor: vec![],
            figures: vec![],
            runs: vec![],
            comparisons: vec![],
            judged: vec![],
            failures: vec![],
        }
    }

    pub fn print(&self) {
        print!("{}", terminal::text(self));
    }

    pub fn write(&self, file: &Path) -> Result<(), BenchError> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text + "\n").map_err(BenchError::io("write the report"))
    }

    pub fn read(file: &Path) -> Result<Report, BenchError> {
        Ok(serde_json::from_str(&fs::read_to_string(file).map_err(BenchError::io("read a report"))?)?)
    }

    /// A page that needs nothing but itself.
    pub fn write_page(&self, file: &Path) -> Result<(), BenchError> {
        fs::write(file, page::html(self)).map_err(BenchError::io("write the page"))
    }

    /// Takes in what another report of this machine holds.
    pub fn absorb(&mut self, other: Report) {
        self.runs.extend(other.runs);
        self.comparisons.extend(other.comparisons);
        self.judged.extend(other.judged);
        self.failures.extend(other.failures);
        if self.floor.is_empty() {
            self.floor = other.floor;
        }
    }

    /// The median of a figure on the first peer that has it.
    pub fn first_median(&self, scenario: &str, figure: &str) -> Option<f64> {
        let first = self.runs.iter().find(|run| run.outcome.name == scenario)?.outcome.peer.clone();
        let of_first = |run: &&Run| run.outcome.name == scenario && run.outcome.peer == first;
        let values =
            self.runs.iter().filter(of_first).filter_map(|run| {
                run.figures.iter().find(|value| value.name == figure).map(|value| value.value)
            });
        Spread::of(&values.collect::<Vec<_>>()).map(|spread| spread.median)
    }

    /// An error if a goal was missed.
    pub fn missed(&self) -> Result<(), BenchError> {
        let verdicts = self.judged.iter().flat_map(|judged| &judged.verdicts);
        match verdicts.filter(|verdict| !verdict.met).count() {
            0 => Ok(()),
            count => Err(BenchError::Missed(count)),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::catalog::find;
    use crate::check::Checked;
    use crate::distribution::Distribution;
    use crate::outcome::{Part, PartName};
    use crate::stats::histogram;
    use crate::timeline::Step;
    use crate::usage::Usage;

    fn outcome(peer: &str, micros: u64) -> Outcome {
        let mut times = histogram();
        (1..=1000).for_each(|count| times.record(count * micros).expect("grows"));
        let step = |at: f64| Step {
            at,
            records_per_second: 10.0,
            megabytes_per_second: 100.0,
            p50: Some(50.0),
            p99: Some(99.0),
            max: None,
            stolen: 0.0,
        };
        let part = Part {
            name: PartName::Produce,
            seconds: 2.0,
            connections: 1,
            requests: 1000,
            records: 1000,
            bytes: 1_000_000,
            unanswered: 0,
            offered: None,
            latency: Distribution::of(&times, 1000),
            service: None,
            delay: None,
            beat_seconds: 1.0,
            steps: vec![step(0.0), step(1.0)],
        };
        Outcome {
            name: "f2".into(),
            peer: peer.into(),
            durability: "synced (flush.messages=1)".into(),
            scenario: find("f2").expect("is there").remove(0).scenario,
            parts: vec![part],
            checked: Some(Checked { acknowledged_records: 1000, read_records: 1000, compared_records: 1000 }),
            check: "as they arrived".into(),
            server: Some(Usage { seconds: 2.0, user_seconds: 1.0, ..Usage::default() }),
            server_syscalls: Some(4000),
            loader: Usage::default(),
            stolen: 0.0,
            others: vec![],
        }
    }

    /// A comparison of two peers.
    pub fn example() -> Report {
        let mut report = Report::new("compare", Path::new("."));
        let mut table = crate::compare::Table::default();
        for (peer, micros) in [("ringmain", 100), ("kafka", 300)] {
            let outcome = outcome(peer, micros);
            table.add(0, &outcome);
            report.runs.push(outcome.into());
        }
        let figures = ["produce latency p50".to_owned(), "server syscalls per request".to_owned()];
        report.comparisons = table.rows("f2", &figures, &["ringmain".to_owned(), "kafka".to_owned()]);
        let verdict =
            Verdict { goal: "≤ 0.45 x kafka".into(), figure: figures[0].clone(), value: 0.33, met: true };
        let judged = Judged { scenario: "f2".into(), verdicts: vec![verdict], predictions: vec![] };
        report.judged.push(judged);
        report
    }

    #[test]
    fn json_is_read_as_it_was_written() {
        let report = example();
        let text = serde_json::to_string(&report).expect("can be written");
        let again: Report = serde_json::from_str(&text).expect("can be read");
        assert_eq!(serde_json::to_string(&again).expect("can be written"), text);
        assert!(text.contains("\"figures\"") && report.missed().is_ok());
    }

    #[test]
    fn the_terminal_shows_medians_ratios_and_goals() {
        let text = terminal::text(&example());
        for expected in ["÷ kafka", "0.33", "4.00", "reached"] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }
}
