//! What an inspection tells: a report on each file, and details and progress to a watcher.

use std::fs;
use std::path::{Path, PathBuf};

/// What the inspection of one file has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub path: PathBuf,
    pub kind: &'static str,
    pub bytes: u64,
    /// The file's facts in one line.
    pub summary: String,
    pub problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The problem's name, as in the table at the head of `inspect`.
    pub name: &'static str,
    /// Where the problem begins in the file, in bytes.
    pub position: Option<u64>,
    pub what: String,
}

/// Receives the inspection's details and progress.
pub trait Watcher {
    /// Receives one part of a file: a batch, a group, an entry. Called only if [`Watcher::wants_details`].
    fn detail(&mut self, path: &Path, line: &str);
    fn wants_details(&self) -> bool;
    /// Notes that so many bytes were read since the last call.
    fn progress(&mut self, bytes: u64);
}

impl Report {
    pub(super) fn new(path: &Path, kind: &'static str) -> Report {
        let bytes = fs::metadata(path).map_or(0, |it| it.len());
        Report { path: path.to_owned(), kind, bytes, summary: String::new(), problems: Vec::new() }
    }

    pub(super) fn problem(&mut self, name: &'static str, position: Option<u64>, what: String) {
        self.problems.push(Problem { name, position, what });
    }

    /// The report on a file that cannot be read at all.
    pub(super) fn unreadable(path: &Path, kind: &'static str, reason: &dyn std::fmt::Display) -> Report {
        let mut report = Report::new(path, kind);
        report.problem("unreadable", None, reason.to_string());
        report
    }
}
