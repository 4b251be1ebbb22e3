//! What a batch must satisfy before it enters a log, and whose times its records carry.
//!
//! Times come from the records: a header's greatest timestamp is only the producer's word, and lookups by time go by what
//! is stored. The header is believed only where the topic wants its batches unread (`ringmain.validate.records`).

use crate::base::Now;
use crate::config::topic::{TimestampType, TopicSettings, Validation};
use crate::record::{
    self, BatchError, BatchHeader, BatchTimes, Codec, Inside, ProduceLimits, RecordRules, TimestampRange,
};

use super::limits::LogLimits;

/// Under which rules a batch is appended.
#[derive(Clone, Copy, Debug)]
pub struct AppendRules<'a> {
    pub now: Now,
    pub settings: &'a TopicSettings,
    pub limits: &'a LogLimits,
    /// Produce v7 and later.
    pub zstd_allowed: bool,
    /// What is known of the batch's records.
    pub inside: &'a Inside,
}

pub(super) fn produce_limits(rules: &AppendRules<'_>) -> ProduceLimits {
    ProduceLimits {
        batch_bytes_max: rules.settings.max_message_bytes as usize,
        zstd_allowed: rules.zstd_allowed,
    }
}

/// Whose times the batch is going to have, and the greatest of them; its records must be right where anybody reads them.
pub(super) fn times(
    batch: &[u8],
    header: &BatchHeader,
    rules: &AppendRules<'_>,
) -> Result<BatchTimes, BatchError> {
    let AppendRules { now, settings, .. } = *rules;
    let is_plain = header.codec() == Some(Codec::None);
    let max_timestamp = match rules.inside {
        Inside::Read(found) => found.clone()?.max_timestamp,
        Inside::Unread if is_plain && settings.validation != Validation::None => {
            record::validate_records(batch, header, record_rules(now, settings))?
        }
        Inside::Unread => {
            if let Some(range) = timestamp_range(settings) {
                record::validate_header_times(header, range, now.wall)?;
            }
            header.max_timestamp
        }
    };
    Ok(match settings.timestamp_type {
        TimestampType::CreateTime => BatchTimes::Create(max_timestamp),
        TimestampType::LogAppendTime => BatchTimes::Append(now.wall),
    })
}

/// What a topic demands of each record.
#[must_use]
pub fn record_rules(now: Now, settings: &TopicSettings) -> RecordRules {
    RecordRules {
        now: now.wall,
        timestamps: timestamp_range(settings),
        keys_required: settings.compact,
        record_bytes_max: usize::MAX,
    }
}

pub(super) fn timestamp_range(settings: &TopicSettings) -> Option<TimestampRange> {
    (settings.timestamp_type == TimestampType::CreateTime).then_some(TimestampRange {
        before_ms_max: settings.timestamp_before_max_ms,
        after_ms_max: settings.timestamp_after_max_ms,
    })
}

/// A batch damaged on its way may look wrong in any field. The checksum tells that, which a client may send again, from
/// the client's own mistake.
pub(super) fn damage_first(batch: &[u8], problem: BatchError) -> BatchError {
    match BatchHeader::parse(batch) {
        Ok(header) if header.total_bytes() == batch.len() => match record::batch_crc(batch) {
            computed if computed != header.crc => BatchError::Crc { claimed: header.crc, computed },
            _ => problem,
        },
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::broker;
    use crate::config::setting::Allowed;
    use crate::record::INFLATED_BYTES_MAX;

    #[test]
    fn whatever_is_taken_can_be_read() {
        let bound = broker::find("ringmain.inflated.batch.max.bytes").expect("a setting");
        let Allowed::Range { max, .. } = bound.allowed else { panic!("{:?}", bound.allowed) };
        assert_eq!(usize::try_from(max), Ok(INFLATED_BYTES_MAX));
    }
}
