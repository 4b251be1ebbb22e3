//! A state from the records of a snapshot.

use super::checksum;
use crate::controller::own::ControllerConfig;
use crate::controller::record::{MetadataRecord, MetadataRecordError};
use crate::controller::state::Fold;

/// Reads a snapshot: what it says counts only when its last record was seen.
#[derive(Debug)]
pub struct SnapshotReader {
    fold: Fold,
    read: u64,
    hasher: crc32fast::Hasher,
    /// The last record was seen, and it is the right one.
    is_whole: bool,
}

impl SnapshotReader {
    /// A reader for the server of this controller.
    #[must_use]
    pub fn new(config: &ControllerConfig) -> SnapshotReader {
        let fold = Fold::new(config);
        SnapshotReader { fold, read: 0, hasher: crc32fast::Hasher::new(), is_whole: false }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// When it cannot be read, does not fit, or does not belong here.
    pub fn push(&mut self, record: &[u8]) -> Result<(), MetadataRecordError> {
        let decoded = MetadataRecord::decode(record)?;
        if self.is_whole {
            return Err(MetadataRecordError::SnapshotDamaged);
        }
        if let MetadataRecord::SnapshotEnd { records, crc } = decoded {
            let is_right = records == self.read && crc == self.hasher.clone().finalize();
            self.is_whole = is_right;
            return if is_right { Ok(()) } else { Err(MetadataRecordError::SnapshotDamaged) };
        }
        checksum(&mut self.hasher, record);
        // Where the record of a snapshot stands means nothing: whatever an offset would say, it says itself.
        let offset = self.fold.state.cluster.version;
        self.fold.apply(&decoded, offset)?;
        self.read += 1;
        Ok(())
    }

    /// Whether the last record was seen.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The state, as that of the log up to `version`.
    ///
    /// # Errors
    /// When the last record is missing.
    pub(in crate::controller) fn finish(mut self, version: i64) -> Result<Fold, MetadataRecordError> {
        if !self.is_whole {
            return Err(MetadataRecordError::SnapshotDamaged);
        }
        self.fold.state.at_version(version);
        Ok(self.fold)
    }
}
