//! Swarm testing: each seed leaves out most of what can go wrong, so that what is left goes wrong together.

use ringmain::base::rng::Rng;

use super::Kind;
use crate::queue::Span;

#[derive(Clone, Debug)]
pub struct Swarm {
    /// What may go wrong in this course, and how often beside the others.
    kinds: Vec<(Kind, u64)>,
    /// Between two deeds, about.
    pause: Span,
}

impl Swarm {
    pub fn any(rng: &mut Rng) -> Swarm {
        let share = 10 + rng.below(60);
        let mut kinds: Vec<(Kind, u64)> = Vec::new();
        for kind in Kind::ALL {
            if rng.below(100) < share {
                kinds.push((kind, 1 + rng.below(5)));
            }
        }
        Swarm { kinds, pause: Span::ms(1_500 + rng.below(14_000)) }
    }

    pub fn none() -> Swarm {
        Swarm { kinds: Vec::new(), pause: Span::seconds(1) }
    }

    pub fn pause(&self, rng: &mut Rng) -> Option<Span> {
        let pause = Span(self.pause.0 / 2 + rng.below(self.pause.0));
        (!self.kinds.is_empty()).then_some(pause)
    }

    pub fn choose(&self, rng: &mut Rng) -> Option<Kind> {
        let all: u64 = self.kinds.iter().map(|(_, weight)| weight).sum();
        let mut at = rng.below(all.max(1));
        for (kind, weight) in &self.kinds {
            if at < *weight {
                return Some(*kind);
            }
            at -= weight;
        }
        None
    }
}
