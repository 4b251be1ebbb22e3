use std::process::ExitCode;

fn main() -> ExitCode {
    ringmain::cli::run()
}
