//! `ringmain completions`: what a shell needs to complete this command line, on standard output.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::exit::Failure;

#[derive(Args, Debug)]
pub struct CompletionsArgs {
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ringmain", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script).map_err(Failure::failed)
}
