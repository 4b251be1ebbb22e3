//! A latency distribution as reported: the percentiles that have enough samples behind them, and the curve. Pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Samples that must lie beyond a percentile for it to be one: with fewer it says more about the run than the broker.
const BEYOND: f64 = 10.0;

/// The percentiles of every report: label and quantile.
pub const PERCENTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// Microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Requests that were timed.
    pub samples: u64,
    pub mean: f64,
    /// In the order of [`PERCENTILES`]; none where too few samples lie beyond.
    pub percentiles: Vec<Option<f64>>,
    pub max: f64,
    /// (quantile, microseconds), as far as there are samples.
    pub curve: Vec<(f64, f64)>,
}

impl Distribution {
    /// The distribution of a histogram of nanoseconds; `samples` is how many independent samples are behind it.
    pub fn of(histogram: &Histogram<u64>, samples: u64) -> Distribution {
        let at = |quantile: f64| micros(histogram.value_at_quantile(quantile));
        let is_backed = |quantile: f64| to_f64(samples) * (1.0 - quantile) >= BEYOND - 1e-6;
        let percentile = |(_, quantile): (&str, f64)| is_backed(quantile).then(|| at(quantile));
        Distribution {
            samples,
            mean: histogram.mean() / 1e3,
            percentiles: PERCENTILES.into_iter().map(percentile).collect(),
            max: micros(histogram.max()),
            curve: curve_quantiles(samples).map(|quantile| (quantile, at(quantile))).collect(),
        }
    }

    pub fn percentile(&self, label: &str) -> Option<f64> {
        let index = PERCENTILES.iter().position(|(name, _)| *name == label)?;
        self.percentiles.get(index).copied().flatten()
    }
}

/// Quantiles at equal distances on the scale of an HDR plot, which is logarithmic in what lies beyond.
fn curve_quantiles(samples: u64) -> impl Iterator<Item = f64> {
    const STEPS_PER_DECADE: u32 = 10;
    const DECADES_MAX: u32 = 7;
    let steps = 0..=STEPS_PER_DECADE * DECADES_MAX;
    let quantile = |step: u32| 1.0 - 10f64.powf(-f64::from(step) / f64::from(STEPS_PER_DECADE));
    steps.map(quantile).take_while(move |quantile| to_f64(samples) * (1.0 - quantile) >= 1.0)
}

fn micros(nanos: u64) -> f64 {
    to_f64(nanos) / 1e3
}

/// Counts here stay far below 2^53.
#[allow(clippy::cast_precision_loss, reason = "counts of a run stay below 2^53")]
pub fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::histogram;

    #[test]
    fn percentiles_need_samples_beyond_them() {
        let mut times = histogram();
        (1..=1000).for_each(|micros| times.record(micros * 1000).expect("grows"));
        let of =
            |samples| Distribution::of(&times, samples).percentiles.iter().filter(|it| it.is_some()).count();
        assert_eq!((of(19), of(20), of(100), of(999), of(1000)), (0, 1, 2, 2, 3));
        assert_eq!((of(10_000), of(99_999), of(100_000)), (4, 4, 5));
        let all = Distribution::of(&times, 1000);
        assert!((499.0..502.0).contains(&all.percentile("p50").expect("backed")));
        assert!((989.0..992.0).contains(&all.percentile("p99").expect("backed")));
        assert_eq!(all.percentile("p99.9"), None);
    }

    #[test]
    fn the_curve_rises_and_ends_where_samples_do() {
        let mut times = histogram();
        (1..=1000).for_each(|micros| times.record(micros * 1000).expect("grows"));
        let curve = Distribution::of(&times, 1000).curve;
        assert_eq!(curve.len(), 31);
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert!(Distribution::of(&histogram(), 0).curve.is_empty());
    }
}
