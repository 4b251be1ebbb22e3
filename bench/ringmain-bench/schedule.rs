//! When records are due: a schedule that does not wait for answers, so that a stall is seen by every record that should
//! have been sent meanwhile (no coordinated omission).
//!
//! Pure: instants are nanoseconds since the load began, and what is random comes from a seed.

use ringmain::base::rng::Rng;
use serde::{Deserialize, Serialize};

/// How arrivals are spread, at the same rate on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Uniform,
    /// Independent of each other, as requests of many users are.
    Poisson,
    /// So many at one instant, then a pause.
    Bursts(u32),
}

/// The due instants of one connection's records, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    interval_ns: f64,
    next_ns: f64,
    /// Records of the present burst that are still to come.
    burst_left: u32,
    rng: Rng,
}

/// When the first and the last record of a batch are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    pub first_ns: u64,
    pub last_ns: u64,
}

impl Schedule {
    /// `records_per_second` on this connection, which is number `index` of `of`: connections take turns.
    pub fn new(arrivals: Arrivals, records_per_second: f64, index: usize, of: usize, seed: u64) -> Schedule {
        assert!(records_per_second > 0.0, "a schedule without records never ends");
        let mut rng = Rng::seeded(seed ^ (index as u64).wrapping_mul(0xD134_2543_DE82_EF95));
        let interval_ns = 1e9 / records_per_second;
        let turn = to_f64(index) / to_f64(of.max(1));
        let (next_ns, burst_left) = match arrivals {
            Arrivals::Uniform => (interval_ns * turn, 0),
            Arrivals::Poisson => (exponential(&mut rng, interval_ns), 0),
            Arrivals::Bursts(size) => (interval_ns * f64::from(size.max(1)) * turn, size.max(1)),
        };
        Schedule { arrivals, interval_ns, next_ns, burst_left, rng }
    }

    /// Takes the next `records` off the schedule.
    pub fn batch(&mut self, records: u32) -> Due {
        let first_ns = whole(self.next_ns);
        let mut last_ns = first_ns;
        match self.arrivals {
            // Summed in one step, so that a batch of ten thousand costs no more than one of one.
            Arrivals::Uniform => {
                last_ns = whole(self.next_ns + self.interval_ns * f64::from(records.saturating_sub(1)));
                self.next_ns += self.interval_ns * f64::from(records);
            }
            _ => {
                for _ in 0..records {
                    last_ns = whole(self.next_ns);
                    self.step();
                }
            }
        }
        Due { first_ns, last_ns }
    }

    fn step(&mut self) {
        match self.arrivals {
            Arrivals::Uniform => self.next_ns += self.interval_ns,
            Arrivals::Poisson => self.next_ns += exponential(&mut self.rng, self.interval_ns),
            Arrivals::Bursts(size) => {
                self.burst_left -= 1;
                if self.burst_left == 0 {
                    self.burst_left = size.max(1);
                    self.next_ns += self.interval_ns * f64::from(size.max(1));
                }
            }
        }
    }
}

impl Due {
    /// The instants of a batch's records, taken as evenly spread over it, as (instant, how many), in at most
    /// [`POINTS_MAX`] points: a histogram gains nothing from more, and the loader shares the broker's cores.
    pub fn points(self, records: u32) -> impl Iterator<Item = (u64, u64)> {
        let points = u64::from(records).clamp(1, POINTS_MAX);
        let (each, more) = (u64::from(records) / points, u64::from(records) % points);
        let span = self.last_ns.saturating_sub(self.first_ns);
        (0..points).map(move |point| {
            let at = if points == 1 { span } else { span * point / (points - 1) };
            (self.first_ns + at, each + u64::from(point < more))
        })
    }
}

const POINTS_MAX: u64 = 32;

/// An exponentially distributed gap with this mean.
fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    // 53 random bits, never 0: the logarithm is finite.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let uniform = ((rng.next_u64() >> 11) + 1) as f64 / 9_007_199_254_740_993.0;
    -uniform.ln() * mean
}

#[allow(clippy::cast_precision_loss, reason = "counts of connections are small")]
fn to_f64(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds of a run, from 0 on")]
fn whole(nanos: f64) -> u64 {
    nanos as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(arrivals: Arrivals, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(arrivals, 1000.0, 0, 1, 7);
        (0..count).map(|_| schedule.batch(1).first_ns).collect()
    }

    #[test]
    fn uniform_arrivals_keep_their_distance_and_connections_take_turns() {
        assert_eq!(dues(Arrivals::Uniform, 3), [0, 1_000_000, 2_000_000]);
        let mut second = Schedule::new(Arrivals::Uniform, 1000.0, 1, 4, 7);
        assert_eq!(second.batch(1).first_ns, 250_000);
    }

    #[test]
    fn bursts_share_an_instant() {
        assert_eq!(dues(Arrivals::Bursts(2), 5), [0, 0, 2_000_000, 2_000_000, 4_000_000]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_variance_they_should() {
        let dues = dues(Arrivals::Poisson, 100_000);
        let gap = |pair: &[u64]| crate::distribution::to_f64(pair[1] - pair[0]);
        let gaps: Vec<f64> = dues.windows(2).map(gap).collect();
        let mean = gaps.iter().sum::<f64>() / to_f64(gaps.len());
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / to_f64(gaps.len());
        assert!((0.98e6..1.02e6).contains(&mean), "mean gap {mean}");
        // An exponential distribution deviates by as much as it is wide.
        assert!((0.97..1.03).contains(&(variance.sqrt() / mean)), "deviation {}", variance.sqrt());
    }

    #[test]
    fn a_batch_is_due_with_its_last_record_and_the_next_follows() {
        for arrivals in [Arrivals::Uniform, Arrivals::Poisson, Arrivals::Bursts(3)] {
            let (mut one, mut ten) =
                (Schedule::new(arrivals, 1e6, 0, 1, 3), Schedule::new(arrivals, 1e6, 0, 1, 3));
            for _ in 0..5 {
                let singles: Vec<u64> = (0..10).map(|_| one.batch(1).first_ns).collect();
                let batch = ten.batch(10);
                // Sums in another order differ by less than a nanosecond.
                assert!(batch.first_ns.abs_diff(singles[0]) <= 1, "{arrivals:?}");
                assert!(batch.last_ns.abs_diff(singles[9]) <= 1, "{arrivals:?}");
            }
        }
    }

    #[test]
    fn points_cover_a_batch_and_count_every_record() {
        for records in [1, 2, 31, 32, 33, 1000] {
            let points: Vec<_> = Due { first_ns: 100, last_ns: 1100 }.points(records).collect();
            assert_eq!(points.iter().map(|(_, count)| count).sum::<u64>(), u64::from(records));
            assert_eq!(points.last().map(|(at, _)| *at), Some(1100), "{records}");
            assert!(points.len() <= 32 && points.is_sorted());
        }
    }
}
