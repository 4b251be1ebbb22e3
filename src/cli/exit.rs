//! How a command ends: one table of exit codes (in the manner of sysexits.h), one line on standard error.

use std::fmt;
use std::process::ExitCode;

/// The reason for a command's end, as its exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Failed,
    Usage,
    OtherServer,
    DamagedData,
    AddressInUse,
    System,
    CannotCreate,
    Io,
    Locked,
    NoPermission,
    Configuration,
}

/// Every exit code with what it means; shown by `ringmain serve --help`.
const EXITS: [(Exit, u8, &str); 11] = [
    (Exit::Failed, 1, "the command could not do what it was asked; the message says why"),
    (Exit::Usage, 64, "the command line is wrong"),
    (Exit::OtherServer, 65, "the data directory belongs to another server id"),
    (Exit::DamagedData, 66, "the data directory holds files this version cannot read"),
    (Exit::AddressInUse, 69, "a listen address is in use or cannot be bound"),
    (Exit::System, 71, "the system lacks what a server needs (io_uring, locked memory, threads)"),
    (Exit::CannotCreate, 73, "the data directory cannot be created or written, or is full"),
    (Exit::Io, 74, "reading or writing the data directory failed; the server stopped rather than go on"),
    (Exit::Locked, 75, "another server uses the data directory"),
    (Exit::NoPermission, 77, "the system refuses this user what a server needs"),
    (Exit::Configuration, 78, "a setting is unknown, out of range, or contradicts another"),
];

impl Exit {
    #[must_use]
    pub fn code(self) -> u8 {
        EXITS.iter().find(|(exit, ..)| *exit == self).expect("the table names every exit").1
    }

    /// The table as text, a line per code.
    #[must_use]
    pub fn table() -> String {
        EXITS.iter().fold(String::from("Exit codes:\n   0  orderly stop"), |text, (_, code, meaning)| {
            format!("{text}\n  {code:>2}  {meaning}")
        })
    }
}

/// A command's failure: an exit code for scripts and a line for people.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// `why` is one line that names the fix where there is one.
    pub fn new(exit: Exit, why: impl fmt::Display) -> Failure {
        Failure { exit, message: why.to_string() }
    }

    /// The failure of a command that was understood and did not succeed, as a client.
    pub fn failed(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::Failed, why)
    }

    /// The failure of a command whose arguments clap accepts and the command cannot use.
    pub fn usage(why: impl fmt::Display) -> Failure {
        Failure::new(Exit::Usage, why)
    }

    pub(super) fn report(self) -> ExitCode {
        eprintln!("ringmain: {}", self.message);
        ExitCode::from(self.exit.code())
    }
}

/// Prints clap's error about arguments. Help and version are not errors.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // A failure to print is ignored: there is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(Exit::Usage.code()) } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_exit_and_each_code_once() {
        let mut codes: Vec<u8> = EXITS
            .iter()
            .map(|(exit, code, _)| {
                assert_eq!(exit.code(), *code);
                *code
            })
            .collect();
        codes.dedup();
        assert_eq!(codes.len(), EXITS.len());
        assert!(codes.is_sorted());
        assert!(Exit::table().contains("\n  78  a setting"));
    }
}
