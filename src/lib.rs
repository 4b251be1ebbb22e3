//! Ringmain: a Kafka-compatible event broker for Linux servers with NVMe drives.

pub mod base;
pub mod config;
pub mod protocol;
pub mod record;
pub mod log;
pub mod commit;
pub mod controller;
pub mod shard;
pub mod api;
pub mod runtime;
pub mod server;
pub mod admin;
pub mod client;
pub mod cli;
