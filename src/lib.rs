//! Ringmain: a Kafka-compatible event broker for Linux servers with NVMe drives.

pub mod admin;
pub mod api;
pub mod base;
pub mod cli;
pub mod client;
pub mod commit;
pub mod config;
pub mod controller;
pub mod log;
pub mod protocol;
pub mod record;
pub mod runtime;
pub mod server;
pub mod shard;
