//! The real server as a process of its own: started on free ports, killed or stopped, its lines kept.

#![allow(dead_code, reason = "each test uses the part it needs")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that a machine under load still does.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Ports below those the kernel hands out by itself.
const PORTS_FROM: u16 = 29_500;
const PORTS: u16 = 100;

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    pub data: PathBuf,
    pub shards: u16,
    pub settings: Vec<String>,
    /// Where what it says is kept.
    logs: PathBuf,
}

impl Launch {
    pub fn new(data: &Path) -> Launch {
        // Records of these tests carry timestamps of long ago.
        let settings = vec!["log.retention.ms=-1".to_owned()];
        let logs = data.parent().unwrap().to_owned();
        Launch { data: data.to_owned(), shards: 2, settings, logs }
    }

    /// Elsewhere than beside its data: that disk may fail.
    pub fn logs_in(mut self, folder: &Path) -> Launch {
        self.logs = folder.to_owned();
        self
    }

    pub fn set(mut self, setting: &str) -> Launch {
        self.settings.push(setting.to_owned());
        self
    }

    /// The command that would start it on these ports.
    pub fn command(&self, port: u16, admin: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmain"));
        command.arg("serve").arg("--data-dir").arg(&self.data);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--admin", &format!("127.0.0.1:{admin}")]);
        command.args(["--shards", &self.shards.to_string()]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Starts it and waits until it says it is ready.
    pub fn start(&self) -> Server {
        // Another process may take a port between looking for a free one and listening there.
        eventually("a port that stays free", || self.try_start())
    }

    fn try_start(&self) -> Option<Server> {
        let (port, admin) = (free_port(), free_port());
        let name = self.data.file_name().unwrap().display();
        let log = self.logs.join(format!("{name}.{port}.log"));
        let errors = File::create(&log).unwrap();
        let mut child = self.command(port, admin).stderr(errors).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let server = Server { child: Some(child), port, admin, log };
        if server.lines().contains("Address already in use") {
            return None;
        }
        assert!(first.starts_with("Ringmain is ready"), "{first}\n{}", server.lines());
        Some(server)
    }

    /// Runs it to an end it is expected to come to by itself: the exit code and what it said.
    pub fn refused(&self, port: u16, admin: u16) -> (Option<i32>, String) {
        let mut child = self.command(port, admin).stderr(Stdio::piped()).spawn().unwrap();
        let status = wait_at_most(&mut child, PATIENCE);
        let output = child.wait_with_output().unwrap();
        (status.and_then(|status| status.code()), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    pub port: u16,
    pub admin: u16,
    log: PathBuf,
}

impl Server {
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// What it has logged so far.
    pub fn lines(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Errors it has reported so far. Those of glommio do not count: it is surprised now and then that loop devices cannot be
    /// polled, and goes on without.
    pub fn errors(&self) -> Vec<String> {
        self.lines().lines().filter(|line| line.contains("ERROR ringmain")).map(str::to_owned).collect()
    }

    /// A metric's value, over all shards and labels.
    pub fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.pid()).unwrap();
        // SAFETY: signals the child, which has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().unwrap().try_wait().unwrap()
    }

    /// SIGKILL; the ports are free and the lock is gone when this returns.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and the exit code of the orderly end.
    pub fn stop(mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let pid = libc::pid_t::try_from(child.id()).unwrap();
        // SAFETY: signals the child, which has not been waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
        let status = wait_at_most(&mut child, PATIENCE);
        assert!(status.is_some(), "no end after SIGTERM:\n{}", self.lines());
        status.and_then(|status| status.code())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for a state, for a while.
pub fn eventually<T>(what: &str, mut state: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(reached) = state() {
            return reached;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_at_most(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    None
}

/// A port nobody listens on now; tests of one process never get the same one soon.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap();
    for _ in 0..PORTS {
        let port = PORTS_FROM + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port free from {PORTS_FROM} on");
}

/// An empty directory on the disk the build is on (direct I/O is refused in memory). A test that fails keeps it.
pub fn scratch() -> Scratch {
    Scratch(Some(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()))
}

#[derive(Debug)]
pub struct Scratch(Option<tempfile::TempDir>);

impl Scratch {
    pub fn path(&self) -> &Path {
        self.0.as_ref().unwrap().path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = self.0.take().unwrap().keep();
            eprintln!("kept with its data and logs: {}", kept.display());
        }
    }
}
