//! Who takes part in a comparison: brokers that are started for it, and such as run already.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::kafka;
use super::server::{Recipe, Server};
use crate::error::BenchError;
use crate::host::Host;
use crate::usage::Process;

/// What can be asked for with --peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Ringmain,
    /// Confined to one core, for figures per core.
    RingmainOneCore,
    /// Kafka as it comes: what is written is acknowledged from memory.
    Kafka,
    /// Kafka with flush.messages=1 on its topics: what is written is synced before it is acknowledged.
    KafkaSynced,
    /// One that runs.
    Running(String),
}

impl Kind {
    pub fn parse(text: &str) -> Result<Kind, String> {
        match text {
            "ringmain" => Ok(Kind::Ringmain),
            "ringmain-one-core" => Ok(Kind::RingmainOneCore),
            "kafka" => Ok(Kind::Kafka),
            "kafka-synced" => Ok(Kind::KafkaSynced),
            address if address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
                Ok(Kind::Running(address.to_owned()))
            }
            _ => Err("ringmain, ringmain-one-core, kafka, kafka-synced or HOST:PORT".to_owned()),
        }
    }

    pub fn name(&self) -> String {
        match self {
            Kind::Ringmain => "ringmain".to_owned(),
            Kind::RingmainOneCore => "ringmain-one-core".to_owned(),
            Kind::Kafka => "kafka".to_owned(),
            Kind::KafkaSynced => "kafka-synced".to_owned(),
            Kind::Running(address) => address.clone(),
        }
    }

    /// Whether it runs the code that `ringmain-hotpath` does.
    pub fn is_ours(&self) -> bool {
        matches!(self, Kind::Ringmain | Kind::RingmainOneCore)
    }

    /// What this peer's topics need beside what the scenario says.
    pub fn topic_config(&self) -> Option<(String, String)> {
        (*self == Kind::KafkaSynced).then(|| ("flush.messages".to_owned(), "1".to_owned()))
    }
}

/// Where and how peers are started.
#[derive(Clone, Debug)]
pub struct Ground {
    /// On the disk that is measured.
    pub dir: PathBuf,
    /// The first of the ports that may be used.
    pub port: u16,
    /// Our server's program.
    pub ringmain: PathBuf,
    /// Settings for it, KEY=VALUE.
    pub settings: Vec<String>,
    /// Where Kafka is installed.
    pub install_dir: PathBuf,
}

/// For every broker that is started here: what it does in the background begins within seconds, so that runs of seconds
/// have it in them.
pub const HOUSEKEEPING: [&str; 2] = ["log.retention.check.interval.ms=1000", "log.cleaner.backoff.ms=1000"];

/// A broker of the comparison; several kinds may be one server.
pub struct Peer {
    pub kinds: Vec<Kind>,
    pub address: String,
    server: Option<Server>,
    dir: PathBuf,
}

/// Starts what the kinds need, one server for those that share it.
pub fn start(kinds: &[Kind], ground: &Ground) -> Result<Vec<Peer>, BenchError> {
    let mut peers: Vec<Peer> = Vec::new();
    for kind in kinds {
        let shared = |peer: &&mut Peer| peer.kinds.iter().any(|other| is_one_server(kind, other));
        if let Some(peer) = peers.iter_mut().find(shared) {
            peer.kinds.push(kind.clone());
            continue;
        }
        let recipe = match kind {
            Kind::Ringmain => Some(ringmain(ground, "ringmain", ground.port, &[])),
            Kind::RingmainOneCore => {
                Some(ringmain(ground, "ringmain-one-core", ground.port + 2, &["--shards", "1"]))
            }
            Kind::Kafka | Kind::KafkaSynced => {
                let libs = kafka::install(&ground.install_dir)?;
                Some(kafka::recipe(&libs, &ground.dir, ground.port + 4)?)
            }
            Kind::Running(_) => None,
        };
        let server =
            recipe.map(|recipe| Ok::<_, BenchError>((recipe.address.clone(), Server::start(recipe)?)));
        let (address, server) = match (server.transpose()?, kind) {
            (Some((address, server)), _) => (address, Some(server)),
            (None, kind) => (kind.name(), None),
        };
        peers.push(Peer { kinds: vec![kind.clone()], address, server, dir: ground.dir.clone() });
    }
    Ok(peers)
}

fn is_one_server(one: &Kind, other: &Kind) -> bool {
    let is_kafka = |kind: &Kind| matches!(kind, Kind::Kafka | Kind::KafkaSynced);
    one == other || is_kafka(one) && is_kafka(other)
}

fn ringmain(ground: &Ground, name: &str, port: u16, more: &[&str]) -> Recipe {
    let data_dir = ground.dir.join(name);
    let address = format!("127.0.0.1:{port}");
    let mut arguments: Vec<String> = vec!["serve".into(), "--listen".into(), address.clone()];
    arguments.extend(["--admin".into(), format!("127.0.0.1:{}", port + 1)]);
    arguments.extend(["--data-dir".into(), data_dir.display().to_string()]);
    arguments.extend(more.iter().map(|it| (*it).to_owned()));
    let settings = HOUSEKEEPING.iter().map(|it| (*it).to_owned()).chain(ground.settings.iter().cloned());
    arguments.extend(settings.flat_map(|setting| ["--set".to_owned(), setting]));
    let log = ground.dir.join(format!("{name}.log"));
    Recipe { name: name.into(), address, data_dir, log, program: ground.ringmain.clone(), arguments }
}

impl Peer {
    /// Ends the server and removes what it wrote.
    pub fn clear(self) {
        let data_dir = self.server.as_ref().map(|server| server.data_dir().to_owned());
        drop(self.server);
        if let Some(dir) = data_dir {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

impl Host for Peer {
    fn process(&self) -> Option<Process> {
        match &self.server {
            Some(server) => Some(server.process()),
            None => Process::listening(&self.address),
        }
    }

    fn restart(&mut self) -> Result<Option<Instant>, BenchError> {
        self.server.as_mut().map(Server::restart).transpose()
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}
