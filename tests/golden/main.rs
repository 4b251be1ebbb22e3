//! Bytes from Kafka's own codec, in both directions, and Kafka's own tables of settings; README's word on settings; and metadata
//! records of earlier versions.
//!
//! `messages.tsv` (message, version, JSON, hex of the body) and `batches.jsonl` are read from the folder that the
//! environment variable RINGMAIN_VECTORS names; by default from `vectors` beside this file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
mod configs;
mod guide;
mod messages;
mod metadata;
mod readme;

use std::path::PathBuf;

fn vectors(file: &str) -> String {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vectors");
    let folder = std::env::var_os("RINGMAIN_VECTORS").map_or(default, PathBuf::from);
    let path = folder.join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn from_hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0, "hex has pairs of digits");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
