//! One file per API: decode → ask the shards → build the answer. [`dispatch`] finds the API of a request, [`Gather`] gathers
//! what the shards reply, [`wants_shard`] says where a connection should live.
//!
//! Runs on the shard the connection lives on. Pure: knows no socket, no file, no clock.

mod answer;
mod authorized;
pub mod cluster;
pub mod configs;
mod context;
mod controller;
pub mod data;
mod errors;
mod gather;
pub mod groups;
mod once;
mod row;
mod served;
mod split;
mod step;
mod table;
pub mod telemetry;
#[cfg(test)]
mod testing;
mod topic_key;
pub mod topics;

pub use answer::ApiError;
pub use cluster::hints::Hints;
pub use cluster::steering::{named_shard, wants_shard};
pub use cluster::view::{NodeMeant, node_of_port, view_of};
pub use context::{ConnectionState, Context, DiskSpace};
pub use data::fetch::{FetchSessions, SESSION_METRICS};
pub use gather::{Gather, Gathered};
pub use row::Api;
pub use served::Served;
pub use step::{Ask, Continue, Slices, Step, Wait};
pub use table::{APIS, SERVED, dispatch, is_answered_briefly};
pub use telemetry::{METRICS as TELEMETRY_METRICS, Telemetry};
