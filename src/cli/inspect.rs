//! `ringmain inspect`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::inspect::{self, Report, Watcher};

use super::exit::{Exit, Failure};
use super::remote::print;

/// Reads and verifies files of a data directory, and changes nothing. The server that owns them should be stopped.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Files (segments, indexes, snapshots, commit files, checkpoints) or folders, up to a whole data directory
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Show every batch, group and entry
    #[arg(long, short)]
    verbose: bool,
    /// Answer in JSON, a line per file
    #[arg(long)]
    json: bool,
}

const PROGRESS: Duration = Duration::from_secs(1);

pub fn run(args: &InspectArgs) -> Result<(), Failure> {
    let mut files = Vec::new();
    for path in &args.paths {
        let found = inspect::files(path);
        files.extend(found.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?);
    }
    let total = files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|it| it.len()).sum();
    let mut view = View { verbose: args.verbose && !args.json, done: 0, total, shown: Instant::now() };
    let (mut problems, mut damaged) = (0, 0);
    let mut outcome = Ok(());
    inspect::inspect(&files, &mut view, |report| {
        problems += report.problems.len();
        damaged += usize::from(!report.problems.is_empty());
        if outcome.is_ok() {
            outcome =
                if args.json { print(&format!("{}\n", entry(&report))) } else { print(&lines(&report)) };
        }
    });
    outcome?;
    if problems > 0 {
        let message = format!("{problems} problems in {damaged} of {} files", files.len());
        return Err(Failure::new(Exit::DamagedData, message));
    }
    if !args.json {
        print(&format!("{} files, nothing wrong with them.\n", files.len()))?;
    }
    Ok(())
}

fn lines(report: &Report) -> String {
    let path = report.path.display();
    let mut text = format!("{path}: {}, {} bytes", report.kind, report.bytes);
    if !report.summary.is_empty() {
        text.push_str(": ");
        text.push_str(&report.summary);
    }
    text.push('\n');
    for problem in &report.problems {
        let at = problem.position.map(|at| format!(" at {at}")).unwrap_or_default();
        text.push_str(&format!("{path}{at}: {}: {}\n", problem.name, problem.what));
    }
    text
}

fn entry(report: &Report) -> Value {
    let problems =
        report.problems.iter().map(|it| json!({ "name": it.name, "position": it.position, "what": it.what }));
    json!({
        "path": report.path.to_string_lossy(),
        "kind": report.kind,
        "bytes": report.bytes,
        "summary": report.summary,
        "problems": problems.collect::<Vec<Value>>(),
    })
}

/// Shows details on standard output, and the progress of long work on standard error if that is a terminal.
struct View {
    verbose: bool,
    done: u64,
    total: u64,
    shown: Instant,
}

impl Watcher for View {
    fn detail(&mut self, _path: &Path, line: &str) {
        // A closed pipe is noticed when the file's own line is printed.
        let _ = print(&format!("  {line}\n"));
    }

    fn wants_details(&self) -> bool {
        self.verbose
    }

    fn progress(&mut self, bytes: u64) {
        self.done += bytes;
        if self.shown.elapsed() < PROGRESS || !std::io::stderr().is_terminal() {
            return;
        }
        self.shown = Instant::now();
        let (done, total) = (self.done >> 20, self.total >> 20);
        let _ = write!(std::io::stderr(), "\r{done} of {total} MiB");
    }
}
