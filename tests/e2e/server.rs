//! A server under test.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use ringmain::base::{Offset, PartitionIndex};
use ringmain::client::{
    Admin, Cluster, ConnectionOptions, Consumer, ConsumerOptions, Missing, NewTopic, Position, Producer,
    ProducerOptions,
};

/// Ports for servers under test; none of them is ephemeral on Linux.
const PORTS: std::ops::Range<u16> = 29_600..29_700;
/// The exit code that says a port was taken between our look and the server's.
const ADDRESS_IN_USE: i32 = 69;
/// How long anything a server does may take, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    /// `None` while stopped, or when the broker is not ours.
    child: Option<Child>,
    address: String,
    /// Where its metrics are.
    metrics: String,
    directory: PathBuf,
    data: PathBuf,
}

impl Server {
    pub fn start() -> Server {
        Server::start_with(&["--shards", "2"])
    }

    /// Starts a server on an empty data directory and waits until it answers.
    pub fn start_with(args: &[&str]) -> Server {
        if let Ok(address) = std::env::var("RINGMAIN_E2E_BROKER") {
            let (directory, data) = (PathBuf::new(), PathBuf::new());
            return Server { child: None, address, metrics: String::new(), directory, data };
        }
        let directory = scratch();
        let data = directory.join("data");
        let mut server =
            Server { child: None, address: String::new(), metrics: String::new(), directory, data };
        server.start_again(args);
        server
    }

    /// Starts a server that has its data in `data` and waits until it answers.
    pub fn start_in(data: &Path, args: &[&str]) -> Server {
        let (address, directory) = (String::new(), scratch());
        let mut server =
            Server { child: None, address, metrics: String::new(), directory, data: data.to_owned() };
        server.start_again(args);
        server
    }

    /// Starts the stopped server again on its data.
    pub fn start_again(&mut self, args: &[&str]) {
        assert!(self.child.is_none() && self.is_ours(), "only a stopped server of our own can be started");
        let deadline = Instant::now() + PATIENCE;
        while !self.try_start(args) {
            assert!(Instant::now() < deadline, "no port is free; {}", self.log());
        }
    }

    /// False if somebody else took the port.
    fn try_start(&mut self, args: &[&str]) -> bool {
        // The port between them may be that of the second core.
        let [address, _, admin] = std::array::from_fn(|_| free_address());
        let log = File::options().create(true).append(true).open(self.directory.join("log"));
        let log = log.expect("the target folder can be written");
        let child = Command::new(env!("CARGO_BIN_EXE_ringmain"))
            .args(["serve", "--listen", &address, "--admin", &admin, "--data-dir"])
            .arg(self.data_directory())
            // Small commit files: a test writes little, and many servers start at once.
            .args(["--set", "ringmain.commit.file.bytes=4194304"])
            // The tests' records carry timestamps of long ago.
            .args(["--set", "log.retention.ms=-1"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor is free"))
            .stderr(log)
            .spawn()
            .expect("the binary was built for this test");
        self.child = Some(child);
        self.address = address;
        self.metrics = admin;
        let deadline = Instant::now() + PATIENCE;
        while Cluster::connect(&self.address, impatient()).is_err() {
            if let Some(status) = self.exited() {
                assert_eq!(status.code(), Some(ADDRESS_IN_USE), "the server ended: {}", self.log());
                self.child = None;
                return false;
            }
            assert!(Instant::now() < deadline, "the server does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// A page of the administration.
    pub fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.metrics).expect("the administration listens");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (_, page) = text.split_once("\r\n\r\n").expect("a head and a body");
        page.to_owned()
    }

    /// A metric's value, over all shards and labels.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.page("/metrics");
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let values =
            lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a number"));
        values.sum()
    }

    /// Resident memory.
    pub fn resident_bytes(&self) -> usize {
        let id = self.child.as_ref().expect("the server runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("Linux has it");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("in every status");
        line.split_whitespace().nth(1).expect("a number").parse::<usize>().expect("a number") * 1024
    }

    pub fn data_directory(&self) -> PathBuf {
        self.data.clone()
    }

    /// Stops the server as an operator does; it must end well.
    pub fn stop(&mut self) {
        let status = self.signal(libc::SIGTERM);
        assert!(status.success(), "the server ended with {status}: {}", self.log());
    }

    /// Ends the server in the middle of whatever it does.
    pub fn kill(&mut self) {
        let status = self.signal(libc::SIGKILL);
        assert_eq!(status.signal(), Some(libc::SIGKILL), "the server had ended before: {}", self.log());
    }

    pub fn cluster(&self) -> Cluster {
        Cluster::connect(&self.address, patient()).expect("the server answers")
    }

    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster(), PATIENCE)
    }

    pub fn producer(&self, options: ProducerOptions) -> Producer {
        Producer::new(self.cluster(), options)
    }

    pub fn consumer(&self) -> Consumer {
        Consumer::new(self.cluster(), ConsumerOptions::default())
    }

    /// Creates a topic and waits for its leaders.
    pub fn create_topic(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut admin = self.admin();
        let partitions = Some(partitions);
        let new = NewTopic { name: topic.to_owned(), partitions, configs, ..Default::default() };
        admin.create_topic(&new).expect("the topic is created");
        admin.ready_topic(topic, PATIENCE).expect("the topic gets leaders");
    }

    /// The offset that the next record of partition 0 gets.
    pub fn log_end(&self, topic: &str) -> Offset {
        self.find(topic, Position::Latest)
    }

    /// The offset a position stands for in partition 0.
    pub fn find(&self, topic: &str, position: Position) -> Offset {
        let mut cluster = self.cluster();
        cluster.refresh(Some(&[topic]), Missing::Fail).expect("the topic is there");
        let mut consumer = Consumer::new(cluster, ConsumerOptions::default());
        consumer.find(topic, PartitionIndex(0), position).expect("the server looks it up")
    }

    fn signal(&mut self, signal: i32) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let id = i32::try_from(child.id()).expect("process ids are small");
        // SAFETY: kill takes two numbers; the child has not been waited for, so the id is still its own.
        let sent = unsafe { libc::kill(id, signal) };
        assert_eq!(sent, 0, "our own child can be signalled");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("our own child can be waited for") {
                return status;
            }
            if Instant::now() > deadline {
                child.kill().expect("our own child can be killed");
                panic!("the server does not stop: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("the server runs");
        child.try_wait().expect("our own child can be waited for")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn is_ours(&self) -> bool {
        !self.directory.as_os_str().is_empty()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which is what the test is failing about.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        } else if self.is_ours() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// A folder for a server's log, and its data unless they are elsewhere.
fn scratch() -> PathBuf {
    static STARTED: AtomicU16 = AtomicU16::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let name = format!("e2e-{}-{number}", std::process::id());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).expect("the target folder can be written");
    directory
}

/// A name no other test has, whichever broker it runs against.
pub fn topic_name(test: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{test}-{}-{}", std::process::id(), now.expect("after 1970").as_nanos())
}

/// Waits for a state.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn patient() -> ConnectionOptions {
    ConnectionOptions { request_timeout: PATIENCE, ..Default::default() }
}

fn impatient() -> ConnectionOptions {
    ConnectionOptions { request_timeout: Duration::from_secs(2), ..Default::default() }
}

fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test runs of other checkouts use the same range: they begin elsewhere in it.
    let shift = u16::try_from(std::process::id() * 7 % 100).expect("below 100");
    for _ in PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(shift) % (PORTS.end - PORTS.start);
        let address = format!("127.0.0.1:{}", PORTS.start + step);
        if std::net::TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
    panic!("no port of {PORTS:?} is free");
}
