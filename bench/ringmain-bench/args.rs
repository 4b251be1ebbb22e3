//! The command line.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use ringmain::record::Codec;
use serde::Serialize;

use crate::compare::Kind;
use crate::scenario::Scenario;
use crate::schedule::Arrivals;

#[derive(Debug, Parser)]
#[command(
    name = "ringmain-bench",
    version,
    about = "Loads any Kafka broker and measures the machine under it",
    after_help = "Exit codes:\n  0  done\n  1  a run failed; the message says why\n  2  the command line is wrong\n  3  the broker did not keep what it acknowledged\n  4  a goal was missed (with --goals)"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What this machine can do: loopback, disk, processor
    Floor(FloorArgs),
    /// What the server's hot path takes in instructions (needs valgrind)
    Instructions(InstructionsArgs),
    /// Run scenarios against a broker
    Run(RunArgs),
    /// Run scenarios against several brokers turn by turn; starts those it knows
    Compare(CompareArgs),
    /// Make a page of JSON reports
    Page(PageArgs),
    /// Produce: closed loop (--depth) or on a schedule (--rate), with consumers at the tail (--tail)
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
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Debug, Group)]
pub struct InstructionsArgs {
    /// Words of names; only what has one of them in its name is counted
    pub names: Vec<String>,
    /// Requests of each shape; by default so many that one more changes nothing
    #[arg(long, value_parser = positive)]
    pub requests: Option<usize>,
    #[command(flatten)]
    pub report: ReportArgs,
}

/// Where results go beside the terminal.
#[derive(Clone, Debug, Default, Group)]
pub struct ReportArgs {
    /// Write everything as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// No lines while a run goes on
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Clone, Debug, Group)]
pub struct BrokerArgs {
    #[arg(long, default_value = "localhost:9092")]
    pub bootstrap_server: String,
    #[arg(long, default_value = "ringmain-bench")]
    pub topic: String,
    /// The broker's process, for what it uses; found by its address on this machine
    #[arg(long)]
    pub pid: Option<u32>,
    /// Keep the topic that this run created
    #[arg(long)]
    pub keep: bool,
    /// Bytes that are read back and compared after the run, at most
    #[arg(long, default_value_t = 1_073_741_824)]
    pub verify_bytes: u64,
    /// Measure the machine's floor first and print ratios to it
    #[arg(long)]
    pub floor: bool,
    /// Directory on the broker's disk, for --floor
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// Count the broker's system calls (needs perf)
    #[arg(long)]
    pub syscalls: bool,
    /// Count what such requests take on Ringmain's hot path, after each run (needs valgrind)
    #[arg(long)]
    pub instructions: bool,
    /// A directory with Kafka's jars, for its performance tools
    #[arg(long)]
    pub kafka_libs: Option<PathBuf>,
    /// librdkafka's rdkafka_performance
    #[arg(long)]
    pub rdkafka: Option<PathBuf>,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Clone, Debug, Group)]
pub struct RunArgs {
    /// Names (`--list` shows them; one without its variant is all of them) or files ending in .toml
    pub scenarios: Vec<String>,
    /// Show every scenario and end
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub lengths: LengthArgs,
    /// A goal missed is a failure (those that compare with another broker are for `compare`)
    #[arg(long)]
    pub goals: bool,
    #[command(flatten)]
    pub broker: BrokerArgs,
}

#[derive(Clone, Debug, Group)]
pub struct CompareArgs {
    /// Names (`run --list` shows them; one without its variant is all of them) or files ending in .toml
    #[arg(required = true)]
    pub scenarios: Vec<String>,
    /// ringmain, ringmain-one-core, kafka (as it comes), kafka-synced (flush.messages=1) or HOST:PORT of one that runs;
    /// ratios are of the first to each other
    #[arg(long = "peer", value_name = "PEER", value_parser = Kind::parse, default_values = ["ringmain", "kafka", "kafka-synced"])]
    pub peers: Vec<Kind>,
    /// How often each scenario runs on each peer
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub rounds: usize,
    #[command(flatten)]
    pub lengths: LengthArgs,
    /// Where the servers write: on the disk that is to be measured
    #[arg(long, default_value = "target/bench-compare")]
    pub dir: PathBuf,
    /// Where Kafka is installed (and librdkafka built, by scripts/librdkafka)
    #[arg(long, default_value = "target")]
    pub install_dir: PathBuf,
    /// The first of eight loopback ports that may be used
    #[arg(long, default_value_t = 29_110)]
    pub port: u16,
    /// Our server's program; the one beside this by default
    #[arg(long)]
    pub ringmain: Option<PathBuf>,
    /// Setting for `ringmain serve`; may repeat
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// librdkafka's rdkafka_performance
    #[arg(long)]
    pub rdkafka: Option<PathBuf>,
    /// Bytes that are read back and compared after each run, at most
    #[arg(long, default_value_t = 268_435_456)]
    pub verify_bytes: u64,
    /// Count the servers' system calls (needs perf)
    #[arg(long)]
    pub syscalls: bool,
    /// Count what such requests take on our hot path, after each run of ours (needs valgrind)
    #[arg(long)]
    pub instructions: bool,
    /// Do not measure the machine's floor first
    #[arg(long)]
    pub without_floor: bool,
    /// Keep the servers' data
    #[arg(long)]
    pub keep: bool,
    /// A goal missed is a failure
    #[arg(long)]
    pub goals: bool,
    #[command(flatten)]
    pub report: ReportArgs,
}

#[derive(Clone, Debug, Group)]
pub struct PageArgs {
    /// Reports as written by --json
    #[arg(required = true)]
    pub reports: Vec<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub html: PathBuf,
}

/// In place of what the scenario says.
#[derive(Clone, Copy, Debug, Default, Group)]
pub struct LengthArgs {
    /// Seconds measured
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Seconds of load before measuring begins
    #[arg(long, value_parser = seconds)]
    pub warmup: Option<f64>,
}

impl LengthArgs {
    pub fn apply(self, scenario: &mut Scenario) {
        scenario.seconds = self.seconds.unwrap_or(scenario.seconds);
        scenario.warmup = self.warmup.unwrap_or(scenario.warmup);
    }
}

#[derive(Clone, Debug, Group)]
pub struct ShapeArgs {
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
    /// Bytes of a batch at most; one record at least
    #[arg(long, default_value_t = 1_048_576)]
    pub batch_bytes: usize,
    /// Bytes of a record's value
    #[arg(long, default_value_t = 1024)]
    pub record_bytes: usize,
}

#[derive(Clone, Debug, Group)]
pub struct ProduceArgs {
    #[command(flatten)]
    pub broker: BrokerArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    pub lengths: LengthArgs,
    /// Requests in progress on each connection
    #[arg(long, default_value_t = 4, value_parser = positive, conflicts_with = "rate")]
    pub depth: usize,
    /// Records a second over all connections, on a schedule that does not wait for answers
    #[arg(long, value_parser = seconds)]
    pub rate: Option<f64>,
    /// How the schedule spreads them: uniform, poisson or bursts:N
    #[arg(long, default_value = "uniform", value_parser = arrivals)]
    pub arrivals: Arrivals,
    /// On a schedule: how long a batch waits for its records at most
    #[arg(long)]
    pub linger_ms: Option<f64>,
    /// Records have keys, which choose their partitions
    #[arg(long)]
    pub keyed: bool,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none", value_parser = codec)]
    pub codec: Codec,
    #[arg(long, value_enum, default_value = "all")]
    pub acks: Acks,
    /// Connections that consume at the tail, for end-to-end latency
    #[arg(long)]
    pub tail: Option<usize>,
}

#[derive(Clone, Debug, Group)]
pub struct FetchArgs {
    #[command(flatten)]
    pub broker: BrokerArgs,
    #[command(flatten)]
    pub shape: ShapeArgs,
    #[command(flatten)]
    pub lengths: LengthArgs,
    /// Bytes written into the topic if this run creates it
    #[arg(long, default_value_t = 268_435_456)]
    pub fill_bytes: u64,
    /// Consumer groups, each of which reads everything
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub groups: usize,
    /// Bytes of one answer at most
    #[arg(long, default_value_t = 52_428_800)]
    pub fetch_bytes: i32,
    /// Bytes of one partition in an answer at most; the default is that of Kafka's consumers
    #[arg(long, default_value_t = 1_048_576)]
    pub partition_bytes: i32,
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
#[derive(Clone, Copy, Debug, ValueEnum)]
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

fn codec(text: &str) -> Result<Codec, String> {
    Codec::from_name(text).ok_or_else(|| "none, gzip, snappy, lz4 or zstd".to_owned())
}

fn arrivals(text: &str) -> Result<Arrivals, String> {
    let wrong = || "uniform, poisson or bursts:N".to_owned();
    match text.split_once(':') {
        None if text == "uniform" => Ok(Arrivals::Uniform),
        None if text == "poisson" => Ok(Arrivals::Poisson),
        Some(("bursts", size)) => Ok(Arrivals::Bursts(size.parse().map_err(|_| wrong())?)),
        _ => Err(wrong()),
    }
}
