//! A state from the records of a snapshot.

use super::check::SnapshotCheck;
use crate::controller::own::ControllerConfig;
use crate::controller::record::MetadataRecordError;
use crate::controller::state::Fold;

/// Reads a snapshot: what it says counts only when its last record was seen.
#[derive(Debug)]
pub struct SnapshotReader {
    fold: Fold,
    check: SnapshotCheck,
}

impl SnapshotReader {
    /// A reader for the server of this controller.
    #[must_use]
    pub fn new(config: &ControllerConfig) -> SnapshotReader {
        SnapshotReader { fold: Fold::new(config), check: SnapshotCheck::default() }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// When it cannot be read, does not fit, or does not belong here.
    pub fn push(&mut self, record: &[u8]) -> Result<(), MetadataRecordError> {
        let Some(decoded) = self.check.next(record)? else { return Ok(()) };
        // Where the record of a snapshot stands means nothing: whatever an offset would say, it says itself.
        let offset = self.fold.state.cluster.version;
        self.fold.apply(&decoded, offset).map(drop)
    }

    /// Whether the last record was seen.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.check.is_whole()
    }

    /// The state, as that of the log up to `version`.
    ///
    /// # Errors
    /// When the last record is missing.
    pub(in crate::controller) fn finish(mut self, version: i64) -> Result<Fold, MetadataRecordError> {
        if !self.is_whole() {
            return Err(MetadataRecordError::SnapshotDamaged);
        }
        self.fold.state.at_version(version);
        Ok(self.fold)
    }
}
