//! The records that decisions hand out, in batches of the metadata log, each with a limit: one for a request, which is
//! refused where one has no room, and any number for what has to happen.

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

/// Records in batches. Each is to be appended as one, in this order.
#[derive(Debug, Default)]
pub struct Batches {
    batches: Vec<Vec<Vec<u8>>>,
    /// Bytes of the last one.
    bytes: usize,
}

impl Batches {
    pub(super) fn add(&mut self, record: &MetadataRecord) {
        let encoded = record.encode();
        let bytes = encoded.len() + RECORD_OVERHEAD;
        assert!(bytes <= DECISION_BYTES_MAX, "a record is far smaller than a batch");
        match self.batches.last_mut() {
            Some(last) if self.bytes + bytes <= DECISION_BYTES_MAX => {
                last.push(encoded);
                self.bytes += bytes;
            }
            _ => {
                self.batches.push(vec![encoded]);
                self.bytes = bytes;
            }
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Takes all batches: what is decided from now on comes after them.
    #[must_use]
    pub fn take(&mut self) -> Vec<Vec<Vec<u8>>> {
        self.bytes = 0;
        std::mem::take(&mut self.batches)
    }
}
