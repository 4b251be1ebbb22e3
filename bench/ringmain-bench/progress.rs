//! One line on standard error for each beat of a run, so that who waits sees what happens.

use crate::outcome::PartName;
use crate::stats::Beat;
use crate::timeline::{Step, Timeline};

pub struct Progress {
    title: String,
    /// The beat that has not been shown yet.
    next: u64,
}

const PARTS: [PartName; 3] = [PartName::Produce, PartName::EndToEnd, PartName::Fetch];

impl Progress {
    pub fn new(name: &str, peer: &str) -> Progress {
        Progress { title: format!("{name} on {peer}"), next: 0 }
    }

    /// A thread's beat has ended. What is before it has ended for all threads but those that are stuck.
    pub fn beat(&mut self, beat: &Beat, timelines: &[Timeline; 3], beat_seconds: f64) {
        let number = beat.number;
        if number == u64::MAX || number < self.next + 1 {
            return;
        }
        self.next = number;
        let Ok(before) = usize::try_from(number - 1) else { return };
        let steps = PARTS.iter().zip(timelines).filter_map(|(part, timeline)| {
            let step = timeline.step(before, beat_seconds)?;
            Some(format!("{} {}", part.text(), line(&step)))
        });
        let line: Vec<String> = steps.collect();
        eprintln!(
            "{} {:>4.0} s  {}",
            self.title,
            crate::distribution::to_f64(number) * beat_seconds,
            line.join("  |  ")
        );
    }
}

fn line(step: &Step) -> String {
    let latency = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    format!(
        "{:.1} MB/s, {:.0} records/s, p50 {} us, p99 {} us",
        step.megabytes_per_second,
        step.records_per_second,
        latency(step.p50),
        latency(step.p99)
    )
}
