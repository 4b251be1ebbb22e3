//! The records that one decision hands out: one batch of the metadata log, with a limit.

use super::record::MetadataRecord;
use super::request::ControllerError;

/// Bytes of records that one decision may hand out: together they are one batch of the metadata log.
pub(super) const DECISION_BYTES_MAX: usize = 1_000_000;

/// Bytes that framing adds to a record in its batch, at most.
const RECORD_OVERHEAD: usize = 24;

/// The records one decision hands out.
#[derive(Default)]
pub(super) struct Batch {
    pub records: Vec<Vec<u8>>,
    bytes: usize,
}

impl Batch {
    /// # Errors
    /// When the batch has no room for all of them: none is added.
    pub fn add(&mut self, records: &[MetadataRecord]) -> Result<(), ControllerError> {
        let encoded: Vec<Vec<u8>> = records.iter().map(MetadataRecord::encode).collect();
        let bytes = self.bytes + encoded.iter().map(|record| record.len() + RECORD_OVERHEAD).sum::<usize>();
        if bytes > DECISION_BYTES_MAX {
            let message =
                "The request changes more than one metadata batch holds; ask for fewer topics at once.";
            return Err(ControllerError::PolicyViolation(message.into()));
        }
        self.bytes = bytes;
        self.records.extend(encoded);
        Ok(())
    }
}
