//! Whose data directory this is: a lock against a second server, and the identity written at first start.
//!
//! `<data>/meta/lock` is held (flock) while the server runs and holds its process id. `<data>/meta/identity.toml` names the
//! cluster, the server and the directory; it is written once, whole (temporary file, sync, rename, sync of the directory),
//! and verified at every later start. Owned by the main thread, before any shard exists.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::{ServerId, VoterId, uuid_bytes, uuid_text};
use crate::config::Config;

/// The layout of the data directory this version reads and writes.
const FORMAT_VERSION: u32 = 1;
const IDENTITY_BYTES_MAX: u64 = 64 << 10;

/// The server that the data in a directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Kafka's form: 22 characters of base64url.
    pub cluster_id: String,
    pub server: ServerId,
    /// Changes when the directory is made anew.
    pub directory: [u8; 16],
}

/// The file as written, by Kafka's names (`meta.properties` has the same).
#[derive(Serialize, Deserialize)]
struct IdentityFile {
    version: u32,
    #[serde(rename = "cluster.id")]
    cluster_id: String,
    #[serde(rename = "node.id")]
    node_id: i32,
    #[serde(rename = "directory.id")]
    directory_id: String,
}

/// A data directory that this process alone uses, for as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    /// Absolute.
    pub path: PathBuf,
    pub identity: Identity,
    /// An id that no voter has ever had, should the directory need a vote.
    pub voter: VoterId,
    /// Whether there is no data yet.
    pub fresh: bool,
    _lock: File,
}

/// Why a data directory cannot be used. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(
        "cannot create or write the data directory {path}: {source} (make it writable or choose another with --data-dir)"
    )]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot read or write {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the data directory {path} is in use by another server, process {pid} (stop it or choose another with --data-dir)"
    )]
    Locked { path: PathBuf, pid: String },
    #[error(
        "the data directory {path} belongs to server {found}, this server is {wanted} (set node.id={found} or choose another with --data-dir)"
    )]
    OtherServer { path: PathBuf, found: i32, wanted: i32 },
    #[error(
        "{path} is of format {found}, this version reads {FORMAT_VERSION} (run the version of Ringmain that wrote it)"
    )]
    OtherFormat { path: PathBuf, found: u32 },
    #[error("{path} is damaged: {reason} (restore it from a backup; it is written once and never changes)")]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "the data directory {path} holds data but no meta/identity.toml (restore that file or choose another directory)"
    )]
    NoIdentity { path: PathBuf },
}

impl DataDir {
    /// Creates the directory if need be, locks it, and creates or verifies its identity.
    ///
    /// # Errors
    /// When the directory cannot be made or written, is in use, or is not this server's.
    pub fn open(config: &Config) -> Result<DataDir, DataDirError> {
        let uncreatable = |source| DataDirError::Create { path: config.data_dir.clone(), source };
        let meta = config.data_dir.join("meta");
        fs::create_dir_all(&meta).map_err(uncreatable)?;
        let path = config.data_dir.canonicalize().map_err(uncreatable)?;
        let lock = lock(&path)?;
        let file = path.join("meta/identity.toml");
        let fresh = !has_data(&path);
        let identity = match read(&file)? {
            Some(identity) => identity,
            None if fresh => create(&path, &file, config.server_id)?,
            None => return Err(DataDirError::NoIdentity { path }),
        };
        if identity.server != config.server_id {
            return Err(DataDirError::OtherServer {
                path,
                found: identity.server.0,
                wanted: config.server_id.0,
            });
        }
        let voter = VoterId(random_uuid().map_err(uncreatable)?);
        Ok(DataDir { path, identity, voter, fresh, _lock: lock })
    }
}

fn lock(data: &Path) -> Result<File, DataDirError> {
    let uncreatable = |source| DataDirError::Create { path: data.to_owned(), source };
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
    let mut file = options.open(data.join("meta/lock")).map_err(uncreatable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // The holder may be between locking and writing: its number is a courtesy.
            let _ = file.take(32).read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
            return Err(DataDirError::Locked { path: data.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(uncreatable(source)),
    }
    // On a full disk the old number stays: the lock, not the number, is what counts.
    let _ = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    Ok(file)
}

/// `None` when there is no identity yet.
fn read(path: &Path) -> Result<Option<Identity>, DataDirError> {
    let io = |source| DataDirError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io(source)),
    };
    let mut text = String::new();
    let damaged = |reason: String| DataDirError::Damaged { path: path.to_owned(), reason };
    match file.take(IDENTITY_BYTES_MAX).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged(error.to_string())),
        Err(source) => return Err(io(source)),
    }
    let written: IdentityFile = toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
    if written.version != FORMAT_VERSION {
        return Err(DataDirError::OtherFormat { path: path.to_owned(), found: written.version });
    }
    let directory =
        uuid_bytes(&written.directory_id).ok_or_else(|| damaged("directory.id is no id".to_owned()))?;
    uuid_bytes(&written.cluster_id).ok_or_else(|| damaged("cluster.id is no id".to_owned()))?;
    Ok(Some(Identity { cluster_id: written.cluster_id, server: ServerId(written.node_id), directory }))
}

fn has_data(data: &Path) -> bool {
    let holds_entries =
        |folder| fs::read_dir(data.join(folder)).is_ok_and(|mut entries| entries.next().is_some());
    holds_entries("topics") || holds_entries("commit")
}

fn create(data: &Path, path: &Path, server: ServerId) -> Result<Identity, DataDirError> {
    let uncreatable = |source| DataDirError::Create { path: data.to_owned(), source };
    let (cluster, directory) = (random_uuid().map_err(uncreatable)?, random_uuid().map_err(uncreatable)?);
    let identity = Identity { cluster_id: uuid_text(&cluster), server, directory };
    let written = IdentityFile {
        version: FORMAT_VERSION,
        cluster_id: identity.cluster_id.clone(),
        node_id: server.0,
        directory_id: uuid_text(&directory),
    };
    let text = toml::to_string(&written).expect("plain fields are always TOML");
    write_whole(path, text.as_bytes()).map_err(uncreatable)?;
    // The directory's own entry must survive too.
    let parent = data.parent().unwrap_or(data);
    File::open(data).and_then(|dir| dir.sync_all()).map_err(uncreatable)?;
    // Not every parent may be opened; its entry is then left to the kernel.
    let _ = File::open(parent).and_then(|dir| dir.sync_all());
    Ok(identity)
}

/// After a crash at any point the file is there whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("toml.new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().expect("a file is in a directory"))?.sync_all()
}

/// A random (version 4) id whose text does not begin with a dash: tools would take it for an option.
pub(super) fn random_uuid() -> io::Result<[u8; 16]> {
    let mut source = File::open("/dev/urandom")?;
    loop {
        let mut bytes = [0; 16];
        source.read_exact(&mut bytes)?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        if !uuid_text(&bytes).starts_with('-') {
            return Ok(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::BrokerSettings;
    use crate::config::machine::Machine;
    use crate::config::setting::Source;

    use super::*;

    fn config(dir: &Path, server: &str) -> Config {
        let mut settings = BrokerSettings::default();
        let path = dir.join("data");
        let pairs = [("log.dirs", path.to_str().expect("UTF-8")), ("node.id", server)];
        for (key, value) in pairs {
            settings.write(key, value, Source::CommandLine).expect("valid");
        }
        Config::resolve(settings, &Machine { cpus: vec![0], memory_bytes: 1 << 30 }).expect("valid")
    }

    fn scratch() -> tempfile::TempDir {
        tempfile::tempdir().expect("a scratch directory")
    }

    #[test]
    fn an_identity_is_made_once_and_kept() {
        let dir = scratch();
        let first = DataDir::open(&config(dir.path(), "3")).expect("created");
        assert!(first.fresh && first.path.is_absolute());
        assert_eq!((first.identity.server, first.identity.cluster_id.len()), (ServerId(3), 22));
        let identity = first.identity.clone();
        drop(first);
        let again = DataDir::open(&config(dir.path(), "3")).expect("opened");
        assert!(again.fresh && again.identity == identity);
    }

    #[test]
    fn a_second_server_is_told_who_holds_the_directory() {
        let dir = scratch();
        let _first = DataDir::open(&config(dir.path(), "1")).expect("created");
        let error = DataDir::open(&config(dir.path(), "1")).expect_err("locked");
        assert!(
            matches!(&error, DataDirError::Locked { pid, .. } if *pid == std::process::id().to_string()),
            "{error}"
        );
    }

    #[test]
    fn directories_that_are_not_ours_are_refused() {
        let dir = scratch();
        drop(DataDir::open(&config(dir.path(), "1")).expect("created"));
        let error = DataDir::open(&config(dir.path(), "2")).expect_err("another's");
        assert!(matches!(error, DataDirError::OtherServer { found: 1, wanted: 2, .. }), "{error}");
        let file = dir.path().join("data/meta/identity.toml");
        let check = |text: &[u8], expected: &str| {
            fs::write(&file, text).expect("written");
            let error = DataDir::open(&config(dir.path(), "1")).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(b"", "damaged");
        check(&[0xff; 9], "damaged");
        check(
            b"version = 9\n\"cluster.id\" = \"x\"\n\"node.id\" = 1\n\"directory.id\" = \"x\"\n",
            "format 9",
        );
        fs::remove_file(&file).expect("removed");
        fs::create_dir_all(dir.path().join("data/topics/x")).expect("made");
        let error = DataDir::open(&config(dir.path(), "1")).expect_err("refused").to_string();
        assert!(error.contains("no meta/identity.toml"), "{error}");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = scratch();
        fs::write(dir.path().join("data"), b"").expect("written");
        let error = DataDir::open(&config(dir.path(), "1")).expect_err("refused");
        assert!(
            matches!(&error, DataDirError::Create { .. }) && error.to_string().contains("--data-dir"),
            "{error}"
        );
    }

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        let one = 1u128.to_be_bytes();
        assert_eq!(uuid_text(&one), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(uuid_text(&[0xff; 16]), "_____________________w");
        for bytes in [one, [0xff; 16], *b"0123456789abcdef"] {
            assert_eq!(uuid_bytes(&uuid_text(&bytes)), Some(bytes));
        }
        assert_eq!(uuid_bytes("AAAA"), None);
        assert_eq!(uuid_bytes("AAAAAAAAAAAAAAAAAAAAA!"), None);
    }
}
