//! The store: the shard's partitions, its commit log, and all that brings bytes to stable storage.
//!
//! Owns partitions and their logs, the commit log, operations under way, and produce requests that wait for durability.
//! Knows no other room: what the others must hear of the store, it tells as [`News`](super::turn::News).
//!
//! What other rooms may do with it: look at partitions; [`Store::append`] a batch of their own; change a log by
//! [`Store::with_log`], which carries out what the log wants because of it; [`Store::issue`] an operation of theirs.
//!
//! | file | what |
//! |---|---|
//! | state | what the store owns; how a log's change is carried out |
//! | slots, partition, watermarks | all partitions; one of them, and its offsets |
//! | standing, role | what this server is to a partition; how that changes |
//! | replicate | what a follower takes from its leader, and cuts |
//! | append, produce, waits, acks | a batch comes in; its answer leaves when it is durable |
//! | commit | commit groups |
//! | release, reclaim, sweep, syncs | commit files are freed |
//! | checkpoint | where recovery begins |
//! | writeback | writes that nobody waits for, few at a time |
//! | memory, producers | what is given back and forgotten |
//! | place | partitions that come and go with the cluster state |
//! | space, io | operations end; a full disk |
//! | stop | the orderly stop |
//! | view | how a store begins; what can be seen of it from outside |

mod acks;
mod append;
mod checkpoint;
mod commit;
mod io;
mod memory;
mod partition;
mod place;
mod produce;
mod producers;
mod reclaim;
mod release;
mod replicate;
mod role;
mod slots;
mod space;
mod standing;
mod state;
mod stop;
mod sweep;
mod syncs;
mod view;
mod waits;
mod watermarks;
mod writeback;

pub use append::Incoming;
pub use partition::Partition;
pub use place::ImageChanged;
pub use producers::PRODUCER_BYTES;
pub use standing::{Role, ends};
pub use state::Store;
