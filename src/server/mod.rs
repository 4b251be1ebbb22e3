//! The server: what is checked and claimed before it starts.

pub mod identity;
pub mod preflight;
