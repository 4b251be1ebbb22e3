//! What a topic can be told, by Kafka's names, and what a partition's log makes of it, as plain numbers.
//!
//! A topic's own configs win over the server's settings of the matching broker name (`segment.ms` over `log.roll.ms`
//! over `log.roll.hours`), those over the default.

use std::collections::BTreeMap;

use super::broker;
use super::setting::{ConfigError, Described, Origin, Setting, Synonym, list};

const NEVER: &str = "9223372036854775807";

/// A topic config and the broker settings it inherits from, strongest first.
struct Row {
    setting: Setting,
    inherits: &'static [Inherit],
}

/// A broker setting and how many of the topic's units one of its units is.
type Inherit = (&'static str, i64);

const fn row(inherits: &'static [Inherit], setting: Setting) -> Row {
    Row { setting: setting.dynamic(), inherits }
}

/// What Java can allocate at most, as Kafka has it.
const DECOMPRESSED_RECORD_BYTES_MAX: i64 = 2_147_483_639;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Every topic config of Kafka 4.4 and ours, by name.
static ROWS: [Row; 38] = [
    row(
        &[("log.cleanup.policy", 1)],
        Setting::list(
            "cleanup.policy",
            "delete",
            "What happens to old segments: delete drops them by age and size, compact keeps the last record of each key; \
             both may be named.",
        )
        .each_of(&["compact", "delete"])
        .acts(),
    ),
    row(
        &[("compression.gzip.level", 1)],
        Setting::int("compression.gzip.level", "-1", -1, "Level for gzip where the server compresses; -1 is gzip's own.")
            .one_of(&["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"])
            .acts(),
    ),
    row(
        &[("compression.lz4.level", 1)],
        Setting::int("compression.lz4.level", "9", 1, "Level for lz4 where the server compresses.").within(1, 17),
    ),
    row(
        &[("compression.type", 1)],
        Setting::string(
            "compression.type",
            "producer",
            "Codec of stored batches; producer keeps batches as they came. Others are compressed anew when they come, \
             which costs the server's processor time.",
        )
        .one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        .acts(),
    ),
    row(
        &[("compression.zstd.level", 1)],
        Setting::int("compression.zstd.level", "3", -131_072, "Level for zstd where the server compresses.")
            .within(-131_072, 22)
            .acts(),
    ),
    row(
        &[("log.cleaner.delete.retention.ms", 1)],
        Setting::long("delete.retention.ms", "86400000", 0, "How long compaction keeps the marker of a deleted key.").acts(),
    ),
    row(
        &[],
        Setting::boolean(
            "errors.deadletterqueue.group.enable",
            "false",
            "Whether share groups may write the records they give up to this topic.",
        ),
    ),
    row(
        &[("log.segment.delete.delay.ms", 1)],
        Setting::long("file.delete.delay.ms", "60000", 0, "How long a dropped segment's files stay on disk."),
    ),
    row(
        &[("log.flush.interval.messages", 1)],
        Setting::long(
            "flush.messages",
            "1",
            1,
            "Records a partition may acknowledge before they are synced. 1, the default here, syncs before each \
             acknowledgement.",
        )
        .acts(),
    ),
    row(
        &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)],
        Setting::long("flush.ms", NEVER, 0, "Longest time an acknowledged record may wait for its sync.").acts(),
    ),
    row(
        &[],
        Setting::list(
            "follower.replication.throttled.replicas",
            "",
            "Replicas whose catching up is throttled on the follower, as partition:broker pairs, or *.",
        )
        .throttled_replicas(),
    ),
    row(
        &[("log.index.interval.bytes", 1)],
        Setting::int("index.interval.bytes", "4096", 0, "Bytes of log between two entries of its offset index.").acts(),
    ),
    row(
        &[],
        Setting::list(
            "leader.replication.throttled.replicas",
            "",
            "Replicas whose catching up is throttled on the leader, as partition:broker pairs, or *.",
        )
        .throttled_replicas(),
    ),
    row(
        &[("log.local.retention.bytes", 1)],
        Setting::long(
            "local.retention.bytes",
            "-2",
            -2,
            "Bytes kept on local disk of a topic with remote storage; -2 means as retention.bytes.",
        ),
    ),
    row(
        &[("log.local.retention.ms", 1)],
        Setting::long(
            "local.retention.ms",
            "-2",
            -2,
            "Time records stay on local disk of a topic with remote storage; -2 means as retention.ms.",
        ),
    ),
    row(
        &[("log.cleaner.max.compaction.lag.ms", 1)],
        Setting::long("max.compaction.lag.ms", NEVER, 1, "Longest time a record escapes compaction.").acts(),
    ),
    row(
        &[("max.decompressed.message.bytes", 1)],
        Setting::int(
            "max.decompressed.message.bytes",
            "2147483639",
            1,
            "Largest single record of a compressed batch that is accepted, decompressed.",
        )
        .within(1, DECOMPRESSED_RECORD_BYTES_MAX)
        .acts(),
    ),
    row(
        &[("message.max.bytes", 1)],
        Setting::int("max.message.bytes", "1048588", 0, "Largest record batch accepted, as sent and as stored.").acts(),
    ),
    row(
        &[("log.message.timestamp.after.max.ms", 1)],
        Setting::long(
            "message.timestamp.after.max.ms",
            "3600000",
            0,
            "How far ahead of the server's clock a record's timestamp may be.",
        )
        .acts(),
    ),
    row(
        &[("log.message.timestamp.before.max.ms", 1)],
        Setting::long(
            "message.timestamp.before.max.ms",
            NEVER,
            0,
            "How far behind the server's clock a record's timestamp may be.",
        )
        .acts(),
    ),
    row(
        &[("log.message.timestamp.type", 1)],
        Setting::string(
            "message.timestamp.type",
            "CreateTime",
            "Whose time a record carries: the producer's (CreateTime) or the server's (LogAppendTime).",
        )
        .one_of(&["CreateTime", "LogAppendTime"])
        .acts(),
    ),
    row(
        &[("log.cleaner.min.cleanable.ratio", 1)],
        Setting::double(
            "min.cleanable.dirty.ratio",
            "0.5",
            (0.0, 1.0),
            "Share of uncompacted log from which compaction is worth its work.",
        )
        .acts(),
    ),
    row(
        &[("log.cleaner.min.compaction.lag.ms", 1)],
        Setting::long("min.compaction.lag.ms", "0", 0, "Shortest time a record is kept from compaction.").acts(),
    ),
    row(
        &[("min.insync.replicas", 1)],
        Setting::int(
            "min.insync.replicas",
            "1",
            1,
            "Replicas that must be in sync for a produce with acks=all to be taken.",
        ),
    ),
    row(
        &[("log.preallocate", 1)],
        Setting::boolean("preallocate", "false", "Whether segment files take their full space when created."),
    ),
    row(
        &[("log.remote.copy.lag.bytes", 1)],
        Setting::long(
            "remote.copy.lag.bytes",
            "-1",
            -1,
            "Bytes of newer log from which a segment is copied to remote storage; -1 goes by local.retention.bytes.",
        ),
    ),
    row(
        &[("log.remote.copy.lag.ms", 1)],
        Setting::long(
            "remote.copy.lag.ms",
            "0",
            -1,
            "Age from which a segment is copied to remote storage; -1 goes by local.retention.ms.",
        ),
    ),
    row(
        &[],
        Setting::boolean(
            "remote.log.copy.disable",
            "false",
            "Stops copying segments to remote storage; what is there stays readable.",
        ),
    ),
    row(
        &[],
        Setting::boolean(
            "remote.log.delete.on.disable",
            "false",
            "Deletes what is in remote storage once remote storage is turned off for the topic.",
        ),
    ),
    row(&[], Setting::boolean("remote.storage.enable", "false", "Whether old segments move to remote storage.")),
    row(
        &[("log.retention.bytes", 1)],
        Setting::long("retention.bytes", "-1", -1, "Size from which a partition's oldest segments go; -1 is no limit.").acts(),
    ),
    row(
        &[("log.retention.ms", 1), ("log.retention.minutes", MINUTE_MS), ("log.retention.hours", HOUR_MS)],
        Setting::long("retention.ms", "604800000", -1, "Age from which segments go; -1 is no limit.").acts(),
    ),
    row(
        &[("ringmain.validate.records", 1)],
        Setting::string(
            "ringmain.validate.records",
            "all",
            "What is read of a batch before it is taken: its records too (all), those of uncompressed batches only \
             (uncompressed), or the header and the checksum (none).",
        )
        .one_of(&["all", "uncompressed", "none"])
        .acts(),
    ),
    row(
        &[("log.segment.bytes", 1)],
        Setting::int("segment.bytes", "1073741824", 1 << 20, "Size at which a segment is closed and the next begun.")
            .acts(),
    ),
    row(
        &[("log.index.size.max.bytes", 1)],
        Setting::int("segment.index.bytes", "10485760", 4, "Largest size of a segment's offset index."),
    ),
    row(
        &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR_MS)],
        Setting::long("segment.jitter.ms", "0", 0, "Random time taken off segment.ms, so that partitions do not roll at once.").acts(),
    ),
    row(
        &[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)],
        Setting::long("segment.ms", "604800000", 1, "Age at which a segment is closed even when not full.").acts(),
    ),
    row(
        &[("unclean.leader.election.enable", 1)],
        Setting::boolean(
            "unclean.leader.election.enable",
            "false",
            "Whether a replica that may lack acknowledged records can become leader when no other is left.",
        ),
    ),
];

/// Every topic config, by name.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    ROWS.iter().map(|row| &row.setting)
}

/// The topic config of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    find_row(name).map(|row| &row.setting)
}

fn find_row(name: &str) -> Option<&'static Row> {
    ROWS.binary_search_by(|row| row.setting.name.cmp(name)).ok().map(|index| &ROWS[index])
}

/// Checks one config as a client wrote it.
///
/// # Errors
/// For an unknown name or a value out of range.
pub fn validate(name: &str, value: &str) -> Result<(), ConfigError> {
    find(name).ok_or_else(|| ConfigError::UnknownTopicConfig(name.to_owned()))?.check(value)
}

/// What topics inherit: the broker settings that somebody set, by their names, each with all places that do, the one in
/// force first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicDefaults {
    written: BTreeMap<&'static str, Vec<(String, Origin)>>,
}

impl TopicDefaults {
    /// Picks from checked broker settings those that topics inherit.
    #[must_use]
    pub fn from_broker(layers: impl Fn(&str) -> Vec<(String, Origin)>) -> TopicDefaults {
        let inherited = ROWS.iter().flat_map(|row| row.inherits.iter().map(|(name, _)| *name));
        let written = inherited.map(|name| (name, layers(name)));
        TopicDefaults { written: written.filter(|(_, layers)| !layers.is_empty()).collect() }
    }

    /// What a topic without configs of its own has: the value in the topic's units and whether the broker's settings
    /// say so.
    fn value(&self, row: &Row) -> (String, Origin) {
        let inherited =
            row.inherits.iter().find_map(|(name, scale)| Some((self.written.get(name)?.first()?, *scale)));
        match inherited {
            Some(((value, origin), 1)) => (value.clone(), *origin),
            Some(((value, origin), scale)) => (scaled(value, scale), *origin),
            None => (row.setting.default.unwrap_or_default().to_owned(), Origin::Default),
        }
    }
}

/// Negative values mean "no limit" in every unit.
fn scaled(value: &str, scale: i64) -> String {
    let number: i64 = value.trim().parse().expect("broker settings are checked before topics inherit them");
    if number < 0 { number.to_string() } else { number.saturating_mul(scale).to_string() }
}

/// Every topic config with its value, where that comes from, and what else would give one. As in Kafka, values are shown as
/// parsed, and those under the broker's names as written.
#[must_use]
pub fn describe(overrides: &BTreeMap<String, String>, defaults: &TopicDefaults) -> Vec<Described> {
    ROWS.iter().map(|row| describe_row(row, overrides.get(row.setting.name), defaults)).collect()
}

fn describe_row(row: &'static Row, own: Option<&String>, defaults: &TopicDefaults) -> Described {
    let (inherited, inherited_origin) = defaults.value(row);
    let own = own.map(|value| row.setting.shown(value));
    let own_synonym = own.as_ref().map(|value| Synonym {
        name: row.setting.name.into(),
        value: Some(value.clone()),
        origin: Origin::Topic,
    });
    let written = row.inherits.iter().flat_map(|(name, _)| {
        let layers = defaults.written.get(name).into_iter().flatten();
        layers.map(|(value, origin)| Synonym {
            name: (*name).into(),
            value: Some(value.clone()),
            origin: *origin,
        })
    });
    let fallback = row.inherits.iter().filter_map(|(name, _)| {
        let default = broker::find(name)?.default?;
        Some(Synonym { name: (*name).into(), value: Some(default.to_owned()), origin: Origin::Default })
    });
    let origin = if own.is_some() { Origin::Topic } else { inherited_origin };
    Described {
        name: row.setting.name.into(),
        setting: &row.setting,
        value: Some(own.unwrap_or_else(|| row.setting.shown(&inherited))),
        origin,
        synonyms: own_synonym.into_iter().chain(written).chain(fallback).collect(),
    }
}

/// Whose time records carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// Codec of stored batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// Batches stay as they came.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// What is read of a batch before it is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validation {
    /// Every record.
    All,
    /// The records of batches that are not compressed; of the others the header and the checksum.
    Uncompressed,
    /// Header and checksum.
    None,
}

/// A topic's configs resolved: what its partitions' logs go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    pub segment_bytes: u64,
    pub segment_ms: u64,
    pub segment_jitter_ms: u64,
    /// `None` = keep for ever.
    pub retention_ms: Option<u64>,
    /// Of one partition; `None` = no limit.
    pub retention_bytes: Option<u64>,
    /// Of a whole batch, header included.
    pub max_message_bytes: u32,
    /// Of one record of a compressed batch.
    pub decompressed_record_bytes_max: usize,
    pub validation: Validation,
    /// 1 = sync before each acknowledgement; more = acknowledge from memory, sync within this many records.
    pub flush_messages: u64,
    /// `i64::MAX` = not by time.
    pub flush_ms: u64,
    pub timestamp_type: TimestampType,
    /// `i64::MAX` = any age.
    pub timestamp_before_max_ms: u64,
    /// `i64::MAX` = any future.
    pub timestamp_after_max_ms: u64,
    pub index_interval_bytes: u64,
    /// Every record must have a key.
    pub compact: bool,
    pub delete: bool,
    /// How long compaction keeps a tombstone.
    pub delete_retention_ms: u64,
    /// Thousandths of a log that must never have been compacted for a round to be worth it.
    pub min_cleanable_dirty_permille: u32,
    pub min_compaction_lag_ms: u64,
    pub max_compaction_lag_ms: u64,
    pub compression_type: CompressionType,
    /// 1 to 9; -1 = gzip's own.
    pub gzip_level: i32,
    pub zstd_level: i32,
    pub min_insync_replicas: u32,
    pub file_delete_delay_ms: u64,
    pub preallocate: bool,
}

/// Of a share from 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1000")]
fn permille(text: &str) -> u32 {
    let share: f64 = text.parse().unwrap_or(1.0);
    (share.clamp(0.0, 1.0) * 1000.0) as u32
}

impl TopicSettings {
    /// What a topic with these configs does on a server with these settings.
    ///
    /// # Errors
    /// For an unknown config, a value out of range, or configs that contradict each other.
    pub fn resolve(
        overrides: &BTreeMap<String, String>,
        defaults: &TopicDefaults,
    ) -> Result<TopicSettings, ConfigError> {
        for (name, value) in overrides {
            validate(name, value)?;
        }
        let values = Values { overrides, defaults };
        values.refuse_contradictions()?;
        let policy = values.text("cleanup.policy");
        Ok(TopicSettings {
            segment_bytes: values.number("segment.bytes"),
            segment_ms: values.number("segment.ms"),
            segment_jitter_ms: values.number("segment.jitter.ms"),
            retention_ms: values.limit("retention.ms"),
            retention_bytes: values.limit("retention.bytes"),
            max_message_bytes: values.number("max.message.bytes"),
            decompressed_record_bytes_max: values.number("max.decompressed.message.bytes"),
            validation: validation(&values.text("ringmain.validate.records")),
            flush_messages: values.number("flush.messages"),
            flush_ms: values.number("flush.ms"),
            timestamp_type: match values.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: values.number("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: values.number("message.timestamp.after.max.ms"),
            index_interval_bytes: values.number("index.interval.bytes"),
            compact: list(&policy).any(|element| element == "compact"),
            delete: list(&policy).any(|element| element == "delete"),
            delete_retention_ms: values.number("delete.retention.ms"),
            min_cleanable_dirty_permille: permille(&values.text("min.cleanable.dirty.ratio")),
            min_compaction_lag_ms: values.number("min.compaction.lag.ms"),
            max_compaction_lag_ms: values.number("max.compaction.lag.ms"),
            compression_type: compression_type(&values.text("compression.type")),
            gzip_level: values.number("compression.gzip.level"),
            zstd_level: values.number("compression.zstd.level"),
            min_insync_replicas: values.number("min.insync.replicas"),
            file_delete_delay_ms: values.number("file.delete.delay.ms"),
            preallocate: values.flag("preallocate"),
        })
    }

    /// Whether a batch is synced before its acknowledgement.
    #[must_use]
    pub fn sync_before_ack(&self) -> bool {
        self.flush_messages <= 1 || self.flush_ms == 0
    }
}

impl Default for TopicSettings {
    /// A topic without configs on a server without settings.
    fn default() -> TopicSettings {
        TopicSettings::resolve(&BTreeMap::new(), &TopicDefaults::default())
            .expect("the table's defaults are valid")
    }
}

fn validation(name: &str) -> Validation {
    match name {
        "uncompressed" => Validation::Uncompressed,
        "none" => Validation::None,
        _ => Validation::All,
    }
}

fn compression_type(name: &str) -> CompressionType {
    match name {
        "uncompressed" => CompressionType::Uncompressed,
        "gzip" => CompressionType::Gzip,
        "snappy" => CompressionType::Snappy,
        "lz4" => CompressionType::Lz4,
        "zstd" => CompressionType::Zstd,
        _ => CompressionType::Producer,
    }
}

/// Checked values of one topic; asking for a config the table does not have is a bug.
struct Values<'a> {
    overrides: &'a BTreeMap<String, String>,
    defaults: &'a TopicDefaults,
}

impl Values<'_> {
    fn text(&self, name: &str) -> String {
        match self.overrides.get(name) {
            Some(value) => value.trim().to_owned(),
            None => self.defaults.value(find_row(name).expect("a config of the table")).0.trim().to_owned(),
        }
    }

    fn signed(&self, name: &str) -> i64 {
        self.text(name).parse().expect("a checked number")
    }

    fn number<N: TryFrom<i64>>(&self, name: &str) -> N {
        N::try_from(self.signed(name)).ok().expect("the table's range fits the field")
    }

    fn limit(&self, name: &str) -> Option<u64> {
        u64::try_from(self.signed(name)).ok()
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    fn refuse_contradictions(&self) -> Result<(), ConfigError> {
        let contradiction = if self.flag("remote.storage.enable") {
            "remote.storage.enable=true: this server has no remote storage"
        } else if self.signed("min.compaction.lag.ms") > self.signed("max.compaction.lag.ms") {
            "min.compaction.lag.ms is larger than max.compaction.lag.ms"
        } else {
            return Ok(());
        };
        Err(ConfigError::Contradiction(contradiction.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn defaults(pairs: &[(&'static str, &str)]) -> TopicDefaults {
        TopicDefaults::from_broker(|name| {
            let found = pairs.iter().filter(|(one, _)| *one == name);
            found.map(|(_, value)| ((*value).to_owned(), Origin::StaticBroker)).collect()
        })
    }

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_valid_and_the_brokers() {
        assert!(ROWS.is_sorted_by(|a, b| a.setting.name < b.setting.name));
        for row in &ROWS {
            let default = row.setting.default.expect("Kafka refuses null for a topic's config");
            assert_eq!(row.setting.check(default), Ok(()));
            let inherited = row.inherits.iter().find_map(|(name, scale)| {
                let setting = broker::find(name).unwrap_or_else(|| panic!("the broker has {name}"));
                setting
                    .default
                    .map(|value| if *scale == 1 { value.to_owned() } else { scaled(value, *scale) })
            });
            assert!(
                inherited.is_none_or(|value| value == default),
                "{}: the broker's default",
                row.setting.name
            );
        }
    }

    #[test]
    fn a_topic_without_configs_syncs_before_it_acknowledges() {
        let settings = TopicSettings::default();
        assert!(settings.sync_before_ack() && settings.delete && !settings.compact);
        assert_eq!((settings.segment_bytes, settings.max_message_bytes), (1 << 30, 1_048_588));
        assert_eq!((settings.retention_ms, settings.retention_bytes), (Some(604_800_000), None));
    }

    #[test]
    fn own_configs_win_over_the_brokers_and_ms_over_hours() {
        let broker =
            defaults(&[("log.retention.hours", "2"), ("log.roll.ms", "5000"), ("log.roll.hours", "9")]);
        let settings = TopicSettings::resolve(&overrides(&[("segment.ms", "77")]), &broker).expect("valid");
        assert_eq!((settings.segment_ms, settings.retention_ms), (77, Some(7_200_000)));
        let settings = TopicSettings::resolve(&BTreeMap::new(), &broker).expect("valid");
        assert_eq!(settings.segment_ms, 5000);
        let forever = defaults(&[("log.retention.hours", "-1")]);
        assert_eq!(TopicSettings::resolve(&BTreeMap::new(), &forever).expect("valid").retention_ms, None);
    }

    #[test]
    fn wrong_configs_are_refused_by_name() {
        let refused = |name: &str, value: &str| {
            TopicSettings::resolve(&overrides(&[(name, value)]), &TopicDefaults::default())
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(refused("no.such", "1"), "Unknown topic config name: no.such");
        assert!(refused("retention.ms", "soon").contains("configuration retention.ms"));
        assert!(refused("cleanup.policy", "burn").contains("of compact, delete"));
        assert!(refused("remote.storage.enable", "true").contains("no remote storage"));
    }

    #[test]
    fn values_are_shown_as_parsed_and_the_brokers_own_as_written() {
        let own = overrides(&[("cleanup.policy", " compact , delete "), ("retention.ms", " 0100 ")]);
        let described = describe(&own, &defaults(&[("log.preallocate", " TRUE")]));
        let shown = |name: &str| {
            let one = described.iter().find(|one| one.name == name).expect("listed");
            (one.value.as_deref(), one.synonyms[0].value.as_deref())
        };
        assert_eq!(shown("cleanup.policy"), (Some("compact,delete"), Some("compact,delete")));
        assert_eq!(shown("retention.ms"), (Some("100"), Some("100")));
        assert_eq!(shown("preallocate"), (Some("true"), Some(" TRUE")));
    }

    #[test]
    fn descriptions_name_every_place_a_value_could_come_from() {
        let described =
            describe(&overrides(&[("retention.ms", "5")]), &defaults(&[("log.retention.minutes", "3")]));
        assert_eq!(described.len(), ROWS.len());
        let retention = described.iter().find(|one| one.setting.name == "retention.ms").expect("listed");
        assert_eq!((retention.value.as_deref(), retention.origin), (Some("5"), Origin::Topic));
        let synonyms: Vec<(&str, &str)> =
            retention.synonyms.iter().map(|one| (&*one.name, one.value.as_deref().unwrap_or(""))).collect();
        assert_eq!(
            synonyms,
            [("retention.ms", "5"), ("log.retention.minutes", "3"), ("log.retention.hours", "168")]
        );
    }
}
