//! A small Kafka client: for the command line, the load generator and tests, against any Kafka broker.
//!
//! Blocking sockets with timeouts, one thread. The client is used by separate processes, which need no executor. And since
//! it does not use the server's runtime, it tests the server from outside. Everything is bounded: frames, batches, bytes
//! waiting to be sent, time spent on retries.
//!
//! - [`Connection`]: frames, correlation, pipelining, versions
//! - [`Cluster`]: who leads what; a connection per node id, so that two nodes at one host and port (a Ringmain server's
//!   shards) are two connections
//! - [`Producer`], [`Consumer`], [`Admin`], [`Groups`]
//!
//! Not done: TLS and SASL, membership of consumer groups, transactions (a consumer reads uncommitted), fetch sessions.

mod admin;
mod cluster;
mod connection;
mod consumer;
mod error;
mod groups;
mod producer;

pub use admin::{Admin, ConfigEntry, ConfigResource, CreatedTopic, Documentation, Intent, NewTopic, Served};
pub use cluster::{Broker, Cluster, Missing, PartitionView, TopicView};
pub use connection::{Connection, ConnectionOptions, Response};
pub use consumer::{ConsumedRecord, Consumer, ConsumerOptions, FetchedBatch, OutOfRange, Position};
pub use error::ClientError;
pub use groups::{CommittedOffset, GroupListing, GroupView, Groups, MemberView};
pub use producer::{Acks, Delivery, Producer, ProducerOptions, ProducerRecord, murmur2, partition_of_key};
