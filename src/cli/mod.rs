//! The command line: arguments as typed, one file per subcommand.
//!
//! A subcommand is a variant of [`Command`], a file with its `…Args`, and a `run` that answers with an [`exit::Failure`]
//! when it could not do what was asked. Nothing below this module sees an argument: the server gets a resolved
//! [`Config`](crate::config::Config).

mod completions;
pub mod exit;
mod logging;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Print completions for a shell.
    Completions(completions::CompletionsArgs),
}

impl Command {
    fn run(self) -> Result<(), Failure> {
        match self {
            Command::Serve(args) => serve::run(args),
            Command::Completions(args) => completions::run(&args),
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
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
