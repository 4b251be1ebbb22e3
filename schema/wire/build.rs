//! Writes Kafka's wire messages to OUT_DIR, from where src/protocol includes them: `messages.rs` (structs with decode and
//! encode) and `errors.rs` (error codes).

use std::path::{Path, PathBuf};
use std::{env, fs};

use ringmain_generate::{rust, table};

fn main() {
    println!("cargo:rerun-if-changed=../kafka");
    let tables = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../kafka");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    write(&out.join("messages.rs"), &rust::messages(&table::read_folder(&tables)));
    let errors = fs::read_to_string(tables.join("errors.tsv")).expect("schema/kafka/errors.tsv is readable");
    write(&out.join("errors.rs"), &rust::error_codes(&errors));
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
