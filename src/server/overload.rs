//! Which connections are let go: silent ones, ones that do not move, and, while memory is short, those that hold most of
//! it without moving.
//!
//! A peer that takes its answers or sends its request slowly keeps memory of the shard's pools; as long as there is
//! enough, it may. Decides only; [`super::registry`] closes.

/// A peer that takes nothing of its answers, or sends nothing of a request it has begun, for this long is let go.
const STUCK_MS_MAX: u64 = 30_000;
/// While others wait for the memory that such a peer holds, it is let go after this time.
const STUCK_SHORT_MS_MAX: u64 = 2_000;
/// A connection that holds less than this of the pools frees too little to be worth closing. This does not count for what
/// was read from segments: an answer keeps a whole piece of it alive, however little of the piece is in the answer.
const BURDEN_BYTES_MIN: usize = 64 * 1024;

/// One connection as the sweep sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Time since the connection was last heard of, if nothing is in progress.
    pub(super) idle_ms: Option<u64>,
    /// Time since the peer last took a part of the answers that wait for it, or should have sent the rest of a request.
    pub(super) stuck_ms: Option<u64>,
    /// Time for which answers have been ready that cannot go out, because an earlier request still waits.
    pub(super) queued_ms: Option<u64>,
    /// Bytes that the connection holds of the shard's pools.
    pub(super) held_bytes: usize,
    /// Answer bytes among them. Only answers keep alive what was read from segments.
    pub(super) answer_bytes: usize,
}

/// What the pools lack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortage {
    pub(super) idle_ms_max: Option<u64>,
    /// Whether others wait for memory of the pools.
    pub(super) pools: bool,
    /// Whether reads wait for answers to be taken.
    pub(super) reads: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Stays,
    /// Nothing in progress, nothing received for `connections.max.idle.ms`.
    Idle,
    /// The peer does not move, and holds memory that others may need.
    Stuck,
}

impl Shortage {
    pub(super) fn judge(&self, standing: &Standing) -> Fate {
        let is_over = |since: Option<u64>, max: Option<u64>| since.zip(max).is_some_and(|(ms, max)| ms > max);
        let is_burden =
            self.pools && standing.held_bytes >= BURDEN_BYTES_MIN || self.reads && standing.answer_bytes > 0;
        let burdens = is_burden.then_some(standing.stuck_ms.max(standing.queued_ms)).flatten();
        if is_over(standing.stuck_ms, Some(STUCK_MS_MAX)) || is_over(burdens, Some(STUCK_SHORT_MS_MAX)) {
            Fate::Stuck
        } else if is_over(standing.idle_ms, self.idle_ms_max) {
            Fate::Idle
        } else {
            Fate::Stays
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_move_goes_sooner_when_others_wait_for_its_memory() {
        let calm = Shortage { idle_ms_max: Some(600_000), pools: false, reads: false };
        let short = Shortage { idle_ms_max: None, pools: true, ..calm };
        let of_reads = Shortage { idle_ms_max: None, reads: true, ..calm };
        let stuck = |ms, held_bytes| Standing { stuck_ms: Some(ms), held_bytes, ..Standing::default() };
        let with_answers = |standing: Standing| Standing { answer_bytes: standing.held_bytes, ..standing };
        for (shortage, standing, verdict) in [
            (calm, Standing::default(), Fate::Stays),
            (calm, stuck(29_000, 1 << 20), Fate::Stays),
            (calm, stuck(31_000, 1 << 20), Fate::Stuck),
            (short, stuck(1_900, 1 << 20), Fate::Stays),
            (short, stuck(2_100, 1 << 20), Fate::Stuck),
            (short, stuck(2_100, 4_000), Fate::Stays),
            (of_reads, with_answers(stuck(2_100, 4_000)), Fate::Stuck),
            (of_reads, stuck(2_100, 1 << 20), Fate::Stays),
            (
                short,
                Standing { queued_ms: Some(2_100), held_bytes: 1 << 20, ..Standing::default() },
                Fate::Stuck,
            ),
            (
                calm,
                Standing { queued_ms: Some(300_000), held_bytes: 1 << 20, ..Standing::default() },
                Fate::Stays,
            ),
            (calm, Standing { idle_ms: Some(600_001), ..Standing::default() }, Fate::Idle),
            (short, Standing { idle_ms: Some(u64::MAX), ..Standing::default() }, Fate::Stays),
        ] {
            assert_eq!(shortage.judge(&standing), verdict, "{shortage:?} {standing:?}");
        }
    }
}
