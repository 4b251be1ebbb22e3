//! `ringmain completions`: what a shell needs to complete this command line, on standard output.

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::Failure;

#[derive(Args, Debug)]
pub struct CompletionsArgs {
    shell: Shell,
}

/// Prints the completions of `command`, which is the whole command line.
pub fn run(args: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ringmain", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script).map_err(Failure::failed)
}
