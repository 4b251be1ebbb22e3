//! How far a cut has come.

use crate::log::cut::Cut;

/// A cut under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutting {
    pub(super) cut: Cut,
    pub(super) step: Step,
}

/// What a cut waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything in finished segments, nothing on its way.
    Quiet,
    /// The entry that says that the log is to be cut.
    Begin,
    Files,
    /// The entry that says that the log is cut.
    End,
}
