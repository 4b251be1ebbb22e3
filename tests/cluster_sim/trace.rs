//! What has happened, as one number: the same seed must give the same. Told in words only where somebody wants to read it.

use crate::queue::Instant;

/// FNV-1a's, for 64 bits.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x0100_0000_01b3;

/// Words of at most so many events are kept for whoever reads about a failure.
const KEPT: usize = 400;

#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    /// Words are made: they cost more than what they tell of.
    is_told: bool,
    is_shown: bool,
    told: std::collections::VecDeque<String>,
}

impl Trace {
    pub fn new(is_told: bool) -> Trace {
        let is_shown = std::env::var_os("RINGMAIN_CLUSTER_TRACE").is_some();
        Trace { hash: SEED, events: 0, is_told: is_told || is_shown, is_shown, told: Default::default() }
    }

    /// Notes that something has happened.
    pub fn note(&mut self, now: Instant, what: &[u64]) {
        self.events += 1;
        self.mix(now.0);
        for number in what {
            self.mix(*number);
        }
    }

    /// Says it in words.
    pub fn say(&mut self, now: Instant, what: impl FnOnce() -> String) {
        if !self.is_told {
            return;
        }
        let line = format!("{:>12.6} {}", now.0 as f64 / 1e9, what());
        if self.is_shown {
            println!("{line}");
        }
        if self.told.len() == KEPT {
            self.told.pop_front();
        }
        self.told.push_back(line);
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn last_words(&self) -> String {
        self.told.iter().fold(String::new(), |text, line| text + line + "\n")
    }

    fn mix(&mut self, number: u64) {
        // Whole words instead of bytes: only that a difference shows matters.
        self.hash = (self.hash ^ number).wrapping_mul(FACTOR).rotate_left(29);
    }
}
