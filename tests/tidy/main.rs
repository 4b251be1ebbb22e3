//! Holds the tree to its architecture: which folder may use which and which are pure (`rooms`), imports without circles
//! (`cycles`), the length of files and functions (`size`), how doc comments begin (`comments`), and what may not stand in a
//! file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod comments;
mod cycles;
mod exceptions;
mod imports;
mod rooms;
mod size;
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use source::root;

#[test]
fn scripts_say_what_they_do() {
    for entry in fs::read_dir(root().join("scripts")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!"), "{} names its interpreter", path.display());
        assert!(
            text.lines().nth(1).is_some_and(|line| line.starts_with('#')),
            "{} has a header",
            path.display()
        );
        let help = Command::new(&path).arg("--help").stdin(Stdio::null()).output().unwrap();
        assert!(
            help.status.success() && !help.stdout.is_empty(),
            "{} answers --help: {help:?}",
            path.display()
        );
    }
}

#[test]
fn files_name_no_machine() {
    // Spelled in pieces so that this file does not name them either.
    let words = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["/fa", "rm/"].concat()];
    let folders = ["src", "bench", "tests", "scripts", "schema"];
    for folder in folders {
        for path in text_files(&root().join(folder)) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            for word in &words {
                assert!(!text.contains(word.as_str()), "{} names {word}", path.display());
            }
        }
    }
}

fn text_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match name.as_str() {
            "vectors" | "target" | "node_modules" | "corpus" | "artifacts" => {}
            _ if path.is_dir() => found.extend(text_files(&path)),
            _ => found.push(path),
        }
    }
    found
}
