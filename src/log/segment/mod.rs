//! One segment file that is still being written to: the active one, and rolled ones until they are sealed.
//!
//! Owns which bytes were handed out for writing and have not arrived ([`OpenSegment::readable_end`]), the file's state ([`file`])
//! and what of it is stable ([`stable`]). A sealed segment is another type ([`SealedSegment`]). Knows of the commit log only that
//! it covers some writes and not others, and nothing of offsets that are flushed.

mod file;
mod open;
mod outstanding;
mod sealed;
mod stable;
mod states;
#[cfg(test)]
mod tests;

pub use open::{OpenSegment, SealSync};
pub use sealed::SealedSegment;
pub use states::Names;
