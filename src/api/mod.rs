//! One file per API: decode → ask the shard → build the answer. This file is the version table and the dispatch.
//!
//! Runs on the shard the connection lives on. Pure: knows no socket, no file, no clock.

mod answer;
mod controller;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
pub mod describe_configs;
mod errors;
pub mod init_producer_id;
mod step;
#[cfg(test)]
mod testing;

pub use answer::ApiError;
pub use step::{Ask, ConnectionState, Context, Continue, Step, Wait};
