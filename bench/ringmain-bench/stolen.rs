//! Processor time that the host of a virtual machine gave to others: on a shared machine the first thing to look at where a
//! second was slow.

use std::fs;

use crate::distribution::to_f64;
use crate::timeline::Step;
use crate::usage::ticks_per_second;

/// Stolen time by step.
#[derive(Debug)]
pub struct Stolen {
    begin: f64,
    /// At the end of each step: seconds of all processors.
    ends: Vec<f64>,
}

impl Stolen {
    pub fn begin() -> Stolen {
        Stolen { begin: seconds(), ends: Vec::new() }
    }

    /// The step with this number has ended, as far as one of the loader's threads knows.
    pub fn note(&mut self, number: u64) {
        self.ended(number, seconds);
    }

    fn ended(&mut self, number: u64, seconds: impl FnOnce() -> f64) {
        const NUMBER_MAX: usize = 100_000;
        let Ok(number) = usize::try_from(number) else { return };
        if number >= self.ends.len() && number <= NUMBER_MAX {
            self.ends.resize(number + 1, seconds());
        }
    }

    /// Says of each step what was stolen in it.
    pub fn enter(&self, steps: &mut [Step], step_seconds: f64) {
        let mut before = self.begin;
        for (step, end) in steps.iter_mut().zip(&self.ends) {
            step.stolen = share(end - before, step_seconds);
            before = *end;
        }
    }
}

/// Seconds stolen in a time, as a share of what this machine's processors could have done in it.
pub fn share(stolen_seconds: f64, seconds: f64) -> f64 {
    stolen_seconds / (seconds.max(1e-9) * to_f64(processors(&stat()) as u64))
}

/// Stolen from all processors since the machine started; 0 where the kernel does not tell.
pub fn seconds() -> f64 {
    to_f64(ticks(&stat()).unwrap_or(0)) / ticks_per_second()
}

fn stat() -> String {
    fs::read_to_string("/proc/stat").unwrap_or_default()
}

/// The number of processors that /proc/stat lists, whether or not this process may use them all.
fn processors(stat: &str) -> usize {
    let lines = stat.lines().filter_map(|line| line.strip_prefix("cpu"));
    lines.filter(|rest| rest.starts_with(|next: char| next.is_ascii_digit())).count().max(1)
}

/// The eighth number of the line about all processors (proc(5)).
fn ticks(stat: &str) -> Option<u64> {
    stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Beat, histogram};
    use crate::timeline::Timeline;

    #[test]
    fn stolen_time_is_the_eighth_number() {
        assert_eq!(ticks("cpu  1 2 3 4 5 6 7 88 9 10\ncpu0 1 2 3 4 5 6 7 44 9 10\n"), Some(88));
        assert_eq!(processors("cpu  1 2 3\ncpu0 1 2\ncpu1 1 2\nctxt 5\n"), 2);
        assert_eq!(ticks("cpu  1 2 3 4\n"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn each_step_has_its_own() {
        let mut stolen = Stolen { begin: 10.0, ends: Vec::new() };
        for (number, seconds) in [(0, 10.0), (0, 99.0), (1, 12.0), (3, 13.0)] {
            stolen.ended(number, || seconds);
        }
        let mut timeline = Timeline::default();
        let latency = histogram();
        timeline.add(&Beat { part: 0, number: 4, records: 1, bytes: 1, latency });
        let mut steps = timeline.steps(1.0, 5.0);
        stolen.enter(&mut steps, 1.0);
        let whole = share(1.0, 1.0);
        let shares: Vec<f64> = steps.iter().map(|step| step.stolen / whole).collect();
        assert_eq!(shares, [0.0, 2.0, 1.0, 0.0, 0.0]);
    }
}
