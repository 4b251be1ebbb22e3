//! Commit files and checkpoints.

use std::fs;
use std::path::Path;

use crate::base::BLOCK_BYTES;
use crate::commit::{Checkpoint, Entry, Group, GroupError, GroupHeader, Says};
use crate::log::PartitionSnapshot;

use super::report::{Report, Watcher};

/// Inspects a commit file. Every block is looked at, because stale groups of the file's former use lie behind the current
/// ones.
pub(super) fn inspect_file(path: &Path, watcher: &mut dyn Watcher) -> Report {
    let mut report = Report::new(path, "commit file");
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Report::unreadable(path, "commit file", &error),
    };
    watcher.progress(bytes.len() as u64);
    let (mut position, mut groups, mut entries) = (0usize, 0u64, 0u64);
    let mut sequences: Option<(u64, u64)> = None;
    while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
        let at = Some(position as u64);
        position += match Group::parse(rest) {
            Ok(group) => {
                groups += 1;
                let sequence = group.header.sequence;
                let (first, last) = sequences.unwrap_or((sequence, sequence));
                sequences = Some((first.min(sequence), last.max(sequence)));
                if watcher.wants_details() {
                    watcher.detail(path, &detail(&group.header, position));
                }
                for entry in group.entries() {
                    match entry {
                        Ok(entry) => {
                            entries += 1;
                            if watcher.wants_details() {
                                watcher.detail(path, &said(&entry));
                            }
                        }
                        Err(error) => report.problem("not-a-group", at, error.to_string()),
                    }
                }
                usize::try_from(group.header.blocks_bytes()).unwrap_or(BLOCK_BYTES)
            }
            // This is space that was never written, the inside of an older group, or the group that the last crash cut off.
            // A start tells them apart by the sequence numbers of the whole log.
            Err(GroupError::Magic) => BLOCK_BYTES,
            Err(error) => {
                let sequence = GroupHeader::parse(rest).map_or(0, |header| header.sequence);
                let newest = sequences.map_or(0, |(_, last)| last);
                if sequence > newest && watcher.wants_details() {
                    watcher.detail(path, &format!("{position:>12}  group {sequence}, not whole: {error}"));
                }
                BLOCK_BYTES
            }
        };
    }
    report.summary = match sequences {
        None => "no groups".to_owned(),
        Some((first, last)) => format!("{groups} groups of {entries} entries, sequences {first} to {last}"),
    };
    report
}

/// What an entry says, as a line of details.
fn said(entry: &Entry<'_>) -> String {
    let line = match &entry.says {
        Says::Append(header) => format!(
            "segment {} at {}, {} bytes, flushed to {}, high watermark {}",
            header.segment_base,
            header.position,
            entry.bytes.len(),
            header.flushed,
            header.high_watermark
        ),
        Says::Cut(cut) if cut.below.0 == 0 => format!("nothing stays, begins anew at {}", cut.begin_at),
        Says::Cut(cut) => format!("to be cut at {}", cut.below),
        Says::CutDone(cut) => format!("cut, ends at {}", cut.begin_at),
    };
    format!("{:>14}{} {line}", "", entry.says.partition())
}

fn detail(header: &GroupHeader, position: usize) -> String {
    format!(
        "{position:>12}  group {}, {} entries, {} bytes, all before {} durable",
        header.sequence, header.entries, header.length, header.durable_end
    )
}

pub(super) fn inspect_checkpoint(path: &Path, watcher: &mut dyn Watcher) -> Report {
    let mut report = Report::new(path, "checkpoint");
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Report::unreadable(path, "checkpoint", &error),
    };
    watcher.progress(bytes.len() as u64);
    let checkpoint = match Checkpoint::decode(&bytes) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            report.problem("checksum", None, error.to_string());
            return report;
        }
    };
    for (index, bytes) in checkpoint.partitions.iter().enumerate() {
        match PartitionSnapshot::decode(bytes) {
            Some(known) if watcher.wants_details() => {
                let line = format!(
                    "{} offsets {} to {}, high watermark {}, goes on in segment {} at {}, fence {}",
                    known.id,
                    known.log_start,
                    known.log_end,
                    known.high_watermark,
                    known.segment_base,
                    known.position,
                    known.fence
                );
                watcher.detail(path, &line);
            }
            Some(_) => {}
            None => report.problem("checksum", None, format!("partition {index} cannot be read")),
        }
    }
    report.summary = format!(
        "{} partitions, replay from group {}{}",
        checkpoint.partitions.len(),
        checkpoint.replay_from,
        if checkpoint.clean { ", after an orderly stop" } else { "" }
    );
    report
}
