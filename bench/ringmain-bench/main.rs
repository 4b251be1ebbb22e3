//! Load for any Kafka broker and the measure of the machine under it.
//!
//! Figures that are compared come from one run on one machine; each is printed with its ratio to the floor, which is
//! what loopback, disk and processor do with no broker between them.

mod args;
mod broker;
mod commit;
mod engine;
mod error;
mod fetch;
mod floor;
mod groups;
mod load;
mod plan;
mod produce;
mod report;
mod run;
mod socket;
mod stats;
mod topic;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Floor(args) => run::floor(&args),
        Command::Produce(args) => run::produce(&args),
        Command::Fetch(args) => run::fetch(&args),
        Command::Groups(args) => run::groups(&args),
        Command::Commit(args) => run::commit(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmain-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
