//! What the benches work on.

use bytes::Bytes;
use ringmain::base::{Chunk, MonoNanos, Now, Offset, PartitionIndex, TimestampMs, TopicId, TopicPartition};
use ringmain::config::topic::TopicSettings;
use ringmain::log::{AppendRules, LogEffects, LogLimits, PartitionLog};
use ringmain::record::{BatchBuilder, Inside};

pub const NOW: Now = Now { mono: MonoNanos(1), wall: TimestampMs(1_700_000_000_000) };
pub const PARTITION: TopicPartition =
    TopicPartition { topic: TopicId([7; 16]), partition: PartitionIndex(0) };
/// As the server sets them by default.
pub const LIMITS: LogLimits = LogLimits {
    direct_run_bytes: 64 << 10,
    chunk_bytes_max: 256 << 10,
    create_allocate_bytes: 0,
    marks_step_bytes: u64::MAX,
};

/// Sizes that every bench is run at: a name, records in a batch, bytes of a record's value.
pub const SIZES: [(&str, usize, usize); 3] =
    [("1 x 100 B", 1, 100), ("15 x 1 KiB", 15, 1024), ("1000 x 1 KiB", 1000, 1024)];

/// One batch, as a producer would send it.
pub fn batch(records: usize, record_bytes: usize) -> Bytes {
    let value: Vec<u8> = (0..record_bytes).map(|at| u8::try_from(at * 7 % 251).expect("small")).collect();
    let mut builder = BatchBuilder::new(NOW.wall);
    (0..records).for_each(|_| builder.append(Some(b"some key"), Some(&value)));
    builder.finish().expect("small").into()
}

/// A batch that nobody has read, for a topic with these settings.
pub fn rules(settings: &TopicSettings) -> AppendRules<'_> {
    AppendRules { now: NOW, settings, limits: &LIMITS, zstd_allowed: true, inside: &Inside::Unread }
}

/// A log that holds this batch so many times, in memory and durable.
pub fn log(batch: &Bytes, count: usize) -> PartitionLog {
    let settings = TopicSettings::default();
    let rules = rules(&settings);
    let mut log = PartitionLog::empty(PARTITION);
    for _ in 0..count {
        let mut out = LogEffects::default();
        log.append(batch, &rules, &mut Chunk::heap, &mut out).expect("a valid batch");
        let appends = out.to_commit_log.iter().filter_map(|entry| entry.append);
        appends.for_each(|number| _ = log.durable(number));
    }
    log
}

pub fn offset(at: usize) -> Offset {
    Offset(i64::try_from(at).expect("small"))
}
