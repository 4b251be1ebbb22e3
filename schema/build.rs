//! Generates Kafka's wire messages from the field tables in schema/kafka, at every build: they cannot go stale.
//!
//! Three files go to OUT_DIR: `messages.rs` (structs with decode and encode, included by src/protocol), `errors.rs` (error
//! codes) and `golden_json.rs` (the same structs from and to Kafka's JSON form, included by the test target `golden`
//! only).

#[path = "generate/json.rs"]
mod json;
#[path = "generate/rust.rs"]
mod rust;
#[path = "generate/table.rs"]
mod table;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("schema");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-changed=schema");
    let messages = table::read_folder(&root.join("kafka"));
    write(&out.join("messages.rs"), &rust::messages(&messages));
    write(&out.join("golden_json.rs"), &json::conversions(&messages));
    let errors =
        fs::read_to_string(root.join("kafka/errors.tsv")).expect("schema/kafka/errors.tsv is readable");
    write(&out.join("errors.rs"), &rust::error_codes(&errors));
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
