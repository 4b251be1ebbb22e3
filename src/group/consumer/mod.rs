//! Consumer groups of the new protocol (KIP-848): the server assigns, members only heartbeat; pure.

pub mod assign;
mod assignment;

pub use assignment::Assignment;
