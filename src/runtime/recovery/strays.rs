//! Partitions that are on the disk and that the metadata does not give to this server.
//!
//! As long as this server decides alone, its metadata log is all there is to know: data of a topic that it does not list is
//! set aside at once. In a larger quorum the log here may be behind, so nothing is set aside before the quorum was heard:
//! such partitions are recovered with the others, and whoever knows more judges them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::{PartitionIndex, TopicId, TopicPartition};
use crate::controller::MetadataImage;
use crate::log::{TopicFolder, Verdict};

use super::error::{RecoveryError, at};

/// Every partition that has a folder, but for the metadata log.
pub(super) fn on_disk(data: &Path) -> Result<BTreeSet<TopicPartition>, RecoveryError> {
    let mut found = BTreeSet::new();
    for (topic, path) in topics(data)? {
        if topic == TopicId::METADATA {
            continue;
        }
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let name = entry.map_err(at(&path))?.file_name();
            if let Some(partition) = name.to_str().and_then(|name| name.parse().ok()) {
                found.insert(TopicPartition { topic, partition: PartitionIndex(partition) });
            }
        }
    }
    Ok(found)
}

/// Moves data of topics that the metadata does not list out of the way.
pub(super) fn set_aside(data: &Path, image: &MetadataImage) -> Result<(), RecoveryError> {
    for (topic, path) in topics(data)? {
        let is_listed = image.topic_by_id(topic).is_some();
        if (TopicFolder { topic, is_listed }).verdict() == Verdict::TopicListed {
            continue;
        }
        let aside = set_topic_aside(data, topic, &path)?;
        tracing::warn!(%topic, moved_to = %aside.display(), "data of a topic that no longer exists");
    }
    Ok(())
}

/// Moves a topic's folder to where nobody takes it for a topic's. What was there before goes.
pub(super) fn set_topic_aside(data: &Path, topic: TopicId, path: &Path) -> Result<PathBuf, RecoveryError> {
    let orphans = data.join("orphans");
    fs::create_dir_all(&orphans).map_err(at(&orphans))?;
    let aside = orphans.join(topic.to_string());
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(at(&aside))?;
    }
    fs::rename(path, &aside).map_err(at(path))?;
    Ok(aside)
}

fn topics(data: &Path) -> Result<Vec<(TopicId, PathBuf)>, RecoveryError> {
    let root = data.join("topics");
    fs::create_dir_all(&root).map_err(at(&root))?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&root).map_err(at(&root))? {
        let path = entry.map_err(at(&root))?.path();
        if let Some(topic) = path.file_name().and_then(|name| TopicId::parse(name.to_str()?)) {
            found.push((topic, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}
