//! From settings as written to the [`Config`] that counts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::ServerId;

use super::machine::Machine;
use super::setting::ConfigError;
use super::topic::TopicDefaults;
use super::{
    Advertise, BrokerSettings, CleanerLimits, ClusterLimits, CommitLimits, Config, ConnectionLimits,
    ConsumerGroups, GroupLimits, GroupTimeLimits, OffsetsTopic, ScrubLimits, TopicCreation, address,
};

impl Config {
    /// Resolves settings for this machine.
    ///
    /// # Errors
    /// For addresses and CPU lists that are impossible on this machine. Single values were checked when they were written.
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
            cluster: cluster_limits(&settings),
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

    /// Reads what [`Config::with_changes`] can change: the settings whose row says `dynamic` and that this version acts on.
    pub(super) fn read_changeable(&mut self) -> Result<(), ConfigError> {
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

fn cluster_limits(settings: &BrokerSettings) -> ClusterLimits {
    ClusterLimits {
        session_ms: settings.number("broker.session.timeout.ms"),
        heartbeat_ms: settings.number("broker.heartbeat.interval.ms"),
        closed_ms: settings.number("ringmain.fence.closed.ms"),
        replica_lag_ms: settings.number("replica.lag.time.max.ms"),
        rebalance: settings.flag("auto.leader.rebalance.enable"),
        imbalance_check_ms: settings
            .number::<u64>("leader.imbalance.check.interval.seconds")
            .saturating_mul(1000),
        voters: match settings.required("ringmain.quorum.voters") {
            "5" => 5,
            "1" => 1,
            _ => 3,
        },
    }
}

fn topic_creation(settings: &BrokerSettings) -> TopicCreation {
    TopicCreation {
        partitions: settings.number("num.partitions"),
        // The table's default is that of a lone server: only a factor that somebody has set counts in every cluster.
        replication_factor: (!settings.layers("default.replication.factor").is_empty())
            .then(|| settings.number("default.replication.factor")),
        auto_create: settings.flag("auto.create.topics.enable"),
        delete_enabled: settings.flag("delete.topic.enable"),
        partitions_max: settings.number("ringmain.partitions.max"),
        topic_partitions_max: settings.number("ringmain.topic.partitions.max"),
    }
}
