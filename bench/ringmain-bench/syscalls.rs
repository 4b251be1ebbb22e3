//! Counts another process's system calls with `perf stat`, where the machine has it and allows it.

use std::process::{Child, Command, Stdio};

use crate::usage::Process;

const EVENT: &str = "raw_syscalls:sys_enter";

pub struct Counter(Child);

impl Counter {
    /// None where perf cannot be started.
    pub fn start(process: Process) -> Option<Counter> {
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", EVENT, "-p", &process.0.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        child.ok().map(Counter)
    }

    /// How many there were since it began.
    pub fn stop(self) -> Option<u64> {
        let id = i32::try_from(self.0.id()).ok()?;
        // SAFETY: interrupts a child that has not been waited for, so the id is still its own; perf then prints.
        unsafe { libc::kill(id, libc::SIGINT) };
        let output = self.0.wait_with_output().ok()?;
        count(&String::from_utf8_lossy(&output.stderr))
    }
}

fn count(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_perfs_first_column() {
        assert_eq!(count("# started\n1234,,raw_syscalls:sys_enter,5,100.00,,\n"), Some(1234));
        assert_eq!(count("<not supported>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        assert_eq!(count("Error: no permission"), None);
    }
}
