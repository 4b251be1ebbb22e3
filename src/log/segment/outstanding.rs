//! The writes of one segment that were handed out and have not completed.

/// What a write waits for to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sync, or the commit log, which covers it. A sync covers only completed writes.
    Plain,
    /// Nothing: a direct run is durable when written.
    Direct,
}

#[derive(Debug, Default)]
pub(super) struct Outstanding {
    /// Positions, in any order.
    positions: Vec<u64>,
    /// Plain writes among them.
    plain: usize,
}

impl Outstanding {
    pub(super) fn begun(&mut self, position: u64, kind: Kind) {
        self.positions.push(position);
        self.plain += usize::from(kind == Kind::Plain);
    }

    pub(super) fn ended(&mut self, position: u64, kind: Kind) {
        let at = self.positions.iter().position(|candidate| *candidate == position);
        self.positions.swap_remove(at.expect("what has completed was handed out"));
        if kind == Kind::Plain {
            assert!(self.plain > 0, "a plain write that has completed was counted");
            self.plain -= 1;
        }
        assert!(self.plain <= self.positions.len(), "plain writes are among those handed out");
    }

    /// The first position with a write under way.
    pub(super) fn lowest(&self) -> Option<u64> {
        self.positions.iter().min().copied()
    }

    pub(super) fn plain(&self) -> usize {
        self.plain
    }

    pub(super) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }
}
