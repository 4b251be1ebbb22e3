//! One file per API: decode → ask the shard → build the answer. This file is the version table and the dispatch.
//!
//! Runs on the shard the connection lives on. Pure: knows no socket, no file, no clock.

mod step;

pub use step::{Ask, ConnectionState, Context, Continue, Step, Wait};
