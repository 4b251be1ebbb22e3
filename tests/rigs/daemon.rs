//! A disk as a program: qemu-storage-daemon offers a file as a block device through FUSE, and does to it what it is told.
//!
//! Never attach its file to a loop device with direct I/O: concurrent requests corrupt data then (qemu serves a request
//! while another's buffer is in use).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::machine::try_run;
use crate::process::eventually;

pub struct Daemon {
    process: Child,
    /// The file that is the disk.
    pub export: PathBuf,
    commands: BufReader<UnixStream>,
}

impl Daemon {
    /// Starts it in a folder, with the nodes of `graph`; the one named `top` becomes the disk.
    pub fn start(folder: &Path, graph: &[String]) -> Daemon {
        let (export, socket) = (folder.join("disk"), folder.join("daemon.socket"));
        fs::write(&export, []).unwrap();
        let mut command = Command::new("qemu-storage-daemon");
        command.arg("--pidfile").arg(folder.join("daemon.pid"));
        command.args(["--chardev", &format!("socket,id=qmp,path={},server=on,wait=off", socket.display())]);
        command.args(["--monitor", "chardev=qmp"]).args(graph);
        let fuse = format!("type=fuse,id=disk,node-name=top,writable=on,mountpoint={}", export.display());
        command.args(["--export", &fuse]);
        let errors = fs::File::create(folder.join("daemon.log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let mut process = command.spawn().unwrap();
        let commands = eventually("the storage daemon listens", || {
            let ended = process.try_wait().unwrap();
            let said = || fs::read_to_string(folder.join("daemon.log")).unwrap();
            assert!(ended.is_none(), "{command:?}: {}", said());
            UnixStream::connect(&socket).ok()
        });
        let mut daemon = Daemon { process, export, commands: BufReader::new(commands) };
        daemon.line();
        daemon.tell("qmp_capabilities", json!({}));
        eventually("the disk is there", || (fs::metadata(&daemon.export).ok()?.len() > 0).then_some(()));
        daemon
    }

    /// One command of QMP.
    pub fn tell(&mut self, command: &str, arguments: Value) {
        let line = json!({ "execute": command, "arguments": arguments }).to_string();
        writeln!(self.commands.get_mut(), "{line}").unwrap();
        let answer = loop {
            // A daemon that is connected to while it starts may greet twice.
            let said = self.line();
            if said.get("QMP").is_none() {
                break said;
            }
        };
        assert!(answer.get("return").is_some(), "{line}: {answer}");
    }

    /// The next line that is no event.
    fn line(&mut self) -> Value {
        loop {
            let mut line = String::new();
            self.commands.read_line(&mut line).unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if value.get("event").is_none() {
                return value;
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SIGTERM: it then flushes and unmounts its export.
        try_run(Command::new("kill").arg(self.process.id().to_string()));
        let _ = self.process.wait();
        try_run(Command::new("umount").arg("-l").arg(&self.export));
    }
}
