//! What transcripts call things: partitions by their topic's name, operations in plain words.

use std::collections::BTreeMap;

use ringmain::base::io::{IoOp, SegmentId};
use ringmain::base::{PartitionIndex, TopicId, TopicPartition};
use ringmain::commit::Checkpoint;
use ringmain::controller::MetadataImage;
use ringmain::log::PartitionSnapshot;

/// Topics by their ids, also those that are gone.
#[derive(Default)]
pub struct Names {
    topics: BTreeMap<TopicId, String>,
}

impl Names {
    pub fn learn(&mut self, image: &MetadataImage) {
        self.topics.extend(image.topics.values().map(|topic| (topic.id, topic.name.to_string())));
    }

    /// A partition as it is written: `t-0`.
    pub fn partition(&self, text: &str) -> TopicPartition {
        let (topic, index) = text.rsplit_once('-').unwrap_or_else(|| panic!("'{text}' is no partition"));
        let index = index.parse().unwrap_or_else(|error| panic!("'{text}': {error}"));
        TopicPartition { topic: self.topic(topic), partition: PartitionIndex(index) }
    }

    /// The newest topic of a name.
    pub fn topic(&self, wanted: &str) -> TopicId {
        let mut all = self.topics.iter();
        let found = all.find(|(_, name)| *name == wanted);
        *found.unwrap_or_else(|| panic!("there is no topic '{wanted}'")).0
    }

    pub fn of(&self, partition: TopicPartition) -> String {
        let topic = self.topics.get(&partition.topic).map_or("metadata", String::as_str);
        format!("{topic}-{}", partition.partition)
    }

    /// A segment by its partition and the offset it begins with: `t-0/120`.
    pub fn segment(&self, segment: SegmentId) -> String {
        format!("{}/{}", self.of(segment.partition), segment.base)
    }

    /// A sentence of the shard's with names in place of ids.
    pub fn sentence(&self, text: &str) -> String {
        let named = |text: String, (id, name): (&TopicId, &String)| text.replace(&id.to_string(), name);
        self.topics.iter().fold(text.to_owned(), named)
    }

    pub fn operation(&self, op: &IoOp) -> String {
        match op {
            IoOp::CreateSegment { segment, names, spare, .. } => {
                let spare = spare.map(|spare| format!(" in the spare file of {}", self.segment(spare)));
                let names = if *names { " and make its name durable" } else { "" };
                format!("create segment {}{}{names}", self.segment(*segment), spare.unwrap_or_default())
            }
            IoOp::Allocate { segment, allocate_bytes } => {
                format!("allocate {allocate_bytes} bytes for segment {}", self.segment(*segment))
            }
            IoOp::WriteSegment { segment, position, data, durable } => {
                let how = if *durable { "durably " } else { "" };
                format!("{how}write {} bytes at {position} of segment {}", data.len(), self.segment(*segment))
            }
            IoOp::SyncSegment { segment, names } => {
                let names = if *names { " and its name" } else { "" };
                format!("sync segment {}{names}", self.segment(*segment))
            }
            IoOp::SyncAll => "sync everything".to_owned(),
            IoOp::SealSegment { segment, length, .. } => {
                format!("seal segment {} at {length} bytes and write its index", self.segment(*segment))
            }
            IoOp::WriteMarks { segment, .. } => format!("write marks of segment {}", self.segment(*segment)),
            IoOp::ReadSegment { segment, position, length } => {
                format!("read {length} bytes at {position} of segment {}", self.segment(*segment))
            }
            IoOp::ReadIndex { segment } => format!("read the index of segment {}", self.segment(*segment)),
            IoOp::IndexSegment { segment, .. } => {
                format!("make the index of segment {} anew", self.segment(*segment))
            }
            IoOp::DeleteSegment { segment } => format!("delete segment {}", self.segment(*segment)),
            IoOp::SpareSegment { segment } => {
                format!("keep the file of segment {} as a spare", self.segment(*segment))
            }
            IoOp::DeleteSpare { segment } => {
                format!("delete the spare file of segment {}", self.segment(*segment))
            }
            IoOp::MapKeys { segments, .. } => {
                let segments: Vec<String> = segments.iter().map(|(it, _)| self.segment(*it)).collect();
                format!("map the keys of segments {}", segments.join(", "))
            }
            IoOp::CleanSegment { segment, length, .. } => {
                format!("clean {length} bytes of segment {}", self.segment(*segment))
            }
            IoOp::VerifySegment { segment, position, .. } => {
                format!("verify segment {} from byte {position}", self.segment(*segment))
            }
            IoOp::SyncCleaned { segment, .. } => {
                format!("make the new file of segment {} durable", self.segment(*segment))
            }
            IoOp::TruncateLog { partition, below, .. } => {
                format!("cut the log of {} at {below}", self.of(*partition))
            }
            IoOp::DeletePartition { partition } => format!("delete partition {}", self.of(*partition)),
            IoOp::WriteCommit { file, position, data } => {
                format!("write {} bytes at {position} of commit file {file}", data.len())
            }
            IoOp::CreateCommitFile { file, .. } => format!("create commit file {file}"),
            IoOp::WriteCheckpoint { bytes } => self.checkpoint(bytes),
            IoOp::WriteQuorum { .. } => "write the vote".to_owned(),
            IoOp::WriteSnapshot { end, .. } => format!("write a snapshot of the metadata before {}", end.end),
            IoOp::RemoveSnapshots { below } => format!("remove snapshots of the metadata before {below}"),
        }
    }

    fn checkpoint(&self, bytes: &[u8]) -> String {
        let Checkpoint { clean, partitions, .. } = Checkpoint::decode(bytes).expect("the shard made it");
        let snapshots = partitions.iter().map(|it| PartitionSnapshot::decode(it).expect("the shard made it"));
        let shown = snapshots.filter(|it| it.id != TopicPartition::METADATA);
        let shown = shown.map(|it| format!("{} from {} to {}", self.of(it.id), it.log_start, it.log_end));
        let clean = if clean { "clean checkpoint" } else { "checkpoint" };
        format!("write a {clean}: {}", shown.collect::<Vec<_>>().join(", "))
    }
}
