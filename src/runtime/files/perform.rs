//! Operations one by one: which mechanism performs each.

use std::io;

use crate::base::io::{CutFiles, IoDone, IoOp, SegmentId, WriteData};
use crate::base::{Offset, TopicPartition};
use crate::runtime::background::answer;
use crate::runtime::cleaner::{Answer, Job};
use crate::runtime::cut;
use crate::runtime::layout::partition_folder;
use crate::runtime::remover::Gone;

use super::Files;
use super::open::Mode;
use super::segment::{Creation, SPARE, Seal};

impl Files {
    /// Performs one operation. Never dropped before it ends: its task is detached.
    pub async fn perform(&self, op: IoOp) -> IoDone {
        // A read that fails costs only its reader, so this line is all an operator hears of it.
        let read = match &op {
            IoOp::ReadSegment { segment, position, length } => Some((*segment, *position, *length)),
            _ => None,
        };
        let outcome = self.try_perform(op).await;
        if let (Err(error), Some((segment, position, length))) = (&outcome, read) {
            tracing::error!(shard = %self.shard, ?segment, position, length, %error, "a segment cannot be read");
        }
        match outcome {
            Ok(done) => done,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) => {
                IoDone::DiskFull
            }
            Err(error) => IoDone::Failed(error.to_string()),
        }
    }

    async fn try_perform(&self, op: IoOp) -> io::Result<IoDone> {
        match op {
            IoOp::CreateSegment { segment, allocate_bytes, names, spare, leisurely } => {
                self.create(Creation { segment, names, spare, leisurely }, allocate_bytes).await
            }
            IoOp::Allocate { segment, allocate_bytes } => self.allocate(segment, allocate_bytes).await,
            IoOp::WriteSegment { segment, position, data, durable } => {
                let mode = if durable { Mode::Durable } else { Mode::Plain };
                let file = self.open.segment(segment, mode).await?;
                self.write(&file, data, position).await
            }
            IoOp::SyncSegment { segment, names: false } => self.sync(segment).await,
            IoOp::SyncSegment { segment, names: true } => self.sync_with_names(segment).await,
            IoOp::SyncAll => self.sync_all().await,
            IoOp::SealSegment { segment, length, index, time_index, sync } => {
                self.seal(Seal { segment, length, index, time_index, sync }).await
            }
            IoOp::WriteMarks { segment, position, marks } => self.write_marks(segment, position, marks).await,
            IoOp::ReadSegment { segment, position, length } => self.read(segment, position, length).await,
            IoOp::ReadIndex { segment } => self.read_index(segment).await,
            IoOp::SpareSegment { segment } => self.make_spare(segment).await,
            IoOp::SyncCleaned { segment, index, time_index } => {
                self.sync_cleaned(segment, index, time_index).await
            }
            IoOp::IndexSegment { segment, length, offsets } => {
                let (base, path) = (segment.base, self.log_file(segment));
                self.clean(Job::Index { base, path, length, offsets }).await
            }
            IoOp::MapKeys { segments, keys } => {
                let file = |(segment, length): (SegmentId, u64)| (self.log_file(segment), length);
                self.clean(Job::Map { files: segments.into_iter().map(file).collect(), keys }).await
            }
            IoOp::CleanSegment { segment, length, keys, now, delete_retention_ms, staying } => {
                let (base, path) = (segment.base, self.log_file(segment));
                self.clean(Job::Clean { base, path, length, keys, now, delete_retention_ms, staying }).await
            }
            IoOp::VerifySegment { segment, position, length, bytes, offsets } => {
                let path = self.log_file(segment);
                self.clean(Job::Verify { path, position, length, bytes, offsets }).await
            }
            IoOp::DeleteSegment { segment } => self.delete_segment(segment).await,
            IoOp::DeleteSpare { segment } => self.delete_spare(segment).await,
            IoOp::TruncateLog { partition, below, files } => self.cut(partition, below, files).await,
            IoOp::DeletePartition { partition } => self.delete_partition(partition).await,
            IoOp::WriteCommit { file, position, data } => {
                let file = self.open.commit_file(file).await?;
                self.write(&file, WriteData::Whole(data), position).await
            }
            IoOp::CreateCommitFile { file, bytes } => self.create_commit_file(file, bytes).await,
            IoOp::WriteCheckpoint { bytes } => self.write_checkpoint(bytes).await,
            IoOp::WriteQuorum { bytes } => self.write_quorum(bytes).await,
            IoOp::WriteSnapshot { end, pieces } => self.write_snapshot(end, pieces).await,
            IoOp::RemoveSnapshots { below } => self.remove_snapshots(below).await,
        }
    }

    async fn clean(&self, job: Job) -> io::Result<IoDone> {
        let to = if matches!(job, Job::Index { .. }) { &self.indexer } else { &self.cleaner };
        let answered = to.borrow_mut().begin(job)?;
        Ok(match answer(answered).await? {
            Answer::Keys(keys) => IoDone::Keys(keys),
            Answer::Verified { to, next, damage } => IoDone::Verified { to, next, damage },
            Answer::Cleaned(cleaned) => IoDone::Cleaned(cleaned),
            Answer::Index { index, time_index } => IoDone::Index { index, time_index },
        })
    }

    async fn cut(&self, partition: TopicPartition, below: Offset, files: CutFiles) -> io::Result<IoDone> {
        self.open.forget_partition(partition);
        let folder = partition_folder(&self.data, partition);
        let answered = self.cutter.borrow_mut().begin(cut::Job { folder, below, files })?;
        answer(answered).await.map(IoDone::Truncated)
    }

    async fn delete_segment(&self, segment: SegmentId) -> io::Result<IoDone> {
        self.open.forget_segment(segment);
        self.remove(Gone::Segment(self.log_file(segment))).await
    }

    async fn delete_spare(&self, segment: SegmentId) -> io::Result<IoDone> {
        self.remove(Gone::Segment(self.log_file(segment).with_extension(SPARE))).await
    }

    async fn delete_partition(&self, partition: TopicPartition) -> io::Result<IoDone> {
        self.open.forget_partition(partition);
        self.remove(Gone::Partition(partition_folder(&self.data, partition))).await
    }

    async fn remove(&self, gone: Gone) -> io::Result<IoDone> {
        let answered = self.remover.borrow_mut().begin(gone)?;
        answer(answered).await.map(|()| IoDone::Done)
    }
}
