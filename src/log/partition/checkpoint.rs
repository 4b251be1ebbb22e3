//! What a checkpoint holds of the log.

use crate::log::snapshot::PartitionSnapshot;

use super::PartitionLog;

impl PartitionLog {
    /// The partition as of now, for a checkpoint. Scanning begins at the last batch that lies whole below what is synced.
    #[must_use]
    pub fn snapshot(&self) -> PartitionSnapshot {
        let (segment_base, position, offset) = self.scan_start();
        let mark = self.draining.front().unwrap_or(&self.active).index.mark_before(position);
        PartitionSnapshot {
            id: self.id,
            log_start: self.log_start,
            log_end: self.log_end,
            segment_base,
            position,
            offset,
            mark,
            epochs: self.epochs.clone(),
            producers: self.producers.clone(),
            high_watermark: self.finished_end(),
            fence: self.fence,
        }
    }
}
