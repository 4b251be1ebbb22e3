//! `ringmain serve`: the arguments as typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::admin::AdminError;
use crate::config::machine::Machine;
use crate::config::{self, Config, ConfigError, Flag, Sources};
use crate::runtime::Ending;
use crate::runtime::recovery::RecoveryError;
use crate::server::identity::{DataDir, DataDirError};
use crate::server::preflight::{self, PreflightError, Room};
use crate::server::{self, ServerError};

use super::exit::{Exit, Failure};
use super::logging::{self, LoggingError};

/// Every flag is also an environment variable (RINGMAIN_DATA_DIR, RINGMAIN_LISTEN, …; RINGMAIN_SET holds a
/// comma-separated list) and, under the name given in its help, a setting for the file or `--set`.
/// A flag wins over the environment, the environment over the file, the file over the default.
#[derive(Args, Debug)]
#[command(after_long_help = Exit::table())]
pub struct ServeArgs {
    /// Where data lives [log.dirs] [default: ./ringmain-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address for Kafka clients [listeners] [default: 0.0.0.0:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Address for metrics and health [ringmain.admin] [default: 127.0.0.1:9644]
    #[arg(long, value_name = "HOST:PORT")]
    pub admin: Option<String>,
    /// How clients see this server's shards [ringmain.advertise.view] [default: auto]
    #[arg(long, value_name = "VIEW", value_parser = ["auto", "shard-ports", "server", "shards"])]
    pub advertise: Option<String>,
    /// Host name, or HOST:PORT, told to clients [ringmain.advertise.host] [default: the address each client connected to]
    #[arg(long, value_name = "NAME[:PORT]")]
    pub advertised_host: Option<String>,
    /// A number of shards, or the CPUs to run one on each, such as 0,2,4-7 [ringmain.shards] [default: all CPUs]
    #[arg(long, value_name = "N|CPU-LIST")]
    pub shards: Option<String>,
    /// Settings file: TOML, Kafka's names
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// One setting; repeat for more
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ServeArgs {
    fn sources(self) -> Sources<'static> {
        let data_dir = self.data_dir.map(|path| path.to_string_lossy().into_owned());
        let flags = [
            (Flag::DataDir, data_dir),
            (Flag::Listen, self.listen),
            (Flag::Admin, self.admin),
            (Flag::Advertise, self.advertise),
            (Flag::AdvertisedHost, self.advertised_host),
            (Flag::Shards, self.shards),
        ];
        Sources {
            flags: flags.into_iter().filter_map(|(flag, value)| Some((flag, value?))).collect(),
            set: self.set,
            file: self.config,
            environment: &|name| std::env::var(name).ok(),
        }
    }
}

/// How long a process that ends at once waits until its last lines are written.
const LAST_LINES_WAIT: Duration = Duration::from_millis(100);

/// Runs a server. All that can be checked before data is opened is checked here, the likeliest mistakes first.
pub fn run(args: ServeArgs) -> Result<(), Failure> {
    let loaded = config::load(&args.sources(), &Machine::detect())?;
    server::block_signals()?;
    let logging = logging::start()?;
    for key in &loaded.ineffective {
        tracing::warn!(key, "this setting has no effect in this version");
    }
    let config = loaded.config;
    let limits = preflight::check_system()?;
    if limits.open_files < u64::from(config.connections.count_max) {
        let (open_files, connections_max) = (limits.open_files, config.connections.count_max);
        tracing::warn!(
            open_files,
            connections_max,
            "the limit of open files is below max.connections, so connections may be refused: raise ulimit -n"
        );
    }
    let data = DataDir::open(&config)?;
    preflight::check_data_dir(&data.path, room(&config, &data))?;
    let lines = logging.lines();
    server::run(config, &data, Ending::new(move || lines.flush(LAST_LINES_WAIT)))?;
    Ok(())
}

/// The space that a new directory needs: for each shard's first commit files, and something for the data.
fn room(config: &Config, data: &DataDir) -> Room {
    const COMMIT_FILES_FIRST: u64 = 3;
    const DATA_BYTES_MIN: u64 = 64 << 20;
    match data.fresh {
        true => Room::Needed(
            u64::from(config.shards()) * config.commit.file_bytes * COMMIT_FILES_FIRST + DATA_BYTES_MIN,
        ),
        false => Room::Any,
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(Exit::Configuration, error)
    }
}

impl From<LoggingError> for Failure {
    fn from(error: LoggingError) -> Failure {
        match error {
            LoggingError::Filter(_) => Failure::new(Exit::Configuration, error),
            LoggingError::Thread(_) => Failure::new(Exit::System, error),
        }
    }
}

impl From<PreflightError> for Failure {
    fn from(error: PreflightError) -> Failure {
        let exit = match error {
            PreflightError::NoIoUring
            | PreflightError::IoUring(_)
            | PreflightError::LockedMemory { .. }
            | PreflightError::OpenFiles { .. } => Exit::System,
            PreflightError::IoUringDisabled(_) | PreflightError::IoUringForbidden => Exit::NoPermission,
            PreflightError::NoDirectIo { .. }
            | PreflightError::NoSpace { .. }
            | PreflightError::Unwritable { .. } => Exit::CannotCreate,
        };
        Failure::new(exit, error)
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Failure {
        let exit = match error {
            DataDirError::Create { .. } => Exit::CannotCreate,
            DataDirError::Io { .. } => Exit::Io,
            DataDirError::Locked { .. } => Exit::Locked,
            DataDirError::OtherServer { .. } => Exit::OtherServer,
            DataDirError::OtherFormat { .. }
            | DataDirError::Damaged { .. }
            | DataDirError::NoIdentity { .. } => Exit::DamagedData,
        };
        Failure::new(exit, error)
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Failure {
        match error {
            ServerError::Admin(error) => Failure::from(error),
            ServerError::Listen { .. } => Failure::new(Exit::AddressInUse, error),
            ServerError::Recovery(RecoveryError::Io { .. }) => Failure::new(Exit::Io, error),
            ServerError::Recovery(_) => Failure::new(Exit::DamagedData, error),
            ServerError::Shard { .. }
            | ServerError::Entropy(_)
            | ServerError::Signals(_)
            | ServerError::Nudger(_) => Failure::new(Exit::System, error),
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Failure {
        match error {
            AdminError::Listen { .. } => Failure::new(Exit::AddressInUse, error),
            AdminError::Thread(_) => Failure::new(Exit::System, error),
        }
    }
}
