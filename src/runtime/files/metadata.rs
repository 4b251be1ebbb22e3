//! What shard 0 keeps beside the metadata log: the directory's vote, and snapshots of what the log has come to.

use std::io;

use crate::base::io::IoDone;
use crate::base::{LogEnd, Offset, TopicPartition};
use crate::runtime::background::answer;
use crate::runtime::durable::replace_whole;
use crate::runtime::layout::{partition_folder, quorum_file};
use crate::runtime::snapshots::Job;

use super::Files;
use super::blocking::blocking;

impl Files {
    pub(super) async fn write_quorum(&self, bytes: Vec<u8>) -> io::Result<IoDone> {
        let path = quorum_file(&self.data);
        blocking(move || replace_whole(&path, &[bytes]).map(|()| IoDone::Done)).await
    }

    pub(super) async fn write_snapshot(&self, end: LogEnd, pieces: Vec<Vec<u8>>) -> io::Result<IoDone> {
        self.keep_snapshots(Job::Write { end, pieces }).await
    }

    pub(super) async fn remove_snapshots(&self, below: Offset) -> io::Result<IoDone> {
        self.keep_snapshots(Job::Remove { below }).await
    }

    async fn keep_snapshots(&self, job: Job) -> io::Result<IoDone> {
        let folder = partition_folder(&self.data, TopicPartition::METADATA);
        let answered = self.snapshots.borrow_mut().begin((folder, job))?;
        answer(answered).await.map(|()| IoDone::Done)
    }
}
