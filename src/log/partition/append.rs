//! Appending as a leader: a producer's batch is admitted, stamped, and placed.

use bytes::Bytes;

use crate::base::TimestampMs;
use crate::log::admit::{AppendRules, damage_first, produce_limits, times};
use crate::log::op::LogEffects;
use crate::log::producers::{Admission, Sequenced};
use crate::log::tail::{Allocate, BadCrc, Run, Stamped};
use crate::record::{
    self, BATCH_HEADER_BYTES, BatchError, BatchHeader, BatchTimes, stamp_header, stamp_times,
};

use super::PartitionLog;
use super::place::{Accepted, Entered, Incoming, Outgoing};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("sequence {received} does not follow {expected}")]
    OutOfOrderSequence { expected: i32, received: i32 },
    #[error("producer epoch {received} is older than {current}")]
    InvalidProducerEpoch { current: i16, received: i16 },
    #[error("the log is being cut, and takes no appends before that is done")]
    Cutting,
}

impl PartitionLog {
    /// Checks `batch` (exactly one record batch, as it came) and appends it.
    pub fn append(
        &mut self,
        batch: &Bytes,
        rules: &AppendRules<'_>,
        allocate: Allocate<'_>,
        out: &mut LogEffects,
    ) -> Result<Accepted, AppendError> {
        let AppendRules { now, settings, limits, .. } = *rules;
        if self.is_cutting() {
            return Err(AppendError::Cutting);
        }
        let header = record::validate_header(batch, &produce_limits(rules))
            .map_err(|problem| damage_first(batch, problem))?;
        let sequenced = Sequenced::of(&header);
        if let Some(sequenced) = &sequenced
            && let Some(duplicate) = self.admit(sequenced)?
        {
            return Ok(duplicate);
        }
        let times = times(batch, &header, rules).map_err(|problem| damage_first(batch, problem))?;
        let base_offset = self.log_end;
        let last_offset = base_offset.plus(i64::from(header.last_offset_delta));
        self.roll_if_due(now, Incoming { bytes: batch.len(), last_offset }, settings, out);
        let run = Run::Stamped(self.stamp(batch, &header, times)?);
        let placed = self.place(&run, batch.len(), limits, allocate).map_err(refused)?;
        let (log_append_time, max_timestamp) = match times {
            BatchTimes::Create(max) => (TimestampMs::NONE, max),
            BatchTimes::Append(now) => (now, now),
        };
        let entered = Entered { base_offset, epoch: self.epoch, max_timestamp };
        self.enter(&header, entered, sequenced.as_ref(), settings);
        self.active.begun.get_or_insert(now.wall);
        let end = self.log_end;
        self.hand_out(placed, Outgoing { end, bytes: batch.len(), tells: false }, limits, out);
        Ok(Accepted { base_offset, end, log_append_time })
    }

    fn admit(&self, batch: &Sequenced) -> Result<Option<Accepted>, AppendError> {
        match self.producers.admit(batch) {
            Admission::Append => Ok(None),
            Admission::Duplicate(known) => Ok(Some(Accepted {
                base_offset: known.base_offset,
                end: known.last_offset().plus(1),
                log_append_time: TimestampMs::NONE,
            })),
            Admission::OutOfOrder { expected } => {
                Err(AppendError::OutOfOrderSequence { expected, received: batch.first_sequence })
            }
            Admission::Fenced { current } => {
                Err(AppendError::InvalidProducerEpoch { current: current.0, received: batch.epoch.0 })
            }
        }
    }

    fn stamp<'a>(
        &self,
        batch: &'a Bytes,
        header: &BatchHeader,
        times: BatchTimes,
    ) -> Result<Stamped<'a>, AppendError> {
        let (original, payload) = batch
            .split_first_chunk::<BATCH_HEADER_BYTES>()
            .ok_or(BatchError::Short { bytes: batch.len() })?;
        let mut stamped = *original;
        stamp_header(&mut stamped, self.log_end, self.epoch);
        let is_right = match times {
            BatchTimes::Create(max) => header.max_timestamp == max && !header.is_log_append_time(),
            BatchTimes::Append(_) => false,
        };
        if !is_right {
            stamp_times(&mut stamped, payload.len(), times);
        }
        Ok(Stamped { header: stamped, original: *original, payload, crc: header.crc })
    }
}

fn refused(BadCrc { claimed, computed, .. }: BadCrc) -> AppendError {
    AppendError::Batch(BatchError::Crc { claimed, computed })
}
