//! For the tests of inspections: what a watcher was told, and the problems that were found.

use std::path::Path;

use super::report::{Report, Watcher};

/// Keeps whatever it is told.
#[derive(Default)]
pub(super) struct Lines {
    pub lines: Vec<String>,
    pub bytes: u64,
}

impl Watcher for Lines {
    fn detail(&mut self, _path: &Path, line: &str) {
        self.lines.push(line.to_owned());
    }

    fn wants_details(&self) -> bool {
        true
    }

    fn progress(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

pub(super) fn names(report: &Report) -> Vec<&str> {
    report.problems.iter().map(|it| it.name).collect()
}
