//! Operations as the list of the last events shows them.

use ringmain::base::io::{IoOp, SegmentId};

pub fn named(op: &IoOp) -> String {
    let of = |segment: &SegmentId| {
        let partition = segment.partition;
        format!("{}-{}/{}", &partition.topic.to_string()[..8], partition.partition, segment.base)
    };
    match op {
        IoOp::CreateSegment { segment, allocate_bytes, names, spare, .. } => {
            let spare = spare.map(|spare| format!(" from {}", spare.base)).unwrap_or_default();
            let names = if *names { " with its name" } else { "" };
            format!("create {} {allocate_bytes}{spare}{names}", of(segment))
        }
        IoOp::SpareSegment { segment } => format!("spare {}", of(segment)),
        IoOp::DeleteSpare { segment } => format!("delete spare {}", of(segment)),
        IoOp::Allocate { segment, allocate_bytes } => format!("allocate {} {allocate_bytes}", of(segment)),
        IoOp::WriteSegment { segment, position, data, durable } => {
            format!("write {} at {position}, {} bytes, durable: {durable}", of(segment), data.len())
        }
        IoOp::SyncSegment { segment, names } => {
            format!("sync {}{}", of(segment), if *names { " and its name" } else { "" })
        }
        IoOp::SyncAll => "sync all".to_owned(),
        IoOp::SealSegment { segment, length, .. } => format!("seal {} at {length}", of(segment)),
        IoOp::WriteMarks { segment, position, marks } => {
            format!("write marks of {} at {position}, {} bytes", of(segment), marks.len())
        }
        IoOp::ReadSegment { segment, position, length } => {
            format!("read {} at {position}, {length} bytes", of(segment))
        }
        IoOp::ReadIndex { segment } => format!("read index of {}", of(segment)),
        IoOp::IndexSegment { segment, .. } => format!("make index of {} anew", of(segment)),
        IoOp::DeleteSegment { segment } => format!("delete {}", of(segment)),
        IoOp::MapKeys { segments, .. } => {
            format!("map keys of {:?}", segments.iter().map(|(segment, _)| of(segment)).collect::<Vec<_>>())
        }
        IoOp::CleanSegment { segment, length, .. } => format!("clean {} of {length} bytes", of(segment)),
        IoOp::VerifySegment { segment, .. } => format!("verify {}", of(segment)),
        IoOp::SyncCleaned { segment, .. } => format!("sync cleaned {}", of(segment)),
        IoOp::TruncateLog { partition, below, .. } => format!("cut {partition} at {below}"),
        IoOp::DeletePartition { partition } => format!("delete partition {partition}"),
        IoOp::WriteCommit { file, position, data } => {
            format!("write commit file {file} at {position}, {} bytes", data.len())
        }
        IoOp::CreateCommitFile { file, .. } => format!("create commit file {file}"),
        IoOp::WriteCheckpoint { bytes } => format!("write a checkpoint of {} bytes", bytes.len()),
        IoOp::WriteQuorum { .. } => "write the vote".to_owned(),
        IoOp::WriteSnapshot { end, pieces } => {
            let bytes: usize = pieces.iter().map(Vec::len).sum();
            format!("write a snapshot of the metadata before {}, {bytes} bytes", end.end)
        }
        IoOp::RemoveSnapshots { below } => format!("remove snapshots before {below}"),
    }
}
