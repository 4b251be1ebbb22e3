//! Whether a snapshot's records are all there, and those that were written.

use super::checksum;
use crate::controller::record::{MetadataRecord, MetadataRecordError};

/// Counts and sums up records until the last one, which says what that must have come to. What they mean is not looked at.
#[derive(Debug, Default)]
pub struct SnapshotCheck {
    records: u64,
    hasher: crc32fast::Hasher,
    is_whole: bool,
}

impl SnapshotCheck {
    /// Takes the next record.
    ///
    /// # Errors
    /// When it cannot be read, or does not belong here.
    pub fn push(&mut self, record: &[u8]) -> Result<(), MetadataRecordError> {
        self.next(record).map(drop)
    }

    /// Takes the next record, and tells what it says unless it is the last one.
    pub(super) fn next(&mut self, record: &[u8]) -> Result<Option<MetadataRecord>, MetadataRecordError> {
        let decoded = MetadataRecord::decode(record)?;
        if self.is_whole {
            return Err(MetadataRecordError::SnapshotDamaged);
        }
        if let MetadataRecord::SnapshotEnd { records, crc } = decoded {
            self.is_whole = records == self.records && crc == self.hasher.clone().finalize();
            return if self.is_whole { Ok(None) } else { Err(MetadataRecordError::SnapshotDamaged) };
        }
        checksum(&mut self.hasher, record);
        self.records += 1;
        Ok(Some(decoded))
    }

    /// Whether the last record was seen.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// How many records there were, without the last one.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }
}
