//! Settings as written and settings as resolved.
//!
//! [`load()`] gathers what the command line, the environment and the settings file say (in this order of strength), checks
//! it against the table of [`broker`] settings and resolves it to a [`Config`]: plain values, the only form the rest of the
//! program sees. [`topic`] is the table of topic configs and what a partition's log makes of them.
//!
//! Some settings can be changed while the server runs (AlterConfigs): [`Config::with_changes`] gives the `Config` that then
//! counts. [`group`] and [`client_metrics`] are the tables of what groups and subscriptions to clients' metrics can be told.
//!
//! Knows nothing of shards, logs or sockets.

pub mod broker;
pub mod client_metrics;
pub mod group;
pub mod machine;
pub mod setting;
pub mod topic;

mod address;
mod parsed;
mod sources;
mod written;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::base::ServerId;
use machine::Machine;
use setting::{Described, Setting};
use topic::TopicDefaults;

pub use setting::ConfigError;
pub use sources::{Flag, Loaded, Sources, load};
pub use written::BrokerSettings;

/// How Metadata shows this server's shards to clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advertise {
    /// Per connection: a node per shard to clients known to bear it, one node to everyone else.
    Auto,
    /// A node per shard, each at its own port (the listen port + shard).
    ShardPorts,
    /// One node.
    Server,
    /// A node per shard, all at one port.
    Shards,
}

/// Everything the server goes by.
#[derive(Clone, Debug)]
pub struct Config {
    pub server_id: ServerId,
    /// As written: possibly relative, possibly not there yet.
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub advertise: Advertise,
    /// `None` = tell each client the address it connected to.
    pub advertised_host: Option<String>,
    /// `None` = the port of `listen`.
    pub advertised_port: Option<u16>,
    /// More nodes than this are never shown.
    pub advertise_nodes_max: u32,
    pub rack: Option<String>,
    /// The CPU of each shard, in shard order; never empty.
    pub shard_cpus: Vec<usize>,
    /// Over all shards: chunks, caches and frames in flight.
    pub memory_bytes: u64,
    pub connections: ConnectionLimits,
    /// Most connections from single addresses, instead of [`ConnectionLimits::per_ip_max`].
    pub per_ip_overrides: BTreeMap<IpAddr, u32>,
    pub commit: CommitLimits,
    /// A partition with this much waiting bypasses the commit log.
    pub direct_run_bytes: usize,
    /// A multiple of 4096.
    pub chunk_bytes: usize,
    /// Most bytes one fetch returns.
    pub fetch_bytes_max: u32,
    /// Fetch sessions kept, over all shards.
    pub fetch_sessions_max: usize,
    /// Most partitions in one page of DescribeTopicPartitions.
    pub describe_partitions_max: usize,
    pub producer_id_expiration_ms: u64,
    /// `log.retention.check.interval.ms`.
    pub retention_check_ms: u64,
    /// Whether a busy partition's old segment files are used again.
    pub segment_recycle: bool,
    pub cleaner: CleanerLimits,
    /// Free space below which producing is refused; `None` = as the size of the disk has it.
    pub disk_reserve_bytes: Option<u64>,
    pub scrub: ScrubLimits,
    pub topics: TopicCreation,
    pub groups: GroupLimits,
    pub offsets_topic: OffsetsTopic,
    pub topic_defaults: TopicDefaults,
    /// Most bytes that a batch's records may take, decompressed.
    pub inflated_batch_bytes_max: usize,
    /// Largest set of metrics a client may push, as sent.
    pub telemetry_bytes_max: i32,
    /// The settings as written, for [`Config::describe`].
    settings: BrokerSettings,
}

/// What clients may take of this server, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    pub count_max: u32,
    pub per_ip_max: u32,
    /// `None` = silent connections stay.
    pub idle_ms: Option<u64>,
    /// A larger request closes its connection.
    pub request_bytes_max: u32,
    /// Requests read and not yet answered.
    pub queued_request_bytes: u64,
    /// `None` = by how near the peer is.
    pub send_buffer_bytes: Option<u32>,
    /// `None` = as the kernel tunes it.
    pub receive_buffer_bytes: Option<u32>,
    pub backlog: u32,
}

/// Compaction, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanerLimits {
    pub enabled: bool,
    pub backoff_ms: u64,
    /// For maps of keys.
    pub memory_bytes: u64,
    /// Read and written.
    pub bytes_per_second: u64,
}

/// Verification in the background, over all shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScrubLimits {
    /// `None` = never.
    pub period_ms: Option<u64>,
    pub bytes_per_second: u64,
}

/// The commit log of each shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitLimits {
    /// A multiple of 4096.
    pub file_bytes: u64,
    pub files_max: usize,
}

/// Bounds and delays of consumer groups, above all classic ones.
#[derive(Clone, Debug)]
pub struct GroupLimits {
    /// `group.min.session.timeout.ms` to `group.max.session.timeout.ms`.
    pub session_timeout_ms: RangeInclusive<i32>,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// Groups of one shard's coordinators: its part of `ringmain.groups.max`.
    pub count_max: usize,
    /// `group.max.size`.
    pub size_max: usize,
    /// `offset.metadata.max.bytes`, which Kafka counts in UTF-16 units.
    pub metadata_max: usize,
    /// `offsets.retention.minutes`: how long an empty group's offsets are kept.
    pub retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_ms: u64,
    pub consumer: ConsumerGroups,
}

/// How `__consumer_offsets` is made when the first group asks for its coordinator.
#[derive(Clone, Copy, Debug)]
pub struct OffsetsTopic {
    pub partitions: i32,
    /// Bytes.
    pub segment_bytes: i64,
}

/// Groups of the new protocol (KIP-848).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroups {
    pub session_timeout_ms: u64,
    pub heartbeat_interval_ms: i32,
    pub told: GroupTimeLimits,
    /// Most members of a group.
    pub size_max: usize,
    /// Names of the ways to assign, the default first.
    pub assignors: Vec<String>,
    /// Classic groups become consumer groups when a new-style member joins.
    pub upgrade: bool,
    /// Consumer groups become classic groups when the last new-style member leaves.
    pub downgrade: bool,
}

/// Broker settings changed while the server runs, by name: those of all brokers, and this one's own, which win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub all: BTreeMap<String, String>,
    pub own: BTreeMap<String, String>,
}

/// The times that a group may be told to go by instead of the broker's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupTimeLimits {
    pub session_timeouts_ms: RangeInclusive<i32>,
    pub heartbeat_intervals_ms: RangeInclusive<i32>,
}

/// How topics come to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TopicCreation {
    pub partitions: i32,
    pub replication_factor: i16,
    pub auto_create: bool,
    pub delete_enabled: bool,
    /// Most partitions of all topics together.
    pub partitions_max: u32,
    /// Most partitions of one topic.
    pub topic_partitions_max: u32,
}

impl Config {
    /// What a server with these settings does on this machine.
    ///
    /// # Errors
    /// For addresses and CPU lists that make no sense here; single values were checked when written.
    pub fn resolve(settings: BrokerSettings, machine: &Machine) -> Result<Config, ConfigError> {
        let memory_bytes = memory_bytes(&settings, machine);
        let advertised = settings
            .text("advertised.listeners")
            .map(|value| address::host_port("advertised.listeners", value));
        let (listener_host, listener_port) = advertised.transpose()?.unzip();
        let own = settings.text("ringmain.advertise.host");
        let own = own.map(|value| address::advertised("ringmain.advertise.host", value)).transpose()?;
        let (own_host, own_port) = own.unzip();
        let shard_cpus = machine.shard_cpus(settings.required("ringmain.shards"))?;
        let mut config = Config {
            server_id: server_id(&settings)?,
            data_dir: data_dir(&settings)?,
            listen: address::socket("listeners", settings.required("listeners"))?,
            admin: address::socket("ringmain.admin", settings.required("ringmain.admin"))?,
            advertise: advertise(settings.required("ringmain.advertise.view")),
            advertised_host: own_host.or(listener_host),
            advertised_port: own_port.flatten().or(listener_port),
            advertise_nodes_max: settings.number("ringmain.advertise.nodes.max"),
            rack: settings.text("broker.rack").map(str::to_owned),
            shard_cpus: shard_cpus.clone(),
            memory_bytes,
            connections: connection_limits(&settings, memory_bytes),
            per_ip_overrides: BTreeMap::new(),
            commit: CommitLimits {
                file_bytes: crate::base::block_ceil(settings.number("ringmain.commit.file.bytes")),
                files_max: settings.number("ringmain.commit.files.max"),
            },
            direct_run_bytes: settings.number("ringmain.direct.run.bytes"),
            chunk_bytes: settings
                .number::<usize>("ringmain.chunk.bytes")
                .next_multiple_of(crate::base::BLOCK_BYTES),
            fetch_bytes_max: settings.number("fetch.max.bytes"),
            fetch_sessions_max: settings.number("max.incremental.fetch.session.cache.slots"),
            describe_partitions_max: settings.number("max.request.partition.size.limit"),
            producer_id_expiration_ms: settings.number("producer.id.expiration.ms"),
            retention_check_ms: settings.number("log.retention.check.interval.ms"),
            segment_recycle: settings.flag("ringmain.segment.recycle"),
            cleaner: cleaner_limits(&settings),
            disk_reserve_bytes: settings.limit("ringmain.disk.reserve.bytes"),
            scrub: ScrubLimits {
                period_ms: settings.limit("ringmain.scrub.period.ms"),
                bytes_per_second: settings.number("ringmain.scrub.bytes.per.second"),
            },
            topics: topic_creation(&settings),
            groups: group_limits(&settings, shard_cpus.len()),
            offsets_topic: OffsetsTopic {
                partitions: settings.number("offsets.topic.num.partitions"),
                segment_bytes: settings.number("offsets.topic.segment.bytes"),
            },
            topic_defaults: TopicDefaults::default(),
            inflated_batch_bytes_max: settings.number("ringmain.inflated.batch.max.bytes"),
            telemetry_bytes_max: settings.number("telemetry.max.bytes"),
            settings,
        };
        config.check_consumer_groups()?;
        config.read_changeable()?;
        Ok(config)
    }

    /// The same with settings changed while it runs; changes this `Config` has already are forgotten.
    ///
    /// # Errors
    /// For a change that [`Config::check_change`] refuses.
    pub fn with_changes(&self, changes: &Changes) -> Result<Config, ConfigError> {
        for (name, value) in changes.all.iter().chain(&changes.own) {
            Config::check_change(name, value)?;
        }
        let mut changed = self.clone();
        changed.settings.changes = changes.clone();
        changed.read_changeable()?;
        Ok(changed)
    }

    /// Whether a setting can be given this value while the server runs.
    ///
    /// # Errors
    /// For a setting that is read at start only, a secret, or a value that is not allowed.
    pub fn check_change(name: &str, value: &str) -> Result<(), ConfigError> {
        changeable(name)?.check(value)
    }

    /// What [`Config::with_changes`] can change: the settings whose row says `dynamic` and that this version acts on.
    fn read_changeable(&mut self) -> Result<(), ConfigError> {
        let settings = &self.settings;
        self.connections.count_max = settings.number("max.connections");
        self.connections.per_ip_max = settings.number("max.connections.per.ip");
        self.cleaner = cleaner_limits(settings);
        self.producer_id_expiration_ms = settings.number("producer.id.expiration.ms");
        let overrides = "max.connections.per.ip.overrides";
        self.per_ip_overrides = address::limits(overrides, settings.required(overrides))?;
        self.topic_defaults = TopicDefaults::from_broker(|name| settings.layers(name));
        Ok(())
    }

    /// Most connections that may be open from an address.
    #[must_use]
    pub fn connections_max(&self, from: IpAddr) -> u32 {
        self.per_ip_overrides.get(&from).copied().unwrap_or(self.connections.per_ip_max)
    }

    fn check_consumer_groups(&self) -> Result<(), ConfigError> {
        let groups = &self.groups.consumer;
        let session = i32::try_from(groups.session_timeout_ms).unwrap_or(i32::MAX);
        let what = if !groups.told.session_timeouts_ms.contains(&session) {
            "group.consumer.session.timeout.ms is not between group.consumer.min.session.timeout.ms and \
             group.consumer.max.session.timeout.ms"
        } else if !groups.told.heartbeat_intervals_ms.contains(&groups.heartbeat_interval_ms) {
            "group.consumer.heartbeat.interval.ms is not between group.consumer.min.heartbeat.interval.ms and \
             group.consumer.max.heartbeat.interval.ms"
        } else if groups.heartbeat_interval_ms >= session {
            "group.consumer.heartbeat.interval.ms is not below group.consumer.session.timeout.ms"
        } else {
            return Ok(());
        };
        Err(ConfigError::Contradiction(what.to_owned()))
    }

    /// What was changed since the start.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.settings.changes
    }

    /// Shards of this server.
    #[must_use]
    pub fn shards(&self) -> u16 {
        u16::try_from(self.shard_cpus.len()).expect("shard counts are checked")
    }

    /// The number in force of a setting that has a default.
    fn whole_number(&self, name: &str) -> i64 {
        self.settings.number(name)
    }

    /// Every broker setting as DescribeConfigs shows it.
    #[must_use]
    pub fn describe(&self) -> Vec<Described> {
        self.settings.describe()
    }

    /// One setting of the table.
    fn describe_one(&self, name: &'static str) -> Described {
        self.settings.describe_one(name.into(), broker::find(name).expect("a setting of the table"))
    }
}

impl Default for Config {
    /// No settings, one CPU, 1 GiB of memory: for tests of what only reads a `Config`.
    fn default() -> Config {
        let machine = Machine { cpus: vec![0], memory_bytes: 1 << 30 };
        Config::resolve(BrokerSettings::default(), &machine).expect("the table's defaults are valid")
    }
}

/// The setting of this name, if it can change while the server runs; [`setting::UNKNOWN`] for a name the table does not have.
///
/// # Errors
/// For one that is read at start only, and a secret.
pub fn changeable(name: &str) -> Result<&'static Setting, ConfigError> {
    let Some(setting) = broker::find(name) else { return Ok(&setting::UNKNOWN) };
    if setting.update == setting::Update::ReadOnly {
        return Err(ConfigError::ReadOnly(name.to_owned()));
    }
    if setting.is_sensitive() {
        return Err(ConfigError::Secret(name.to_owned()));
    }
    Ok(setting)
}

fn cleaner_limits(settings: &BrokerSettings) -> CleanerLimits {
    CleanerLimits {
        enabled: settings.flag("log.cleaner.enable"),
        backoff_ms: settings.number("log.cleaner.backoff.ms"),
        memory_bytes: settings.number("log.cleaner.dedupe.buffer.size"),
        bytes_per_second: bytes_per_second(settings.required("log.cleaner.io.max.bytes.per.second")),
    }
}

/// Kafka's default is no limit; beside producers the shards keep to less (`shard::background`).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn bytes_per_second(written: &str) -> u64 {
    const MAX: f64 = 1_073_741_824.0;
    written.parse::<f64>().unwrap_or(MAX).clamp(1.0, MAX) as u64
}

fn memory_bytes(settings: &BrokerSettings, machine: &Machine) -> u64 {
    const AUTOMATIC_MAX: u64 = 4 << 30;
    match settings.number("ringmain.memory.bytes") {
        0 => (machine.memory_bytes / 4).min(AUTOMATIC_MAX),
        written => written,
    }
}

/// `broker.id` is an older name of `node.id`.
fn server_id(settings: &BrokerSettings) -> Result<ServerId, ConfigError> {
    let older: i64 = settings.number("broker.id");
    if older < 0 {
        return Ok(ServerId(settings.number("node.id")));
    }
    let is_told = !settings.layers("node.id").is_empty();
    if is_told && settings.signed("node.id") != older {
        let message = "broker.id and node.id are two names of one setting, and have two values";
        return Err(ConfigError::Contradiction(message.to_owned()));
    }
    Ok(ServerId(settings.number("broker.id")))
}

fn data_dir(settings: &BrokerSettings) -> Result<PathBuf, ConfigError> {
    let (key, value) = match settings.text("log.dirs") {
        Some(value) => ("log.dirs", value),
        None => ("log.dir", settings.required("log.dir")),
    };
    if value.is_empty() || value.contains(',') {
        let expected = "one directory: Ringmain keeps all data of a server in one".to_owned();
        return Err(ConfigError::Invalid { key: key.to_owned(), value: value.to_owned(), expected });
    }
    Ok(PathBuf::from(value))
}

fn advertise(name: &str) -> Advertise {
    match name {
        "shard-ports" => Advertise::ShardPorts,
        "server" => Advertise::Server,
        "shards" => Advertise::Shards,
        _ => Advertise::Auto,
    }
}

fn connection_limits(settings: &BrokerSettings, memory_bytes: u64) -> ConnectionLimits {
    ConnectionLimits {
        count_max: settings.number("max.connections"),
        per_ip_max: settings.number("max.connections.per.ip"),
        idle_ms: settings.limit("connections.max.idle.ms"),
        request_bytes_max: settings.number("socket.request.max.bytes"),
        queued_request_bytes: settings.limit("queued.max.request.bytes").unwrap_or(memory_bytes / 4),
        send_buffer_bytes: settings.limit("socket.send.buffer.bytes"),
        receive_buffer_bytes: settings.limit("socket.receive.buffer.bytes"),
        backlog: settings.number("socket.listen.backlog.size"),
    }
}

fn group_limits(settings: &BrokerSettings, shards: usize) -> GroupLimits {
    let minutes: i64 = settings.number("offsets.retention.minutes");
    GroupLimits {
        session_timeout_ms: settings.number("group.min.session.timeout.ms")
            ..=settings.number("group.max.session.timeout.ms"),
        initial_rebalance_delay_ms: settings.number("group.initial.rebalance.delay.ms"),
        count_max: settings.number::<usize>("ringmain.groups.max").div_ceil(shards),
        size_max: settings.number("group.max.size"),
        metadata_max: settings.number("offset.metadata.max.bytes"),
        retention_ms: minutes.saturating_mul(60_000),
        retention_check_ms: settings.number("offsets.retention.check.interval.ms"),
        consumer: consumer_groups(settings),
    }
}

fn consumer_groups(settings: &BrokerSettings) -> ConsumerGroups {
    let migration = settings.required("group.consumer.migration.policy");
    let assignors = settings.required("group.consumer.assignors").split(',');
    ConsumerGroups {
        session_timeout_ms: settings.number("group.consumer.session.timeout.ms"),
        heartbeat_interval_ms: settings.number("group.consumer.heartbeat.interval.ms"),
        told: GroupTimeLimits {
            session_timeouts_ms: settings.number("group.consumer.min.session.timeout.ms")
                ..=settings.number("group.consumer.max.session.timeout.ms"),
            heartbeat_intervals_ms: settings.number("group.consumer.min.heartbeat.interval.ms")
                ..=settings.number("group.consumer.max.heartbeat.interval.ms"),
        },
        size_max: settings.number("group.consumer.max.size"),
        assignors: assignors.map(|name| name.trim().to_owned()).collect(),
        upgrade: matches!(migration, "bidirectional" | "upgrade"),
        downgrade: matches!(migration, "bidirectional" | "downgrade"),
    }
}

fn topic_creation(settings: &BrokerSettings) -> TopicCreation {
    TopicCreation {
        partitions: settings.number("num.partitions"),
        replication_factor: settings.number("default.replication.factor"),
        auto_create: settings.flag("auto.create.topics.enable"),
        delete_enabled: settings.flag("delete.topic.enable"),
        partitions_max: settings.number("ringmain.partitions.max"),
        topic_partitions_max: settings.number("ringmain.topic.partitions.max"),
    }
}

#[cfg(test)]
mod tests {
    use super::setting::{Origin, Source};
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<BrokerSettings, ConfigError> {
        let mut settings = BrokerSettings::default();
        pairs.iter().try_for_each(|(key, value)| settings.write(key, value, Source::CommandLine))?;
        Ok(settings)
    }

    fn resolved(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::resolve(settings(pairs)?, &Machine { cpus: vec![0, 1], memory_bytes: 8 << 30 })
    }

    #[test]
    fn a_server_without_settings_listens_everywhere_on_all_cores() {
        let config = resolved(&[]).expect("defaults");
        assert_eq!(config.listen.to_string(), "0.0.0.0:9092");
        assert_eq!(config.admin.to_string(), "127.0.0.1:9644");
        assert_eq!((config.shards(), config.memory_bytes), (2, 2 << 30));
        assert_eq!((config.data_dir.to_str(), config.server_id), (Some("./ringmain-data"), ServerId(1)));
        assert_eq!((config.advertise, config.advertised_host), (Advertise::Auto, None));
        assert_eq!(config.connections.queued_request_bytes, 512 << 20);
    }

    #[test]
    fn settings_reach_their_fields() {
        let config = resolved(&[
            ("log.dirs", "/data"),
            ("node.id", "7"),
            ("advertised.listeners", "PLAINTEXT://broker.example:19092"),
            ("connections.max.idle.ms", "-1"),
            ("ringmain.chunk.bytes", "5000"),
            ("log.flush.interval.messages", "1000"),
        ])
        .expect("valid");
        assert_eq!((config.server_id, config.data_dir), (ServerId(7), PathBuf::from("/data")));
        assert_eq!(config.advertised_host.as_deref(), Some("broker.example"));
        assert_eq!((config.advertised_port, config.connections.idle_ms), (Some(19092), None));
        assert_eq!(config.chunk_bytes, 8192);
        let topic = topic::TopicSettings::resolve(&BTreeMap::new(), &config.topic_defaults).expect("valid");
        assert_eq!(topic.flush_messages, 1000);
    }

    #[test]
    fn changes_win_over_what_was_written_and_own_ones_over_those_of_all() {
        let config = resolved(&[("log.retention.ms", "5"), ("max.connections", "7")]).expect("valid");
        let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let mut changes = Changes { all: one("log.retention.ms", "6"), own: one("log.retention.ms", " 8") };
        changes.own.extend(one("max.connections", "9"));
        let changed = config.with_changes(&changes).expect("allowed");
        assert_eq!(changed.connections.count_max, 9);
        let overrides =
            Changes { all: one("max.connections.per.ip.overrides", "::1:3"), ..Changes::default() };
        let limited = config.with_changes(&overrides).expect("allowed");
        let [here, there] = ["::1", "::2"].map(|text| text.parse().expect("an address"));
        assert_eq!(
            (limited.connections_max(here), limited.connections_max(there)),
            (3, i32::MAX.cast_unsigned())
        );
        let name = Changes { all: one("max.connections.per.ip.overrides", "name:3"), ..Changes::default() };
        assert!(config.with_changes(&name).is_err());
        let topic = topic::TopicSettings::resolve(&BTreeMap::new(), &changed.topic_defaults).expect("valid");
        assert_eq!(topic.retention_ms, Some(8));
        let described = changed.describe();
        let one = described.iter().find(|one| one.setting.name == "log.retention.ms").expect("listed");
        let synonyms: Vec<_> =
            one.synonyms.iter().map(|it| (it.value.as_deref(), it.origin.code())).collect();
        assert_eq!((one.value.as_deref(), one.origin), (Some("8"), Origin::Broker));
        assert_eq!(synonyms, [(Some(" 8"), 2), (Some("6"), 3), (Some("5"), 4)]);
        let back = changed.with_changes(&Changes::default()).expect("nothing to refuse");
        assert_eq!((back.connections, back.topic_defaults), (config.connections, config.topic_defaults));
    }

    #[test]
    fn what_is_read_at_start_cannot_be_changed() {
        for (name, value, part) in [
            ("node.id", "3", "dynamically"),
            ("ssl.key.password", "geheim", "secret"),
            ("max.connections", "many", "Invalid value"),
        ] {
            let refused = Config::check_change(name, value).expect_err("refused").to_string();
            assert!(refused.contains(part) && !refused.contains("geheim"), "{refused}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let refused = |key: &str, value: &str| resolved(&[(key, value)]).expect_err("refused").to_string();
        assert_eq!(refused("num.partition", "3"), "unknown setting num.partition; is num.partitions meant?");
        assert!(refused("num.partitions", "0").contains("from 1 to 2147483647"));
        assert!(refused("listeners", "SSL://:9093").contains("PLAINTEXT"));
        let ids = |pairs| resolved(pairs).map(|config| config.server_id.0);
        assert_eq!(ids(&[("broker.id", "7")]), Ok(7));
        assert_eq!(ids(&[("broker.id", "7"), ("node.id", "7")]), Ok(7));
        assert!(ids(&[("broker.id", "7"), ("node.id", "1")]).is_err());
        assert!(refused("listeners", "nowhere").contains("HOST:PORT"));
        assert!(refused("log.dirs", "/a,/b").contains("one directory"));
        assert!(refused("ringmain.shards", "3").contains("2"));
        assert!(refused("group.consumer.session.timeout.ms", "5").contains("group.consumer.min.session"));
    }

    #[test]
    fn stronger_sources_win_whatever_the_order() {
        let mut settings = BrokerSettings::default();
        settings.write("node.id", "3", Source::CommandLine).expect("valid");
        settings.write("node.id", "4", Source::File).expect("valid");
        settings.write("log.cleaner.threads", "2", Source::File).expect("valid");
        assert_eq!(settings.text("node.id"), Some("3"));
        assert_eq!(settings.ineffective().collect::<Vec<_>>(), ["log.cleaner.threads"]);
    }

    #[test]
    fn descriptions_show_defaults_and_what_was_written() {
        let described = resolved(&[("num.partitions", "6")]).expect("valid").describe();
        let one = described.iter().find(|one| one.setting.name == "num.partitions").expect("listed");
        assert_eq!(
            (one.value.as_deref(), one.origin, one.synonyms.len()),
            (Some("6"), Origin::StaticBroker, 2)
        );
    }
}
