//! A server whose threads are held up while it starts, as on a machine with other things to do.
//!
//! strace holds each thread up when one of its calls for completions returns, for two preempt timers of its executor: that one
//! may then sleep with tasks to run (see `runtime::nudge`). Each call in turn, from the one before the very first task.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use crate::machine;
use crate::process::{Launch, eventually, free_port};

const CALLS: std::ops::RangeInclusive<u32> = 3..=40;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_starts_wherever_its_threads_are_held_up() {
    let Some(_permit) = machine::permit() else { return };
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let launch = Launch::new(&scratch.path().join("data"));
    for call in CALLS {
        let server = launch.command(free_port(), free_port());
        let (said, trace) = (scratch.path().join(format!("{call}.log")), scratch.path().join("trace"));
        let mut strace = Command::new("strace");
        // -D: what is started and killed here is the server itself.
        strace.args(["-D", "-f", "-qq", "-e", "trace=io_uring_enter", "-e"]);
        strace.arg(format!("inject=io_uring_enter:delay_exit=40000:when={call}")).arg("-o").arg(&trace);
        strace.arg(server.get_program()).args(server.get_args()).stdin(Stdio::null());
        let out = File::create(&said).unwrap();
        let _server = Killed(strace.stderr(out.try_clone().unwrap()).stdout(out).spawn().unwrap());
        eventually(&format!("ready, held up at call {call}"), || {
            fs::read_to_string(&said).unwrap().contains("is ready").then_some(())
        });
    }
}
