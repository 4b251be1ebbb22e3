//! A broker that this program has started: it listens on loopback, writes into a directory of its own, and ends with us.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::error::BenchError;
use crate::usage::Process;

const LISTENS_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// How a broker is started, as often as need be.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub name: String,
    pub address: String,
    pub data_dir: PathBuf,
    pub log: PathBuf,
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

pub struct Server {
    recipe: Recipe,
    child: Child,
}

impl Server {
    /// Starts it and waits until it answers.
    pub fn start(recipe: Recipe) -> Result<Server, BenchError> {
        if TcpStream::connect(&recipe.address).is_ok() {
            return Err(failed(&recipe, "somebody listens there already; choose other ports with --port"));
        }
        let child = spawn(&recipe)?;
        let mut server = Server { recipe, child };
        server.await_answer()?;
        Ok(server)
    }

    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    pub fn data_dir(&self) -> &Path {
        &self.recipe.data_dir
    }

    /// Stops it as an operator would, and starts it again; says when.
    pub fn restart(&mut self) -> Result<Instant, BenchError> {
        self.stop();
        let started = Instant::now();
        self.child = spawn(&self.recipe)?;
        self.await_answer()?;
        Ok(started)
    }

    fn await_answer(&mut self) -> Result<(), BenchError> {
        let until = Instant::now() + LISTENS_WITHIN;
        loop {
            match Broker::connect(&self.recipe.address) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > until => return Err(failed(&self.recipe, &error.to_string())),
                Err(_) => {}
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(failed(&self.recipe, &format!("it ended ({status})")));
            }
            sleep(PAUSE);
        }
    }

    /// Asks it to end; kills it when it does not.
    fn stop(&mut self) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // SAFETY: sends a signal to a child that has not been waited for, so the id is still its own.
            unsafe { libc::kill(id, libc::SIGTERM) };
        }
        let until = Instant::now() + ENDS_WITHIN;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(recipe: &Recipe) -> Result<Child, BenchError> {
    if let Some(folder) = recipe.log.parent() {
        fs::create_dir_all(folder).map_err(BenchError::io("create a directory for the servers"))?;
    }
    let log = File::options().create(true).append(true).open(&recipe.log);
    let log = log.map_err(BenchError::io("open a server's log"))?;
    let errors = log.try_clone().map_err(BenchError::io("open a server's log"))?;
    let mut command = Command::new(&recipe.program);
    command.args(&recipe.arguments).stdin(Stdio::null()).stdout(log).stderr(errors);
    // Whatever ends us, nothing we started goes on using the machine. And thousands of partitions need thousands of files.
    // SAFETY: between fork and exec only async-signal-safe calls are made, on numbers and a structure of their own.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            let mut files = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut files) == 0 {
                files.rlim_cur = files.rlim_max;
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files);
            }
            Ok(())
        });
    }
    command.spawn().map_err(|error| failed(recipe, &format!("{}: {error}", recipe.program.display())))
}

fn failed(recipe: &Recipe, why: &str) -> BenchError {
    BenchError::Start {
        peer: recipe.name.clone(),
        address: recipe.address.clone(),
        why: format!("{why}; its log is {}", recipe.log.display()),
    }
}
