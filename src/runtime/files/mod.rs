//! Performs disk operations: segment files, commit files, checkpoints.
//!
//! Direct I/O throughout for data (`transfer`); names, indexes and checkpoints go through ordinary calls on glommio's blocking
//! thread (`segment`, `commit`); what takes long goes to threads of its own (the runtime's `cleaner` and `remover`).
//! Lives on every shard; open files are bounded by the caller's `handles_max` (`open`).
//!
//! Knows nothing of why an operation is wanted, nor which may run at once: whoever decides them sees to that.

mod blocking;
mod commit;
mod metadata;
mod open;
mod perform;
mod segment;
mod start;
mod state;
mod transfer;

pub use start::{handles_max, probe};
pub use state::Files;
