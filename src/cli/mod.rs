//! The command line: arguments as typed, one file per subcommand.
//!
//! A subcommand is a variant of [`Command`], and a file with its `…Args` and a function `run`, which returns an
//! [`exit::Failure`] when it could not do what was asked. Only this module sees arguments: the server gets a resolved
//! [`Config`](crate::config::Config).

mod cluster;
mod completions;
mod config;
mod consume;
pub mod exit;
mod format;
mod group;
mod inspect;
mod logging;
mod produce;
mod remote;
mod serve;
mod topic;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use exit::Failure;

/// A Kafka-compatible event broker: thread per core, io_uring, durable before it acknowledges.
#[derive(Parser, Debug)]
#[command(name = "ringmain", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a server.
    Serve(serve::ServeArgs),
    /// Create, list, describe and delete topics.
    Topic(topic::TopicArgs),
    /// List and describe consumer groups, move their offsets, delete them.
    Group(group::GroupArgs),
    /// Show and change settings of topics, brokers, groups and client metrics.
    Config(config::ConfigArgs),
    /// Show the cluster: its brokers, and what they can do.
    Cluster(cluster::ClusterArgs),
    /// Write records from standard input.
    Produce(produce::ProduceArgs),
    /// Write records to standard output.
    Consume(consume::ConsumeArgs),
    /// Verify files of a data directory, and show what is in them.
    Inspect(inspect::InspectArgs),
    /// Print completions for a shell.
    Completions(completions::CompletionsArgs),
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Command::Serve(args) => serve::run(args),
            Command::Topic(args) => topic::run(args),
            Command::Group(args) => group::run(args),
            Command::Config(args) => config::run(args),
            Command::Cluster(args) => cluster::run(args),
            Command::Produce(args) => produce::run(args),
            Command::Consume(args) => consume::run(args),
            Command::Inspect(args) => inspect::run(&args),
            Command::Completions(args) => completions::run(&args, Cli::command()),
        }
    }
}

/// Parses the process's arguments, runs the subcommand and says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
