//! Commit files and checkpoints.

use std::fs;
use std::path::Path;

use crate::base::BLOCK_BYTES;
use crate::commit::{Checkpoint, CheckpointError, Entry, Group, GroupError, GroupHeader, Says};
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
            let is_newer = matches!(error, CheckpointError::Version(_));
            report.problem(if is_newer { "unreadable" } else { "checksum" }, None, error.to_string());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Chunk, LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
    use crate::commit::{
        CommitLog, CommitStart, CutHeader, EntryHeader, GROUP_BYTES_MAX, GROUP_HEADER_BYTES, Logged, Pending,
        Receipt,
    };
    use crate::inspect::testing::{Lines, names};

    const ID: TopicPartition = TopicPartition { topic: TopicId([7; 16]), partition: PartitionIndex(3) };

    fn inspected(
        bytes: &[u8],
        inspect: impl FnOnce(&Path, &mut dyn Watcher) -> Report,
    ) -> (Report, Vec<String>) {
        let folder = tempfile::tempdir().expect("a scratch directory");
        let path = folder.path().join("a file");
        fs::write(&path, bytes).expect("writable");
        let mut lines = Lines::default();
        let report = inspect(&path, &mut lines);
        assert_eq!(lines.bytes, bytes.len() as u64, "progress");
        (report, lines.lines.iter().map(|line| line.trim_start().to_owned()).collect())
    }

    /// A group with an entry of each kind that is written.
    fn group() -> Vec<u8> {
        let mut log = CommitLog::new(CommitStart {
            identity: [9; 16],
            next_sequence: 5,
            files: vec![0, 1, 2],
            file_bytes: 8 << 20,
            files_max: 4,
            group_bytes_max: GROUP_BYTES_MAX,
        });
        let append = EntryHeader {
            partition: ID,
            segment_base: Offset(100),
            position: 4096,
            flushed: Offset(120),
            high_watermark: Offset(110),
        };
        let cut =
            CutHeader { partition: ID, below: Offset(80), begin_at: Offset(80), epoch: LeaderEpoch(-1) };
        let nothing = CutHeader { below: Offset(0), begin_at: Offset(77), ..cut };
        let done = CutHeader { begin_at: Offset(79), ..cut };
        for says in [Says::Append(append), Says::Cut(cut), Says::CutDone(done), Says::Cut(nothing)] {
            let receipt = Receipt { slot: 0, logged: Logged::Cut };
            log.push(Pending { says, data: [None, None], receipt });
        }
        let write = log.gather(&mut Chunk::heap).expect("a group");
        write.data.all().to_vec()
    }

    #[test]
    fn entries_of_every_kind_are_told() {
        let (report, lines) = inspected(&group(), inspect_file);
        assert_eq!(report.summary, "1 groups of 4 entries, sequences 5 to 5");
        assert_eq!(names(&report), Vec::<&str>::new());
        let told: Vec<String> = [
            "segment 100 at 4096, 0 bytes, flushed to 120, high watermark 110",
            "to be cut at 80",
            "cut, ends at 79",
            "nothing stays, begins anew at 77",
        ]
        .map(|line| format!("{ID} {line}"))
        .into();
        assert_eq!(lines[1..], told);
    }

    #[test]
    fn an_entry_of_an_unknown_kind_is_named_and_a_damaged_group_is_none() {
        let mut bytes = group();
        bytes[GROUP_HEADER_BYTES] = 9;
        let (report, _) = inspected(&bytes, inspect_file);
        assert_eq!((report.summary.as_str(), names(&report)), ("no groups", vec![]));
        let length = u32::from_le_bytes(bytes[40..44].try_into().expect("four bytes")) as usize;
        bytes[52..56].fill(0);
        let crc = crc32fast::hash(&bytes[..length]);
        bytes[52..56].copy_from_slice(&crc.to_le_bytes());
        let (report, _) = inspected(&bytes, inspect_file);
        assert_eq!(names(&report), ["not-a-group"]);
        assert_eq!(report.problems[0].position, Some(0));
    }

    #[test]
    fn a_checkpoint_is_told_and_what_is_none_is_named() {
        let known = PartitionSnapshot {
            high_watermark: Offset(5),
            log_end: Offset(9),
            fence: 12,
            ..PartitionSnapshot::of_nothing(ID)
        };
        let checkpoint =
            |partitions| Checkpoint { identity: [9; 16], replay_from: 4, clean: true, partitions };
        let good = checkpoint(vec![known.encode()]).encode();
        let (report, lines) = inspected(&good, inspect_checkpoint);
        assert_eq!(report.summary, "1 partitions, replay from group 4, after an orderly stop");
        let line = format!("{ID} offsets 0 to 9, high watermark 5, goes on in segment 0 at 0, fence 12");
        assert_eq!((names(&report), lines), (vec![], vec![line]));
        let changed = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 0x40;
            bytes
        };
        for (bytes, name) in [
            (changed(8), "unreadable"),
            (changed(0), "checksum"),
            (changed(good.len() - 10), "checksum"),
            (good[..good.len() - 1].to_vec(), "checksum"),
            (checkpoint(vec![b"no partition".to_vec()]).encode(), "checksum"),
        ] {
            assert_eq!(names(&inspected(&bytes, inspect_checkpoint).0), [name]);
        }
    }
}
