//! Settings as written and settings as resolved.
//!
//! [`load()`] reads settings from the command line, the environment and the settings file (in this order of strength),
//! checks them against the table of [`broker`] settings, and resolves them to a [`Config`]: plain values, the only form that
//! the rest of the program sees. [`topic`] has the table of topic configs, and what a partition's log makes of them.
//!
//! Some settings can be changed while the server runs (AlterConfigs): [`Config::with_changes`] gives the `Config` that then
//! counts. [`group`] and [`client_metrics`] have the tables of configs of groups and of subscriptions to clients' metrics.
//!
//! Knows nothing of shards, logs or sockets.

pub mod broker;
pub mod client_metrics;
pub mod group;
pub mod machine;
pub mod setting;
pub mod topic;

mod address;
mod limits;
mod resolve;
mod sources;
mod written;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::base::ServerId;
use machine::Machine;
use setting::{Described, Setting};
use topic::TopicDefaults;

pub use limits::{
    Changes, CleanerLimits, ClusterLimits, CommitLimits, ConnectionLimits, ConsumerGroups, GroupLimits,
    GroupTimeLimits, OffsetsTopic, ScrubLimits, TopicCreation,
};
pub use setting::ConfigError;
pub use sources::{Flag, Loaded, Sources, load};
pub use written::BrokerSettings;

/// How Metadata shows this server's shards to clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advertise {
    /// Decided per connection: a node per shard for clients that say which node they mean, one node for all others.
    Auto,
    /// A node per shard, each at its own port (the listen port + shard).
    ShardPorts,
    /// One node.
    Server,
    /// A node per shard, all at one port.
    Shards,
}

/// All settings of a server, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    pub server_id: ServerId,
    /// The data directory as written: the path may be relative, and the directory may not exist yet.
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub advertise: Advertise,
    /// The host that clients are told; `None` = the address that each client connected to.
    pub advertised_host: Option<String>,
    /// The port that clients are told; `None` = the port of `listen`.
    pub advertised_port: Option<u16>,
    /// Most nodes that clients are shown.
    pub advertise_nodes_max: u32,
    pub rack: Option<String>,
    /// The CPU of each shard, in shard order; never empty.
    pub shard_cpus: Vec<usize>,
    /// Memory of all shards together, for chunks, caches and frames in flight.
    pub memory_bytes: u64,
    pub connections: ConnectionLimits,
    /// Most connections from single addresses, instead of [`ConnectionLimits::per_ip_max`].
    pub per_ip_overrides: BTreeMap<IpAddr, u32>,
    pub commit: CommitLimits,
    /// Bytes from which a batch is written directly to its segment, not to the commit log.
    pub direct_run_bytes: usize,
    /// Bytes of a chunk: a multiple of 4096.
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
    /// Free space below which producing is refused; `None` = computed from the size of the disk.
    pub disk_reserve_bytes: Option<u64>,
    pub scrub: ScrubLimits,
    pub topics: TopicCreation,
    pub cluster: ClusterLimits,
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

impl Config {
    /// This `Config` with other changes: those it has already are replaced by `changes`.
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

    /// Most connections that may be open from an address.
    #[must_use]
    pub fn connections_max(&self, from: IpAddr) -> u32 {
        self.per_ip_overrides.get(&from).copied().unwrap_or(self.connections.per_ip_max)
    }

    /// The changes since the start.
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

    /// One setting of the table as DescribeConfigs shows it.
    fn describe_one(&self, name: &'static str) -> Described {
        self.settings.describe_one(name.into(), broker::find(name).expect("a setting of the table"))
    }
}

impl Default for Config {
    /// A `Config` without settings, with one CPU and 1 GiB of memory, for tests of code that only reads a `Config`.
    fn default() -> Config {
        let machine = Machine { cpus: vec![0], memory_bytes: 1 << 30 };
        Config::resolve(BrokerSettings::default(), &machine).expect("the table's defaults are valid")
    }
}

/// The setting of this name, if it can change while the server runs; [`setting::UNKNOWN`] for a name the table does not have.
///
/// # Errors
/// For a setting that is read at start only, and for a secret.
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
