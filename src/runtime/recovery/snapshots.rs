//! Snapshots of the metadata log: what all records before an offset have come to, in a file beside the segments.
//!
//! The newest whole one counts; two are kept, so that one may rot. A snapshot that lies beyond the log's end was fetched from
//! another server, and the crash came before the log was told: then the log begins there, with the snapshot's epoch.

use std::fs;
use std::path::Path;

use crate::base::io::SegmentId;
use crate::base::{LogEnd, Offset, Rule, TopicPartition, holds, mark};
use crate::controller::{Controller, ControllerConfig};
use crate::log::{Cut, EpochCache, RecoveredLog};
use crate::record::{BatchHeader, records};
use crate::runtime::layout::{BESIDE, segment_file};
use crate::runtime::remover::absent_is_fine;
use crate::runtime::snapshots::newest_first;

use super::error::{RecoveryError, at};
use super::files::{self, SegmentFiles};

/// A whole snapshot, folded.
pub(super) struct Snapshot {
    pub(super) end: LogEnd,
    pub(super) fold: Controller,
}

/// The newest snapshot that is whole.
pub(super) fn newest_whole(
    folder: &Path,
    config: &ControllerConfig,
) -> Result<Option<Snapshot>, RecoveryError> {
    for (end, path) in newest_first(folder).map_err(at(folder))? {
        match folded(config, end, &files::read(&path)?) {
            Ok(fold) => return Ok(Some(Snapshot { end, fold })),
            // Not damage, and whatever is read in its place would be older than what is there.
            Err(error) if is_newer(&error) => return Err(error),
            Err(error) => {
                mark("a damaged snapshot of the metadata is passed over");
                tracing::error!(path = %path.display(), %error, "a snapshot of the metadata is damaged; an older one is used");
            }
        }
    }
    Ok(None)
}

/// The fold of a snapshot's bytes: batches, of which each record holds one of the snapshot's.
fn folded(config: &ControllerConfig, end: LogEnd, bytes: &[u8]) -> Result<Controller, RecoveryError> {
    let mut controller = Controller::new(config.clone());
    let (mut reader, mut rest) = (controller.snapshot_reader(), bytes);
    while !rest.is_empty() {
        let batch = BatchHeader::parse(rest)?;
        let mut outcome = Ok(());
        records(rest, |_, record| {
            outcome = reader.push(record.value.unwrap_or(&[]));
            outcome.is_ok()
        })?;
        outcome?;
        rest = rest.get(batch.total_bytes()..).unwrap_or(&[]);
    }
    controller.install(reader, end.end.0)?;
    Ok(controller)
}

fn is_newer(error: &RecoveryError) -> bool {
    matches!(error, RecoveryError::Metadata(error) if error.is_newer())
}

/// Drops a log that ends before the snapshot: it is empty, and begins and ends there.
pub(super) fn begin_at(
    end: LogEnd,
    log: &RecoveredLog,
    folder: &Path,
    files: &mut SegmentFiles,
) -> Result<RecoveredLog, RecoveryError> {
    mark("the metadata log begins with a snapshot beyond its end");
    // From the last to the first: what a crash leaves is a log that ends before the snapshot, too.
    for segment in log.segments.iter().rev() {
        let path = segment_file(folder, segment.base, "log");
        files.cut(SegmentId { partition: TopicPartition::METADATA, base: segment.base }, 0)?;
        fs::remove_file(&path).map_err(at(&path))?;
        for extension in BESIDE {
            let path = path.with_extension(extension);
            absent_is_fine(fs::remove_file(&path)).map_err(at(&path))?;
        }
    }
    let mut epochs = EpochCache::default();
    epochs.cut(&Cut::to_begin_at(end.end, end.last_epoch));
    let (log_start, log_end) = (end.end, end.end);
    Ok(RecoveredLog { log_start, log_end, high_watermark: end.end, epochs, ..RecoveredLog::default() })
}

/// A log without a record of its own has the snapshot's epoch: voters compare by it.
pub(super) fn seed(log: &mut RecoveredLog, end: LogEnd) {
    if log.log_end == end.end && end.end > Offset(0) && holds(Rule::D4) {
        log.epochs.note(end.last_epoch, end.end.plus(-1));
    }
}
