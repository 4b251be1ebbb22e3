//! The command line.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use serde::Serialize;

#[derive(Debug, Parser)]
#[command(
    name = "ringmain-bench",
    version,
    about = "Loads any Kafka broker and measures the machine under it"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What this machine can do: loopback, disk, processor
    Floor(FloorArgs),
    /// Prepared batches, closed loop (--depth) or open loop (--rate)
    Produce(ProduceArgs),
    /// Read a filled topic again and again; fills it first if it is empty
    Fetch(FetchArgs),
    /// Consumer groups whose members report on schedule
    Groups(GroupsArgs),
    /// Offset commits, many in progress
    Commit(CommitArgs),
}

#[derive(Debug, Group)]
pub struct FloorArgs {
    /// Directory on the disk to measure
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Write the figures as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

#[derive(Clone, Debug, Group, Serialize)]
pub struct TargetArgs {
    #[arg(long, default_value = "localhost:9092")]
    pub bootstrap_server: String,
    #[arg(long, default_value = "ringmain-bench")]
    pub topic: String,
    #[arg(long, default_value_t = 4, value_parser = positive)]
    pub partitions: usize,
    #[arg(long, default_value_t = 1)]
    pub replication_factor: i16,
    /// Config of the topic if this run creates it, for example flush.messages=1
    #[arg(long = "topic-config", value_name = "KEY=VALUE", value_parser = pair)]
    pub topic_configs: Vec<(String, String)>,
    #[arg(long, default_value_t = 4, value_parser = positive)]
    pub connections: usize,
    /// Loader threads
    #[arg(long, default_value_t = 2, value_parser = positive)]
    pub threads: usize,
    /// Seconds measured
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Seconds of load before measuring begins
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub warmup: f64,
    /// Keep the topic that this run created
    #[arg(long)]
    pub keep: bool,
    /// Measure the machine's floor first and print ratios to it
    #[arg(long)]
    pub floor: bool,
    /// Directory on the broker's disk, for --floor
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Write the figures as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

#[derive(Clone, Debug, Group, Serialize)]
pub struct ProduceArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub target: TargetArgs,
    /// Bytes of a batch at most; one record at least
    #[arg(long, default_value_t = 1_048_576)]
    pub batch_bytes: usize,
    /// Bytes of a record's value
    #[arg(long, default_value_t = 1024)]
    pub record_bytes: usize,
    /// Requests in progress on each connection
    #[arg(long, default_value_t = 4, value_parser = positive, conflicts_with = "rate")]
    pub depth: usize,
    /// Requests a second over all connections, on a schedule that does not wait for answers
    #[arg(long, value_parser = seconds)]
    pub rate: Option<f64>,
    #[arg(long, value_enum, default_value = "all")]
    pub acks: Acks,
}

#[derive(Clone, Debug, Group, Serialize)]
pub struct FetchArgs {
    #[command(flatten)]
    #[serde(flatten)]
    pub target: TargetArgs,
    /// Bytes written into the topic if it is empty
    #[arg(long, default_value_t = 268_435_456)]
    pub fill_bytes: u64,
    #[arg(long, default_value_t = 1_048_576)]
    pub batch_bytes: usize,
    #[arg(long, default_value_t = 1024)]
    pub record_bytes: usize,
    /// Bytes of one answer at most
    #[arg(long, default_value_t = 52_428_800)]
    pub fetch_bytes: i32,
    /// Bytes of one partition in an answer at most; the default is that of Kafka's consumers
    #[arg(long, default_value_t = 1_048_576)]
    pub partition_bytes: i32,
    /// Verify every checksum
    #[arg(long)]
    pub verify: bool,
}

#[derive(Clone, Debug, Group, Serialize)]
pub struct GroupsArgs {
    #[arg(long, default_value = "localhost:9092")]
    pub bootstrap_server: String,
    /// What the groups' names begin with
    #[arg(long, default_value = "ringmain-bench")]
    pub group: String,
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub groups: usize,
    /// Members of each group; each connection plays one of every group
    #[arg(long, default_value_t = 10, value_parser = positive)]
    pub members: usize,
    /// Milliseconds between a member's heartbeats
    #[arg(long, default_value_t = 3000)]
    pub interval_ms: u64,
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Write the figures as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

#[derive(Clone, Debug, Group, Serialize)]
pub struct CommitArgs {
    #[arg(long, default_value = "localhost:9092")]
    pub bootstrap_server: String,
    /// What the groups' names begin with: one for each connection
    #[arg(long, default_value = "ringmain-bench")]
    pub group: String,
    /// An existing topic
    #[arg(long, default_value = "ringmain-bench")]
    pub topic: String,
    #[arg(long, default_value_t = 4, value_parser = positive)]
    pub connections: usize,
    /// Commits in progress on each connection
    #[arg(long, default_value_t = 256, value_parser = positive)]
    pub depth: usize,
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Seconds of load before measuring begins
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub warmup: f64,
    /// Write the figures as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Whose word ends a request.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Acks {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

impl Acks {
    pub fn wire(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "a number from 1 on".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..1e9).contains(number));
    number.ok_or_else(|| "a number that is not negative".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| "KEY=VALUE".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}
