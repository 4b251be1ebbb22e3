//! What cuts have done to a log, and are still to do, before anything is read of it: the verdicts on [`CutsNoted`] carried out.

use std::path::Path;

use crate::base::{Offset, TopicPartition, mark};
use crate::log::{Cut, PartitionSnapshot, Prefix, Verdict};
use crate::runtime::cut;

use super::error::{RecoveryError, at};
use super::evidence::Known;
use super::files;
use super::tell::tell;

/// What is known of a log when its files are to be read.
pub(super) struct Uncut {
    pub(super) snapshot: Option<PartitionSnapshot>,
    /// Records below were on stable storage.
    pub(super) claim: Offset,
    /// Records below were committed.
    pub(super) high_watermark: Offset,
    /// Committed records went with a cut: a batch lay across it, or was damaged.
    pub(super) has_lost: bool,
    /// See [`RecoveredLog::producers_lost`](crate::log::RecoveredLog::producers_lost).
    pub(super) producers_lost: Option<Offset>,
}

/// Does what the commit log says of cuts.
pub(super) fn carry_out(folder: &Path, known: &Known) -> Result<Uncut, RecoveryError> {
    let noted = known.cuts();
    let verdict = noted.verdict();
    tell(known.id, Offset(0), &verdict);
    let mut log = Uncut {
        snapshot: known.snapshot.clone(),
        claim: known.claim,
        high_watermark: known.high_watermark,
        has_lost: false,
        producers_lost: None,
    };
    if verdict == Verdict::CutsUnknown {
        mark("a start believes nothing of a log whose cuts are unknown");
        return Ok(log);
    }
    noted.made.iter().for_each(|cut| log.was_cut(known.id, cut));
    if let Some(cut) = &noted.unfinished {
        mark("a start finishes a cut");
        log.finish(known.id, cut, folder)?;
    }
    Ok(log)
}

impl Uncut {
    /// Cuts the files, which may be cut already.
    fn finish(&mut self, id: TopicPartition, cut: &Cut, folder: &Path) -> Result<(), RecoveryError> {
        let files = cut.files_of(&files::segments(folder)?);
        let left = cut::cut(folder, cut.below, &files).map_err(at(folder))?;
        let made = cut.made(&files, &left);
        let committed = self
            .snapshot
            .as_ref()
            .map_or(self.high_watermark, |known| known.high_watermark.max(self.high_watermark));
        self.has_lost = made.begin_at < committed.min(cut.begin_at);
        self.was_cut(id, &made);
        self.claim = self.claim.min(made.begin_at);
        Ok(())
    }

    /// What a checkpoint from before the cut says does not hold for what was cut off.
    fn was_cut(&mut self, id: TopicPartition, cut: &Cut) {
        if cut.keeps_nothing() {
            // Where the log begins is known by this alone.
            self.snapshot.get_or_insert_with(|| PartitionSnapshot::of_nothing(id));
            self.producers_lost = None;
        }
        let Some(snapshot) = &mut self.snapshot else { return };
        if snapshot.cut(cut) == Prefix::Lost {
            self.producers_lost = Some(cut.begin_at);
        }
        self.producers_lost = self.producers_lost.map(|end| end.min(cut.begin_at));
    }
}
