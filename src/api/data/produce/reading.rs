//! Reads what is inside the batches of one request before any shard is asked to append them.
//!
//! A mebibyte of gzip can become a gibibyte, so reading is done in slices of some tenths of a millisecond. Nearly every
//! request is read to its end in its first slice, at once. Another one becomes a [`Step::Read`]: the server takes few of
//! those at a time, lets everybody else on the shard go on between two slices, and begins nothing further of the same
//! connection meanwhile, so that its appends keep their order.
//!
//! What waits for its turn holds no decoder: the first slice is read again then.

use std::collections::VecDeque;

use crate::config::topic::{CompressionType, TopicSettings, Validation};
use crate::record::{
    self, BatchError, BatchHeader, Codec, Compression, Inside, ReadBatch, ReadRules, RecordRules, SLICE_BYTES,
};
use crate::shard::{ProducePartition, record_rules};

use super::finish::Rest;
use crate::api::split::{CallPlace, Calls, Slots};
use crate::api::{Context, Slices, Step};

/// What every batch takes of a slice, however small it is.
const BATCH_COST_BYTES: usize = 1024;

/// A batch that must be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    pub place: CallPlace,
    pub rules: ReadRules,
}

/// How a batch for a topic with these settings is read; `None` if it is taken as it is: uncompressed ones, which their
/// log reads, those that the topic wants unread, and whatever the log refuses by its header.
pub(super) fn rules(
    context: &Context<'_>,
    settings: &TopicSettings,
    records: &[u8],
    zstd_allowed: bool,
) -> Option<ReadRules> {
    let header = BatchHeader::parse(records).ok()?;
    let codec = header.codec()?;
    let recompress = wanted(settings).filter(|wanted| wanted.codec != codec);
    let is_read = codec != Codec::None && settings.validation == Validation::All;
    let is_whole = header.total_bytes() == records.len();
    let fits = records.len() <= settings.max_message_bytes as usize;
    let known = codec != Codec::Zstd || zstd_allowed;
    (is_whole && fits && known && (is_read || recompress.is_some())).then(|| ReadRules {
        records: RecordRules {
            // Only what was compressed can become more than the request was.
            record_bytes_max: match codec {
                Codec::None => usize::MAX,
                _ => settings.decompressed_record_bytes_max,
            },
            ..record_rules(context.now, settings)
        },
        inflated_bytes_max: context.config.inflated_batch_bytes_max,
        stored_bytes_max: settings.max_message_bytes as usize,
        recompress,
    })
}

/// The codec a topic wants its batches stored in; `None` if as they come.
fn wanted(settings: &TopicSettings) -> Option<Compression> {
    Some(match settings.compression_type {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => Compression::of(Codec::None),
        CompressionType::Gzip => Compression { codec: Codec::Gzip, level: Some(settings.gzip_level) },
        CompressionType::Snappy => Compression::of(Codec::Snappy),
        CompressionType::Lz4 => Compression::of(Codec::Lz4),
        CompressionType::Zstd => Compression { codec: Codec::Zstd, level: Some(settings.zstd_level) },
    })
}

/// A request's batches by shard, where their answers go, and what must be read.
pub(super) struct Parts {
    pub(super) calls: Calls<ProducePartition>,
    pub(super) slots: Slots,
    pub(super) unread: Vec<Unread>,
}

/// A produce request whose batches are being read.
pub(super) struct ProduceReading {
    calls: Calls<ProducePartition>,
    slots: Slots,
    unread: VecDeque<Unread>,
    /// The first of `unread`, if it was begun.
    current: Option<record::Reading>,
    /// What batches that are compressed anew may take together: as much as a request may be large.
    rewritten_bytes_left: usize,
    rest: Rest,
}

impl ProduceReading {
    pub(super) fn begin(context: &mut Context<'_>, parts: Parts, rest: Rest) -> Step {
        let Parts { calls, slots, unread } = parts;
        if unread.is_empty() {
            return rest.ask(context, calls, slots);
        }
        let mut reading = ProduceReading {
            calls,
            slots,
            unread: unread.into(),
            current: None,
            rewritten_bytes_left: context.config.connections.request_bytes_max as usize,
            rest,
        };
        if reading.read_slice() {
            return Box::new(reading).finish(context);
        }
        reading.current = None;
        Step::Read(Box::new(reading))
    }

    fn read_slice(&mut self) -> bool {
        let mut slice = SLICE_BYTES;
        while slice > 0 {
            let Some(Unread { place, rules }) = self.unread.front().copied() else { return true };
            match self.read(place, rules, &mut slice) {
                Ok(None) => {}
                Ok(Some(read)) => self.is_read(place, Ok(read)),
                Err(error) => self.is_read(place, Err(error)),
            }
            slice = slice.saturating_sub(BATCH_COST_BYTES);
        }
        self.unread.is_empty()
    }

    fn read(
        &mut self,
        place: CallPlace,
        rules: ReadRules,
        slice: &mut usize,
    ) -> Result<Option<ReadBatch>, BatchError> {
        let mut reading = match self.current.take() {
            Some(reading) => reading,
            None => {
                let batch = self.part(place).records.clone();
                let header = BatchHeader::parse(&batch)?;
                let stored_bytes_max = match rules.recompress {
                    Some(_) => rules.stored_bytes_max.min(self.rewritten_bytes_left),
                    None => rules.stored_bytes_max,
                };
                record::Reading::begin(batch, header, ReadRules { stored_bytes_max, ..rules })?
            }
        };
        let read = reading.slice(slice)?;
        if read.is_none() {
            self.current = Some(reading);
        }
        Ok(read)
    }

    fn is_read(&mut self, place: CallPlace, result: Result<ReadBatch, BatchError>) {
        self.unread.pop_front();
        let rewritten = match &result {
            Ok(read) if read.found.recompressed => read.batch.len(),
            _ => 0,
        };
        self.rewritten_bytes_left = self.rewritten_bytes_left.saturating_sub(rewritten);
        let part = self.part(place);
        part.inside = Inside::Read(result.map(|read| {
            part.records = read.batch;
            read.found
        }));
    }

    fn part(&mut self, place: CallPlace) -> &mut ProducePartition {
        let call = self.calls.binary_search_by_key(&place.shard, |(shard, _)| *shard);
        let call = call.expect("what is read is asked of its shard");
        &mut self.calls[call].1[place.at]
    }
}

impl Slices for ProduceReading {
    fn slice(&mut self) -> bool {
        self.read_slice()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) -> Step {
        assert!(self.unread.is_empty(), "all batches are read before one is appended");
        let ProduceReading { calls, slots, rest, .. } = *self;
        rest.ask(context, calls, slots)
    }
}

impl std::fmt::Debug for ProduceReading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProduceReading").field("unread", &self.unread.len()).finish_non_exhaustive()
    }
}
