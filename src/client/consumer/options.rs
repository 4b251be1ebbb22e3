//! How a consumer behaves, and where it begins.

use std::time::Duration;

use crate::base::{Offset, TimestampMs};

/// Where to begin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Earliest,
    /// After the last record.
    Latest,
    Offset(Offset),
    /// So many records before the end, or the first record if there are fewer.
    BeforeEnd(u64),
    /// The first record at or after that time; the end if there is none.
    Timestamp(TimestampMs),
    /// The record with the largest timestamp.
    MaxTimestamp,
}

/// What to do when a position lies outside a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    Fail,
    Earliest,
    Latest,
}

#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// Bytes the broker gathers before it answers, within `wait`.
    pub min_bytes: i32,
    /// Most bytes of an answer, unless its first batch is larger.
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
    /// How long the broker waits for records.
    pub wait: Duration,
    pub out_of_range: OutOfRange,
    /// How long leaders may be away before that is an error.
    pub recovery_timeout: Duration,
}

impl Default for ConsumerOptions {
    fn default() -> ConsumerOptions {
        ConsumerOptions {
            min_bytes: 1,
            max_bytes: 50 * 1024 * 1024,
            partition_max_bytes: 1024 * 1024,
            wait: Duration::from_millis(500),
            out_of_range: OutOfRange::Fail,
            recovery_timeout: Duration::from_secs(30),
        }
    }
}
