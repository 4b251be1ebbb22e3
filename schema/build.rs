//! Writes `golden_json.rs` to OUT_DIR: Kafka's JSON form of each message, which the test target `golden` includes.
//!
//! The messages themselves are written by the build script of the crate in schema/wire.

use std::path::PathBuf;
use std::{env, fs};

use ringmain_generate::{json, table};

fn main() {
    println!("cargo:rerun-if-changed=schema/kafka");
    let tables = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("schema/kafka");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("golden_json.rs");
    fs::write(&out, json::conversions(&table::read_folder(&tables)))
        .unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}
