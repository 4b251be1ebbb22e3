//! One direction between two servers: how long bytes take, and whether they get through at all.

use ringmain::base::rng::Rng;

use crate::queue::{Instant, Span};

/// How fast a direction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkSpeed {
    /// As in one building.
    Usual,
    /// Far away, or busy.
    Slow,
    /// Hardly anything gets through.
    Clogged,
}

impl LinkSpeed {
    /// The shortest delay, and by how much it varies.
    fn delays(self) -> (Span, Span) {
        match self {
            LinkSpeed::Usual => (Span::micros(50), Span::micros(250)),
            LinkSpeed::Slow => (Span::ms(5), Span::ms(60)),
            LinkSpeed::Clogged => (Span::ms(100), Span::ms(2000)),
        }
    }

    fn bytes_a_second(self) -> u64 {
        match self {
            LinkSpeed::Usual => 200_000_000,
            LinkSpeed::Slow => 2_000_000,
            LinkSpeed::Clogged => 50_000,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Link {
    pub is_blocked: bool,
    pub speed: LinkSpeed,
    /// What was sent before is through by then.
    free_at: Instant,
}

impl Default for Link {
    fn default() -> Link {
        Link { is_blocked: false, speed: LinkSpeed::Usual, free_at: Instant(0) }
    }
}

impl Link {
    pub fn delay(&self, rng: &mut Rng) -> Span {
        let (least, varies) = self.speed.delays();
        Span(least.0 + rng.below(varies.0))
    }

    /// When bytes that are sent now arrive; `None` as long as the link is blocked.
    pub fn arrival(&mut self, now: Instant, bytes: usize, rng: &mut Rng) -> Option<Instant> {
        let delay = self.delay(rng);
        if self.is_blocked {
            return None;
        }
        let takes = Span(bytes as u64 * 1_000_000_000 / self.speed.bytes_a_second());
        self.free_at = self.free_at.max(now).plus(takes);
        Some(self.free_at.plus(delay))
    }
}
