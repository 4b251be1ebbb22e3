//! Holds the tree to its architecture: which folder may use which, which folders are pure, what may not stand in a file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Folder of src → folders it may name with `crate::`. The table of src/lib.rs.
const MAY_USE: [(&str, &[&str]); 16] = [
    ("base", &[]),
    ("config", &["base"]),
    ("protocol", &["base"]),
    ("record", &["base"]),
    ("log", &["base", "config", "record"]),
    ("commit", &["base"]),
    ("controller", &["base", "config"]),
    ("group", &["base", "config", "protocol", "controller"]),
    ("shard", &["base", "config", "record", "log", "commit", "controller", "group"]),
    ("api", &["base", "config", "protocol", "record", "controller", "group", "shard"]),
    ("runtime", &["base", "config", "record", "log", "commit", "controller", "shard"]),
    ("server", &["base", "config", "protocol", "log", "controller", "shard", "api", "runtime", "admin"]),
    ("admin", &["base", "protocol"]),
    ("client", &["base", "protocol", "record"]),
    ("inspect", &["base", "record", "log", "commit", "controller"]),
    ("cli", &["base", "config", "protocol", "record", "server", "runtime", "client", "admin", "inspect"]),
];

/// Folders without I/O, clock or entropy.
const PURE: [&str; 9] =
    ["base", "protocol", "record", "log", "commit", "controller", "group", "shard", "api"];
const IMPURE: [&str; 8] =
    ["glommio", "std::fs", "std::net", "std::thread", "Instant::now", "SystemTime", "RandomState", "tokio"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Lines of code: comments and the unit tests at the bottom left out.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().enumerate();
    let code = lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line.to_owned()))
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for (folder, allowed) in MAY_USE {
        for path in rust_files(&root().join("src").join(folder)) {
            for (at, line) in code(&path) {
                for used in line.split("crate::").skip(1) {
                    let name: String =
                        used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let known = MAY_USE.iter().any(|(other, _)| *other == name);
                    if known && name != folder && !allowed.contains(&name.as_str()) {
                        wrong.push(format!("{}:{at}: {folder} must not use {name}", path.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_is_in_the_table() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(
                MAY_USE.iter().any(|(folder, _)| *folder == name),
                "src/{name} has no row in tests/tidy.rs"
            );
        }
    }
}

#[test]
fn pure_folders_have_no_io_clock_or_entropy() {
    let mut wrong = Vec::new();
    for folder in PURE {
        for path in rust_files(&root().join("src").join(folder)) {
            for (at, line) in code(&path) {
                for word in IMPURE.iter().filter(|word| line.contains(*word)) {
                    wrong.push(format!("{}:{at}: {folder} is pure and must not use {word}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

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
