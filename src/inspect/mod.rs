//! Reads and verifies what a data directory holds, changing nothing: `ringmain inspect`.
//!
//! A file's kind follows from its name. Only the formats are shared with the server. Memory is bounded by the largest batch
//! or commit file, whatever the files hold. The files should be those of a stopped server, or a copy of them: of a running
//! server the last batches may be incomplete.
//!
//! | problem | what it means |
//! |---|---|
//! | checksum | bytes differ from those that were written: bit rot, a torn or a misdirected write |
//! | not-a-batch, not-a-group | something else lies where the next one should begin |
//! | cut-short | the file ends in the middle of a batch, group or entry |
//! | out-of-order | a batch that belongs elsewhere: an old block has come back, or two were swapped |
//! | gap | records between two segments are missing |
//! | index | an index entry that leads nowhere; the server would rebuild it |
//! | unreadable | the file cannot be read or is of a newer version |
//! | unknown | the file is none of a data directory |

mod ballot;
mod commit;
mod index;
mod report;
mod segment;
mod snapshot;
#[cfg(test)]
mod testing;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::Offset;

pub use report::{Problem, Report, Watcher};

/// Every file that [`inspect`] would look at.
///
/// # Errors
/// When a folder cannot be read.
pub fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        fs::metadata(path)?;
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut entries = fs::read_dir(path)?.map(|it| it.map(|it| it.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        found.extend(files(&entry)?);
    }
    Ok(found)
}

/// Inspects files in the order of their names; neighbouring segments must adjoin.
pub fn inspect(files: &[PathBuf], watcher: &mut dyn Watcher, mut each: impl FnMut(Report)) {
    // The folder and the end of its last segment.
    let mut before: Option<(PathBuf, Offset)> = None;
    for path in files {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        let report = match (name, extension) {
            (_, "log") => {
                let folder = path.parent().unwrap_or(Path::new(""));
                let follows = before.take().filter(|(other, _)| other == folder).map(|(_, end)| end);
                let (report, end) = segment::inspect(path, follows, watcher);
                before = end.map(|end| (folder.to_owned(), end));
                report
            }
            (_, "index") => index::inspect_offsets(path, watcher),
            (_, "timeindex") => index::inspect_times(path, watcher),
            (_, "marks") => index::inspect_marks(path, watcher),
            (_, "snapshot") => snapshot::inspect(path, watcher),
            (_, "commit") => commit::inspect_file(path, watcher),
            ("checkpoint", _) => commit::inspect_checkpoint(path, watcher),
            ("identity.toml", _) => text(path),
            ("quorum", _) => ballot::inspect(path, watcher),
            ("lock" | "checkpoint.reserve" | "metadata-to-be-fetched", _) => Report::new(path, "mark"),
            (probe, _) if probe.starts_with("probe-") => Report::new(path, "mark"),
            (_, "cleaned" | "deleted" | "new") => {
                let report = Report::new(path, "leftover");
                Report {
                    summary: "left by work that a crash interrupted; the next start removes it".into(),
                    ..report
                }
            }
            (_, "spare") => Report {
                summary: "an old segment's file, kept for the next segment; the next start removes it".into(),
                ..Report::new(path, "spare")
            },
            (_, "damaged" | "orphan") => Report {
                summary: "set aside by a start, because its content could not be trusted".into(),
                ..Report::new(path, "set aside")
            },
            _ => {
                let mut report = Report::new(path, "unknown");
                report.problem("unknown", None, "this is no file of a data directory".into());
                report
            }
        };
        each(report);
    }
}

fn text(path: &Path) -> Report {
    match fs::read_to_string(path) {
        Ok(text) => {
            Report { summary: text.lines().collect::<Vec<_>>().join(", "), ..Report::new(path, "identity") }
        }
        Err(error) => Report::unreadable(path, "identity", &error),
    }
}
