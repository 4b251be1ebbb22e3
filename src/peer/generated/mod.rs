//! What flatc makes of schema/peer.fbs; rewritten by scripts/generate-schema, never by hand.

// Generated: its style, its unsafe accessors (sound on verified buffers) and its unused helpers are the generator's.
#[allow(clippy::all, clippy::undocumented_unsafe_blocks, clippy::unwrap_used, unsafe_op_in_unsafe_fn)]
#[allow(rust_2018_idioms, dead_code, unused_imports, deprecated, mismatched_lifetime_syntaxes)]
#[rustfmt::skip]
mod peer;

pub(super) use peer::ringmain::peer::*;
