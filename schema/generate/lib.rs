//! Generates Rust from the field tables of Kafka's messages in schema/kafka, at every build: nothing generated can go stale.
//!
//! [`table`] reads the tables, [`rust`] writes the messages with decode and encode (for src/protocol), and [`json`] writes
//! the same messages from and to Kafka's JSON form (for the test target `golden`).

pub mod json;
pub mod rust;
pub mod table;
mod values;
