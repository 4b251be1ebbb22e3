//! Why a run ends without figures.

use std::io;

use ringmain::protocol::{DecodeError, EncodeError, ErrorCode};
use ringmain::record::BatchError;

use crate::check::CheckError;

const GOAL_MISSED: u8 = 4;
/// The exit code that says: the broker did not keep what it acknowledged.
pub const BROKEN_PROMISE: u8 = 3;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("cannot resolve {0}")]
    Address(String),
    #[error("the file system refuses O_DIRECT here; choose a directory on ext4 or xfs with --dir")]
    NoDirectIo,
    #[error("a request cannot be built: {0}")]
    Encode(#[from] EncodeError),
    #[error("an answer cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("a batch is wrong: {0}")]
    Batch(#[from] BatchError),
    #[error("the broker has {api} {low} to {high}, this loader speaks up to {ours}")]
    Version { api: &'static str, low: i16, high: i16, ours: i16 },
    #[error("{what} failed: {}", error_name(*.code))]
    Broker { what: &'static str, code: i16 },
    #[error("topic {topic} has {found} partitions, {wanted} are asked for")]
    Partitions { topic: String, found: usize, wanted: usize },
    #[error("no leader for every partition of {0} after five minutes")]
    NoLeader(String),
    #[error("the broker closed a connection with {outstanding} requests outstanding")]
    Closed { outstanding: usize },
    #[error("{0} requests were never answered")]
    Unanswered(usize),
    #[error("an answer is too short or not the one expected")]
    Answer,
    #[error("partition {partition}: acknowledged offset {offset} does not follow {previous}")]
    Offset { partition: i32, offset: i64, previous: i64 },
    #[error("the broker did not keep what it acknowledged: {0}")]
    Check(#[from] CheckError),
    #[error("records of {bytes} bytes are too small to carry the mark they are checked by: at least {least}")]
    RecordBytes { bytes: usize, least: usize },
    #[error("there is no scenario {0}; `ringmain-bench run --list` shows them all")]
    NoScenario(String),
    #[error("scenario {name}: {why}")]
    Scenario { name: String, why: String },
    #[error("there is nothing to read: the topic is empty and the scenario does not fill it")]
    NothingToRead,
    #[error("{0}")]
    Needs(String),
    #[error("{peer} does not answer at {address}: {why}")]
    Start { peer: String, address: String, why: String },
    #[error("{program} failed: {why}")]
    Tool { program: String, why: String },
    #[error("partition {partition}: fetch at {offset} returns nothing, though the log ends at {end}")]
    NothingFetched { partition: i32, offset: i64, end: i64 },
    #[error(transparent)]
    Client(#[from] ringmain::client::ClientError),
    #[error("{0} goals were missed")]
    Missed(usize),
    #[error("a loader thread panicked")]
    Thread,
    #[error("the report cannot be written: {0}")]
    Report(#[from] serde_json::Error),
}

impl BenchError {
    /// What the program's end says to scripts.
    pub fn exit_code(&self) -> u8 {
        match self {
            BenchError::Check(_) | BenchError::Offset { .. } | BenchError::NothingFetched { .. } => {
                BROKEN_PROMISE
            }
            BenchError::Missed(_) => GOAL_MISSED,
            _ => 1,
        }
    }

    /// For `map_err` on I/O.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> BenchError {
        move |source| BenchError::Io { what, source }
    }
}

fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |code| code.name().to_owned())
}
