//! Topic configs by Kafka's names, and the plain values that a partition's log makes of them.
//!
//! A topic's own configs win over the server's settings of the matching broker name (`segment.ms` over `log.roll.ms`
//! over `log.roll.hours`), and these win over the default.

mod defaults;
mod table;

use std::collections::BTreeMap;

use super::setting::{ConfigError, list};
pub use defaults::{TopicDefaults, describe};
use table::find_row;
pub use table::{find, settings, validate};

/// Which time records have: the producer's or the server's.
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

/// What is read of a batch before it is appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validation {
    /// Every record.
    All,
    /// The records of uncompressed batches; only the header and the checksum of compressed ones.
    Uncompressed,
    /// Only the header and the checksum.
    None,
}

/// A topic's configs, resolved for the logs of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    pub segment_bytes: u64,
    pub segment_ms: u64,
    pub segment_jitter_ms: u64,
    /// `None` = keep for ever.
    pub retention_ms: Option<u64>,
    /// Size of one partition's log above which its oldest segments are deleted; `None` = no limit.
    pub retention_bytes: Option<u64>,
    /// Most bytes of a whole batch, header included.
    pub max_message_bytes: u32,
    /// Most bytes of one record of a compressed batch.
    pub decompressed_record_bytes_max: usize,
    pub validation: Validation,
    /// 1 = sync before each acknowledgement; more = acknowledge from memory, sync within this many records.
    pub flush_messages: u64,
    /// Longest time that an acknowledged record may wait for its sync; `i64::MAX` = no limit.
    pub flush_ms: u64,
    pub timestamp_type: TimestampType,
    /// How far a timestamp may be behind the server's clock; `i64::MAX` = no limit.
    pub timestamp_before_max_ms: u64,
    /// How far a timestamp may be ahead of the server's clock; `i64::MAX` = no limit.
    pub timestamp_after_max_ms: u64,
    pub index_interval_bytes: u64,
    /// Every record must have a key.
    pub compact: bool,
    pub delete: bool,
    /// How long compaction keeps a tombstone.
    pub delete_retention_ms: u64,
    /// Share of a log, in thousandths, that must be uncompacted before a round of compaction is worth its work.
    pub min_cleanable_dirty_permille: u32,
    pub min_compaction_lag_ms: u64,
    pub max_compaction_lag_ms: u64,
    pub compression_type: CompressionType,
    /// Level 1 to 9; -1 = gzip's default.
    pub gzip_level: i32,
    pub zstd_level: i32,
    pub min_insync_replicas: u32,
    pub file_delete_delay_ms: u64,
    pub preallocate: bool,
}

/// Thousandths of a share that is written as a number from 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1000")]
fn permille(text: &str) -> u32 {
    let share: f64 = text.parse().unwrap_or(1.0);
    (share.clamp(0.0, 1.0) * 1000.0) as u32
}

impl TopicSettings {
    /// Resolves a topic's configs on a server with these defaults.
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

    /// Whether batches are synced before they are acknowledged.
    #[must_use]
    pub fn sync_before_ack(&self) -> bool {
        self.flush_messages <= 1 || self.flush_ms == 0
    }
}

impl Default for TopicSettings {
    /// The settings of a topic without configs on a server without settings.
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
    use super::defaults::scaled;
    use super::table::ROWS;
    use super::*;
    use crate::config::broker;
    use crate::config::setting::Origin;

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
