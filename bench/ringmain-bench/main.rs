//! Load for any Kafka broker and the measure of the machine under it.
//!
//! A scenario (bench/scenarios) says what is produced and consumed; [`load`] runs its parts at the same time over
//! [`engine`]'s connections, [`ledger`] and [`check`] hold the broker to what it acknowledged, [`outcome`] is what came of
//! it, [`report`] shows it. Figures that are compared come from one run on one machine, beside the floor, which is what
//! loopback, disk and processor do with no broker between them.

mod args;
mod batch;
mod beside;
mod broker;
mod catalog;
mod check;
mod commands;
mod commit;
mod compare;
mod crew;
mod cursor;
mod distribution;
mod engine;
mod epoll;
mod error;
mod floor;
mod goals;
mod groups;
mod host;
mod instructions;
mod ledger;
mod load;
mod machine;
mod model;
mod observer;
mod outcome;
mod plan;
mod produce;
mod progress;
mod reader;
mod report;
mod run;
mod scenario;
mod schedule;
mod session;
mod socket;
mod stats;
mod stolen;
mod syscalls;
mod timeline;
mod tool;
mod topic;
mod usage;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};

fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Floor(args) => commands::floor(&args),
        Command::Instructions(args) => commands::instructions(&args),
        Command::Run(args) => commands::scenarios(&args),
        Command::Compare(args) => commands::compare(&args),
        Command::Page(args) => commands::page(&args),
        Command::Produce(args) => commands::produce(&args),
        Command::Fetch(args) => commands::fetch(&args),
        Command::Groups(args) => commands::groups(&args),
        Command::Commit(args) => commands::commit(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringmain-bench: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
