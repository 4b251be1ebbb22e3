//! What a run does, as written in bench/scenarios/*.toml: a topic, and the parts that load it at the same time. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ringmain::record::Codec;
use serde::{Deserialize, Serialize};

use crate::batch::MARK_BYTES;
use crate::schedule::Arrivals;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// One line for --list.
    pub about: String,
    /// Seconds measured, and of load before measuring begins.
    #[serde(default = "seconds")]
    pub seconds: f64,
    #[serde(default = "warmup")]
    pub warmup: f64,
    /// Loader threads of each part.
    #[serde(default = "threads")]
    pub threads: usize,
    #[serde(default)]
    pub topic: TopicPlan,
    /// Written before anything is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<FillPlan>,
    /// Another topic, for the broker to be busy with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<BesidePlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub produce: Option<ProducePlan>,
    /// Consumers that keep up with the producers: end to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<TailPlan>,
    /// Consumers of what the topic was filled with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<ReadPlan>,
    /// Another client as load, instead of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolPlan>,
    /// Measured with no load at all, once the topic is there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub idle: bool,
    /// Percent of the disk that is taken before the run begins, by a file that goes with the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_full_percent: Option<u8>,
    /// What it is about: these come first and are compared.
    #[serde(default)]
    pub figures: Vec<String>,
    #[serde(default)]
    pub goals: Vec<Goal>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct TopicPlan {
    pub partitions: usize,
    pub replication_factor: i16,
    pub configs: BTreeMap<String, String>,
}

impl Default for TopicPlan {
    fn default() -> TopicPlan {
        TopicPlan { partitions: 1, replication_factor: 1, configs: BTreeMap::new() }
    }
}

/// The batches of a load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BatchPlan {
    /// Bytes of a batch at most; one record at least, so that 1 is one record a batch.
    pub bytes: usize,
    /// Bytes of a record's value.
    pub record_bytes: usize,
    /// On a schedule: a batch waits so long for its records at most.
    pub linger_ms: Option<f64>,
    pub keyed: bool,
    #[serde(with = "codec_name")]
    pub codec: Codec,
}

impl Default for BatchPlan {
    fn default() -> BatchPlan {
        BatchPlan { bytes: 1_048_576, record_bytes: 1024, linger_ms: None, keyed: false, codec: Codec::None }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FillPlan {
    pub bytes: u64,
    #[serde(default)]
    pub batch: BatchPlan,
}

/// A topic that is filled before the load begins and gets the settings `then` as it begins, its warm-up included.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BesidePlan {
    pub topic: TopicPlan,
    pub fill: FillPlan,
    pub then: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProducePlan {
    pub connections: usize,
    #[serde(default)]
    pub batch: BatchPlan,
    pub pace: Pace,
    #[serde(default = "all")]
    pub acks: i16,
}

/// When requests are made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
pub enum Pace {
    /// So many in progress on each connection.
    Closed { depth: usize },
    /// On a schedule that does not wait for answers; over all connections.
    Open {
        #[serde(rename = "records-per-second")]
        records_per_second: f64,
        #[serde(default)]
        arrivals: Arrivals,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TailPlan {
    pub connections: usize,
    /// Each reads everything.
    #[serde(default = "one")]
    pub groups: usize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ReadPlan {
    pub connections: usize,
    /// Each reads everything.
    pub groups: usize,
    /// Bytes of one answer at most.
    pub fetch_bytes: i32,
    /// Bytes of one partition in an answer at most; the default is that of Kafka's consumers.
    pub partition_bytes: i32,
    /// Once from start to end, however long it takes, instead of again and again.
    pub once: bool,
    /// After the page cache has been given up, and the broker started anew where this run started it.
    pub cold: bool,
}

impl Default for ReadPlan {
    fn default() -> ReadPlan {
        let (fetch_bytes, partition_bytes) = (52_428_800, 1_048_576);
        ReadPlan { connections: 1, groups: 1, fetch_bytes, partition_bytes, once: false, cold: false }
    }
}

/// A client that is not ours, and what it is asked to do: `{records}` and the like stand for this run's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ToolPlan {
    pub name: ToolName,
    pub records: u64,
    pub record_bytes: usize,
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Records a second; as fast as it can without.
    pub throughput: Option<u64>,
    /// The first of the records, which no figure counts; kafka-producer-perf-test only.
    #[serde(default)]
    pub warmup_records: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToolName {
    KafkaProducerPerfTest,
    KafkaConsumerPerfTest,
    RdkafkaProducer,
    RdkafkaConsumer,
}

/// What a figure has to reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Goal {
    pub figure: String,
    /// `floor`, a peer, or another scenario on the same peer; without, the value itself counts.
    pub of: Option<String>,
    /// The figure it is compared with there, if not the same.
    pub figure_of: Option<String>,
    pub at_least: Option<f64>,
    pub at_most: Option<f64>,
}

impl Goal {
    pub fn is_met(&self, value: f64) -> bool {
        self.at_least.is_none_or(|least| value >= least) && self.at_most.is_none_or(|most| value <= most)
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, value) = match (self.at_least, self.at_most) {
            (Some(least), _) => ("≥", least),
            (None, most) => ("≤", most.unwrap_or(f64::INFINITY)),
        };
        match &self.of {
            Some(of) => write!(f, "{sign} {value} x {of}"),
            None => write!(f, "{sign} {value}"),
        }
    }
}

impl Scenario {
    /// What no run could make sense of.
    pub fn check(&self) -> Result<(), String> {
        let beside = self.beside.as_ref();
        let fills = self.fill.into_iter().chain(beside.map(|beside| beside.fill));
        let batches = fills.map(|fill| fill.batch).chain(self.produce.map(|it| it.batch));
        for batch in batches {
            if batch.record_bytes < MARK_BYTES {
                return Err(format!(
                    "records are at least {MARK_BYTES} bytes: they carry the mark they are checked by"
                ));
            }
        }
        let loads = [self.produce.is_some(), self.read.is_some(), self.tool.is_some(), self.idle];
        if !loads.contains(&true) {
            return Err("there is nothing to measure: it needs produce, read, tool or idle".to_owned());
        }
        if self.fill.is_some()
            && self.produce.is_some_and(|produce| self.fill.is_some_and(|fill| fill.batch != produce.batch))
        {
            return Err(
                "fill and produce write batches of one kind, or reading could not tell them apart".to_owned()
            );
        }
        if self.tail.is_some() && self.produce.is_none() {
            return Err("a tail reads what is produced: it needs produce".to_owned());
        }
        if let Some(produce) = self.produce {
            let is_compressed = produce.batch.codec != Codec::None;
            if is_compressed && (self.tail.is_some() || produce.batch.keyed) {
                return Err(
                    "compressed batches do not say when they were due, nor to whom a key belongs".to_owned()
                );
            }
            if is_compressed && produce.connections > self.topic.partitions {
                return Err("compressed batches need a partition for each connection".to_owned());
            }
            if let Pace::Open { records_per_second, .. } = produce.pace
                && records_per_second.partial_cmp(&0.0) != Some(Ordering::Greater)
            {
                return Err("a schedule needs records-per-second".to_owned());
            }
        }
        let partitions = [Some(self.topic.partitions), beside.map(|beside| beside.topic.partitions)];
        let counts = [Some(self.threads), self.produce.map(|it| it.connections)];
        let readers = [self.tail.map(|it| it.connections), self.read.map(|it| it.connections)];
        let groups = [self.tail.map(|it| it.groups), self.read.map(|it| it.groups)];
        if counts.into_iter().chain(partitions).chain(readers).chain(groups).flatten().any(|count| count == 0)
        {
            return Err("threads, partitions, connections and groups are at least 1".to_owned());
        }
        Ok(())
    }
}

mod codec_name {
    use ringmain::record::Codec;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(codec: &Codec, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(codec.name())
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Codec, D::Error> {
        let name = String::deserialize(from)?;
        Codec::from_name(&name).ok_or_else(|| D::Error::custom("none, gzip, snappy, lz4 or zstd"))
    }
}

fn seconds() -> f64 {
    5.0
}

fn warmup() -> f64 {
    1.0
}

fn threads() -> usize {
    2
}

fn one() -> usize {
    1
}

fn all() -> i16 {
    -1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}
