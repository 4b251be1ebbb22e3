//! Compaction: of each key the latest record stays, and so does its offset. A round looks at the keys of the part that was
//! never compacted ([`note_keys`]), then writes every finished segment up to there anew without what is superseded
//! ([`clean_batch`]); a segment is replaced as a whole or not at all.
//!
//! Which segments: finished ones below the high watermark that a checkpoint counts as synced, so that recovery writes nothing into them any more,
//! and whose records are older than `min.compaction.lag.ms`. When: once `min.cleanable.dirty.ratio` of them was never
//! compacted, or something waits longer than `max.compaction.lag.ms`.
//!
//! What stays of a segment always ends with its last batch, empty if need be: a reader of any offset finds a batch that
//! ends at or beyond it. The first batch of an epoch stays as well, at its offset: replicas learn from batches where epochs
//! begin, and compare their logs by that. Tombstones stay for `delete.retention.ms` from their first round on (KIP-534); records without a
//! key go, as in Kafka; control batches stay.
//!
//! Not done: segments are not merged, so a compacted log keeps as many files as it ever had segments.

use std::borrow::Cow;
use std::cell::Cell;

use crate::base::io::SegmentId;
use crate::base::keys::KeyOffsets;
use crate::base::{Offset, Rule, TimestampMs, holds};
use crate::config::topic::TopicSettings;
use crate::record::{self, BatchError, BatchHeader, Rewritten, batch_crc};

use super::index::SparseIndex;
use super::partition::PartitionLog;
use super::tail::Tail;

/// A segment to be looked at: its file holds `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToCompact {
    pub segment: SegmentId,
    pub size: u64,
}

/// What a round would work on.
#[derive(Clone, Debug)]
pub struct Dirt {
    /// In order, from the log's start; the first `clean` of them were compacted before.
    pub segments: Vec<ToCompact>,
    pub clean: usize,
    /// Share that was never compacted, in thousandths.
    pub ratio: u64,
    /// Something waits for longer than it may.
    pub overdue: bool,
}

impl Dirt {
    /// Whether a round is worth its work.
    #[must_use]
    pub fn is_due(&self, settings: &TopicSettings) -> bool {
        self.clean < self.segments.len()
            && (self.overdue || self.ratio >= u64::from(settings.min_cleanable_dirty_permille))
    }
}

impl PartitionLog {
    /// What could be compacted: `from` is where the last round ended, `covered` the segment in which recovery would begin.
    #[must_use]
    pub fn dirt(&self, wall: TimestampMs, from: Offset, covered: Offset, settings: &TopicSettings) -> Dirt {
        let mut dirt = Dirt { segments: Vec::new(), clean: 0, ratio: 0, overdue: false };
        let (mut dirty_bytes, mut bytes) = (0, 0);
        for (at, sealed) in self.sealed.iter().enumerate() {
            let end = self.end_of_sealed(at);
            let newest = sealed.max_timestamp.map_or(TimestampMs(0), |(newest, _)| newest);
            let age = u64::try_from(wall.0.saturating_sub(newest.0)).unwrap_or(0);
            let is_finished = end <= covered && end <= self.finished_end();
            if !is_finished || settings.min_compaction_lag_ms > 0 && age < settings.min_compaction_lag_ms {
                break;
            }
            if end <= self.log_start {
                continue;
            }
            bytes += sealed.size;
            if end <= from {
                dirt.clean += 1;
            } else {
                dirty_bytes += sealed.size;
                dirt.overdue |= age > settings.max_compaction_lag_ms;
            }
            dirt.segments.push(ToCompact { segment: sealed.id, size: sealed.size });
        }
        dirt.ratio = (dirty_bytes * 1000).checked_div(bytes).unwrap_or(0);
        dirt
    }

    /// A finished segment's file has been replaced: it is as long as `size` now, and memory holds nothing of it. Returns
    /// the memory that its index takes, which is kept, or `None` if there is no such segment.
    pub fn compacted(&mut self, segment: SegmentId, size: u64, index: SparseIndex) -> Option<usize> {
        let sealed = self.sealed.iter_mut().find(|sealed| sealed.id == segment)?;
        sealed.size = size;
        sealed.tail = Tail::default();
        sealed.max_timestamp = index.max_timestamp(segment.base);
        Some(sealed.index.insert(index).memory_bytes())
    }

    /// The finished segments that begin after an offset, in order, as far as no cut may take any of it away.
    pub fn finished_after(&self, after: Option<Offset>) -> impl Iterator<Item = ToCompact> + '_ {
        let from = self.sealed.partition_point(|sealed| after.is_some_and(|after| sealed.id.base <= after));
        let stays = |at: &usize| self.end_of_sealed(*at) <= self.finished_end();
        let finished = (from..self.sealed.len()).take_while(stays);
        finished.map(|at| ToCompact { segment: self.sealed[at].id, size: self.sealed[at].size })
    }

    /// Where the batches of a segment begin that stay whatever their keys, in order: a replica that comes later learns from
    /// them what the log's own memory knows. They are the first of each epoch, but for the first epoch that the log knows, as
    /// where that one began no other ends; and the latest of each idempotent producer, without which a new leader would refuse
    /// the producer's next one.
    #[must_use]
    pub fn staying_batches(&self, segment: SegmentId) -> Vec<Offset> {
        let within = segment.base..self.end_of(segment.base);
        let epochs =
            self.epochs.starts().iter().skip(1).map(|(_, start)| *start).filter(|_| holds(Rule::D12));
        let recent =
            self.producers.iter().flat_map(|(_, state)| state.recent()).map(|batch| batch.base_offset);
        let recent = recent.filter(|_| holds(Rule::ProducersStay));
        let mut staying: Vec<Offset> = epochs.chain(recent).filter(|start| within.contains(start)).collect();
        staying.sort_unstable();
        staying.dedup();
        staying
    }

    /// The finished segment as it is now.
    #[must_use]
    pub fn finished(&self, segment: SegmentId) -> Option<ToCompact> {
        let sealed = self.sealed.iter().find(|sealed| sealed.id == segment)?;
        Some(ToCompact { segment, size: sealed.size })
    }
}

/// Notes the keys of a batch; false when there is no room for them: the round ends before it.
pub fn note_keys(keys: &mut KeyOffsets, batch: &[u8]) -> Result<bool, BatchError> {
    let header = checked(batch)?;
    if header.is_control() || header.last_offset() < keys.from() {
        keys.looked_to(header.last_offset().plus(1));
        return Ok(true);
    }
    if !keys.has_room_for(usize::try_from(header.records_count).unwrap_or(0)) {
        return Ok(false);
    }
    record::records(batch, |header, record| {
        if let Some(key) = record.key {
            keys.note(key, record.offset(header));
        }
        true
    })?;
    keys.looked_to(header.last_offset().plus(1));
    Ok(true)
}

/// The rules of one round of compaction.
#[derive(Clone, Copy, Debug)]
pub struct CleanRules<'a> {
    pub keys: &'a KeyOffsets,
    pub now: TimestampMs,
    pub delete_retention_ms: u64,
    /// See [`PartitionLog::staying_batches`].
    pub staying: &'a [Offset],
}

/// What stays of a batch; `None` if nothing does. The last batch of a segment stays in any case.
pub fn clean_batch<'a>(
    rules: &CleanRules<'_>,
    batch: &'a [u8],
    is_last: bool,
) -> Result<Option<Cow<'a, [u8]>>, BatchError> {
    let header = checked(batch)?;
    let must_stay = is_last || rules.staying.binary_search(&header.base_offset).is_ok();
    if header.is_control() || header.base_offset >= rules.keys.to() {
        return Ok(Some(Cow::Borrowed(batch)));
    }
    if header.records_count == 0 {
        return Ok(must_stay.then_some(Cow::Borrowed(batch)));
    }
    let horizon = header.delete_horizon();
    let is_past = horizon.is_some_and(|horizon| rules.now >= horizon);
    let tombstones = Cell::new(false);
    let keep = |offset: Offset, record: &record::Record<'_>| {
        let stays = offset >= rules.keys.to()
            || record.key.is_some_and(|key| {
                !(rules.keys.is_superseded(key, offset) || is_past && record.value.is_none())
            });
        tombstones.set(tombstones.get() || stays && record.value.is_none());
        stays
    };
    let rewritten = record::rewrite(batch, horizon, keep)?;
    let rewritten = if tombstones.get() && horizon.is_none() {
        let retention = i64::try_from(rules.delete_retention_ms).unwrap_or(i64::MAX);
        record::rewrite(batch, Some(TimestampMs(rules.now.0.saturating_add(retention))), keep)?
    } else {
        rewritten
    };
    Ok(match rewritten {
        Rewritten::Same => Some(Cow::Borrowed(batch)),
        Rewritten::Changed { batch, records } => (records > 0 || must_stay).then_some(Cow::Owned(batch)),
    })
}

fn checked(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    match batch_crc(batch) {
        computed if computed == header.crc => Ok(header),
        computed => Err(BatchError::Crc { claimed: header.crc, computed }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::base::LeaderEpoch;
    use crate::base::rng::Rng;
    use crate::record::{BatchBuilder, Codec, records};

    use super::*;

    const NOW: TimestampMs = TimestampMs(1_800_000_000_000);

    /// The offset and value of each key's latest record.
    type Latest = BTreeMap<Vec<u8>, (i64, Option<Vec<u8>>)>;

    /// A log of batches over few keys, and what must stay of it.
    fn log(rng: &mut Rng, batches: usize) -> (Vec<Vec<u8>>, Latest) {
        let (mut log, mut latest, mut offset) = (Vec::new(), Latest::new(), 0);
        for _ in 0..batches {
            let codec = Codec::ALL[usize::try_from(rng.below(5)).expect("small")];
            let mut builder = BatchBuilder::new(TimestampMs(NOW.0 - 1000))
                .codec(codec)
                .placed(Offset(offset), LeaderEpoch(0));
            for _ in 0..1 + rng.below(6) {
                let key = rng.below(20).to_string().into_bytes();
                let value = (rng.below(4) > 0).then(|| rng.next_u64().to_string().into_bytes());
                builder.append(Some(&key), value.as_deref());
                latest.insert(key, (offset, value));
                offset += 1;
            }
            log.push(builder.finish().expect("a batch"));
        }
        (log, latest)
    }

    fn clean(log: &[Vec<u8>], keys: &KeyOffsets, now: TimestampMs) -> Vec<Vec<u8>> {
        let rules = CleanRules { keys, now, delete_retention_ms: 5000, staying: &[] };
        let last = log.len() - 1;
        let each = log.iter().enumerate().filter_map(|(at, batch)| {
            clean_batch(&rules, batch, at == last).expect("sound").map(Cow::into_owned)
        });
        each.collect()
    }

    fn contents(log: &[Vec<u8>]) -> Vec<(i64, Vec<u8>, Option<Vec<u8>>)> {
        let mut contents = Vec::new();
        for batch in log {
            records(batch, |header, record| {
                let (key, value) = (record.key.expect("a key"), record.value);
                contents.push((record.offset(header).0, key.to_vec(), value.map(<[u8]>::to_vec)));
                true
            })
            .expect("sound");
        }
        contents
    }

    #[test]
    fn the_latest_of_each_key_stays_and_nothing_else() {
        for seed in 0..200 {
            let mut rng = Rng::seeded(seed);
            let (before, latest) = log(&mut rng, 40);
            let mut keys = KeyOffsets::new(Offset(0), 1000, [seed, 1]);
            assert!(before.iter().all(|batch| note_keys(&mut keys, batch).expect("sound")));
            let after = clean(&before, &keys, NOW);
            let mut want: Vec<_> =
                latest.iter().map(|(key, (offset, value))| (*offset, key.clone(), value.clone())).collect();
            want.sort();
            assert_eq!(contents(&after), want, "seed {seed}");
            let end = |log: &[Vec<u8>]| {
                log.last().and_then(|it| BatchHeader::parse(it).ok()).map(|it| it.last_offset())
            };
            assert_eq!(end(&after), end(&before));
            // Once more changes nothing until the tombstones' time is over.
            assert_eq!(clean(&after, &keys, TimestampMs(NOW.0 + 4999)), after);
            let later = clean(&after, &keys, TimestampMs(NOW.0 + 5000));
            want.retain(|(.., value)| value.is_some());
            assert_eq!(contents(&later), want, "seed {seed}");
        }
    }

    #[test]
    fn a_full_map_ends_the_round_where_it_is_full() {
        let mut rng = Rng::seeded(3);
        let (before, _) = log(&mut rng, 40);
        let mut keys = KeyOffsets::new(Offset(0), 16, [1, 2]);
        let fitted = before.iter().take_while(|batch| note_keys(&mut keys, batch).expect("sound")).count();
        assert!((1..30).contains(&fitted));
        let (part, rest) = before.split_at(fitted);
        let to = BatchHeader::parse(&rest[0]).expect("sound").base_offset;
        assert_eq!(keys.to(), to);
        let after = clean(&before, &keys, NOW);
        let untouched: Vec<_> = contents(&after).into_iter().filter(|(offset, ..)| *offset >= to.0).collect();
        assert_eq!(untouched, contents(rest));
        assert!(contents(&after).len() - untouched.len() < contents(part).len());
    }

    #[test]
    fn the_first_batch_of_an_epoch_stays_where_it_is_if_only_empty() {
        let batch = |offset: i64, epoch: i32| {
            let mut builder = BatchBuilder::new(NOW).placed(Offset(offset), LeaderEpoch(epoch));
            (0..2).for_each(|at| builder.append(Some(&[b'a' + at]), Some(b"value")));
            builder.finish().expect("a batch")
        };
        let before =
            [batch(0, 1), batch(2, 1), batch(4, 5), batch(6, 5), batch(8, 6), batch(10, 6), batch(12, 6)];
        let mut keys = KeyOffsets::new(Offset(0), 100, [1, 2]);
        assert!(before.iter().all(|batch| note_keys(&mut keys, batch).expect("sound")));
        let staying = [Offset(4), Offset(8)];
        let rules = CleanRules { keys: &keys, now: NOW, delete_retention_ms: 0, staying: &staying };
        let round = |log: &[Vec<u8>]| -> Vec<Vec<u8>> {
            let last = log.len() - 1;
            let stays = |(at, batch): (usize, &Vec<u8>)| {
                clean_batch(&rules, batch, at == last).expect("sound").map(Cow::into_owned)
            };
            log.iter().enumerate().filter_map(stays).collect()
        };
        let after = round(&before);
        let header = |batch: &Vec<u8>| BatchHeader::parse(batch).expect("sound");
        let kept: Vec<_> = after
            .iter()
            .map(header)
            .map(|it| (it.base_offset.0, it.last_offset().0, it.leader_epoch.0, it.records_count))
            .collect();
        assert_eq!(kept, [(4, 5, 5, 0), (8, 9, 6, 0), (12, 13, 6, 2)]);
        assert_eq!(round(&after), after, "in every round");
    }

    #[test]
    fn damage_is_an_error() {
        let (mut log, _) = log(&mut Rng::seeded(1), 1);
        let mut keys = KeyOffsets::new(Offset(0), 8, [1, 2]);
        *log[0].last_mut().expect("bytes") ^= 1;
        assert!(matches!(note_keys(&mut keys, &log[0]), Err(BatchError::Crc { .. })));
        let rules = CleanRules { keys: &keys, now: NOW, delete_retention_ms: 0, staying: &[] };
        assert!(matches!(clean_batch(&rules, &log[0], true), Err(BatchError::Crc { .. })));
    }
}
