//! What happened second by second: beats of all threads, merged. Pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::distribution::to_f64;
use crate::stats::Beat;

/// One step of a part's time line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins, in seconds since the load began.
    pub at: f64,
    pub records_per_second: f64,
    pub megabytes_per_second: f64,
    /// Microseconds; nothing where nothing was answered.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
    /// Share of the machine's processor time that its host gave to others.
    #[serde(default)]
    pub stolen: f64,
}

impl Step {
    /// Whether the machine had its processors to itself: with more stolen, a step says more of the neighbours than of the
    /// broker.
    pub fn is_undisturbed(&self) -> bool {
        const STOLEN_MAX: f64 = 0.025;
        self.stolen <= STOLEN_MAX
    }
}

/// Beats of one part, by number.
#[derive(Debug, Default)]
pub struct Timeline {
    beats: Vec<Merged>,
}

#[derive(Clone, Debug, Default)]
struct Merged {
    records: u64,
    bytes: u64,
    latency: Option<Histogram<u64>>,
}

impl Timeline {
    pub fn add(&mut self, beat: &Beat) {
        let Ok(number) = usize::try_from(beat.number) else { return };
        // Bounded: a run has a few hundred beats, and a drain of a minute.
        const NUMBER_MAX: usize = 100_000;
        if number > NUMBER_MAX {
            return;
        }
        if self.beats.len() <= number {
            self.beats.resize(number + 1, Merged::default());
        }
        let Some(merged) = self.beats.get_mut(number) else { return };
        merged.records += beat.records;
        merged.bytes += beat.bytes;
        match &mut merged.latency {
            Some(latency) => latency.add(&beat.latency).expect("histograms grow as needed"),
            None => merged.latency = Some(beat.latency.clone()),
        }
    }

    /// The step with this number.
    pub fn step(&self, number: usize, beat_seconds: f64) -> Option<Step> {
        let merged = self.beats.get(number)?;
        let latency = merged.latency.as_ref().filter(|latency| !latency.is_empty());
        let at = |quantile: f64| latency.map(|latency| to_f64(latency.value_at_quantile(quantile)) / 1e3);
        Some(Step {
            at: to_f64(number as u64) * beat_seconds,
            records_per_second: to_f64(merged.records) / beat_seconds,
            megabytes_per_second: to_f64(merged.bytes) / 1e6 / beat_seconds,
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
            stolen: 0.0,
        })
    }

    /// All whole steps up to `end` seconds; what was done later is in the totals.
    pub fn steps(&self, beat_seconds: f64, end: f64) -> Vec<Step> {
        let steps = (0..self.beats.len()).filter_map(|number| self.step(number, beat_seconds));
        steps.filter(|step| step.at + beat_seconds <= end + 1e-6).collect()
    }
}

/// The 99th percentile of the last third of a run over that of the first: whether it gets worse with time. Only steps that
/// `count`.
pub fn drift(steps: &[Step], count: impl Fn(&Step) -> bool) -> Option<f64> {
    let third = steps.len() / 3;
    let median = |part| median_p99(part, &count);
    Some(median(steps.get(steps.len() - third..)?)? / median(steps.get(..third)?)?)
}

/// The median of the steps' 99th percentiles, of those that `count`.
pub fn median_p99(steps: &[Step], count: impl Fn(&Step) -> bool) -> Option<f64> {
    let mut found: Vec<f64> = steps.iter().filter(|step| count(step)).filter_map(|step| step.p99).collect();
    found.sort_by(f64::total_cmp);
    // Of fewer than three the median is an outlier as likely as not.
    found.get(found.len() / 2).copied().filter(|_| found.len() >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(number: u64, records: u64, micros: u64) -> Beat {
        let mut latency = Histogram::new(2).expect("constant");
        latency.record(micros * 1000).expect("grows");
        Beat { part: 0, number, records, bytes: records * 1_000_000, latency }
    }

    #[test]
    fn beats_of_several_threads_are_one_step() {
        let mut timeline = Timeline::default();
        for it in [beat(0, 1, 10), beat(2, 4, 100), beat(0, 2, 1000), beat(u64::MAX, 9, 1)] {
            timeline.add(&it);
        }
        let steps = timeline.steps(2.0, 6.0);
        let found: Vec<_> =
            steps.iter().map(|step| (step.at, step.records_per_second, step.p50.is_some())).collect();
        assert_eq!(found, [(0.0, 1.5, true), (2.0, 0.0, false), (4.0, 2.0, true)]);
        assert!(steps[0].max.expect("has") > 990.0 && steps[0].p50.expect("has") < 11.0);
        assert_eq!(timeline.steps(2.0, 5.9).len(), 2);
    }

    #[test]
    fn drift_compares_the_ends() {
        let step = |(p99, stolen): (f64, f64)| Step {
            at: 0.0,
            records_per_second: 0.0,
            megabytes_per_second: 0.0,
            p50: None,
            p99: Some(p99),
            max: None,
            stolen,
        };
        let steps = [2.0, 9.0, 2.0, 5.0, 5.0, 5.0, 3.0, 3.0, 1.0].map(|p99| step((p99, 0.0)));
        assert_eq!(drift(&steps, |_| true), Some(1.5));
        assert_eq!(drift(&steps[1..], |_| true), None);
        let disturbed = [(2.0, 0.0), (2.0, 0.01), (2.0, 0.0), (90.0, 0.2), (5.0, 0.0), (5.0, 0.0)];
        let last = [(90.0, 0.1), (90.0, 0.3), (90.0, 0.1), (3.0, 0.0), (3.0, 0.02), (3.0, 0.0)];
        let steps: Vec<Step> = disturbed.into_iter().chain([(5.0, 0.0); 6]).chain(last).map(step).collect();
        assert_eq!(drift(&steps, Step::is_undisturbed), Some(1.5));
        assert_eq!(median_p99(&steps, Step::is_undisturbed), Some(5.0));
        assert_eq!(median_p99(&steps, |step| step.stolen > 0.15), None, "of two");
    }
}
