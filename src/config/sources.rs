//! Where settings are written: command line, environment, file; in this order of strength.

use std::path::{Path, PathBuf};

use super::machine::Machine;
use super::setting::{ConfigError, Source};
use super::{BrokerSettings, Config};

/// A flag of `serve` that is short for a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flag {
    DataDir,
    Listen,
    Admin,
    Advertise,
    AdvertisedHost,
    Shards,
}

/// Each flag with its environment variable and its setting.
const FLAGS: [(Flag, &str, &str); 6] = [
    (Flag::DataDir, "RINGMAIN_DATA_DIR", "log.dirs"),
    (Flag::Listen, "RINGMAIN_LISTEN", "listeners"),
    (Flag::Admin, "RINGMAIN_ADMIN", "ringmain.admin"),
    (Flag::Advertise, "RINGMAIN_ADVERTISE", "ringmain.advertise.view"),
    (Flag::AdvertisedHost, "RINGMAIN_ADVERTISED_HOST", "ringmain.advertise.host"),
    (Flag::Shards, "RINGMAIN_SHARDS", "ringmain.shards"),
];

/// Settings as they were written.
pub struct Sources<'a> {
    pub flags: Vec<(Flag, String)>,
    /// `KEY=VALUE`, from `--set`.
    pub set: Vec<String>,
    /// The settings file, from `--config`.
    pub file: Option<PathBuf>,
    /// Looks up RINGMAIN_* variables; a variable that is empty counts as unset.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// Resolved settings, and what the user should be told about them.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Settings that were written and do nothing in this version.
    pub ineffective: Vec<&'static str>,
}

/// Reads, checks and resolves everything that was written.
///
/// # Errors
/// For the first setting that is unknown, out of range or impossible on this machine, and for an unreadable file.
pub fn load(sources: &Sources<'_>, machine: &Machine) -> Result<Loaded, ConfigError> {
    let variable = |name: &str| (sources.environment)(name).filter(|value| !value.is_empty());
    let mut settings = BrokerSettings::default();
    if let Some(path) = sources.file.clone().or_else(|| variable("RINGMAIN_CONFIG").map(PathBuf::from)) {
        for (key, value) in read_file(&path)? {
            settings.write(&key, &value, Source::File)?;
        }
    }
    for (key, value) in assignments(&variable("RINGMAIN_SET").unwrap_or_default())? {
        settings.write(key, &value, Source::Environment)?;
    }
    for (_, name, key) in FLAGS {
        if let Some(value) = variable(name) {
            settings.write(key, &value, Source::Environment)?;
        }
    }
    for written in &sources.set {
        let (key, value) =
            written.split_once('=').ok_or_else(|| ConfigError::NotAnAssignment(written.clone()))?;
        settings.write(key.trim(), value, Source::CommandLine)?;
    }
    for (flag, value) in &sources.flags {
        let key = FLAGS.iter().find(|(known, ..)| known == flag).expect("the table names every flag").2;
        settings.write(key, value, Source::CommandLine)?;
    }
    settings.name_protocol();
    let ineffective = settings.ineffective().collect();
    Ok(Loaded { config: Config::resolve(settings, machine)?, ineffective })
}

/// Reads `a=1,b=x,y,c=2`. A piece without `=` continues the value before it, so that lists can be written.
fn assignments(text: &str) -> Result<Vec<(&str, String)>, ConfigError> {
    let mut assignments: Vec<(&str, String)> = Vec::new();
    for piece in text.split(',').filter(|piece| !piece.trim().is_empty()) {
        match (piece.split_once('='), assignments.last_mut()) {
            (Some((key, value)), _) => assignments.push((key.trim(), value.to_owned())),
            (None, Some((_, value))) => value.extend([",", piece]),
            (None, None) => return Err(ConfigError::NotAnAssignment(piece.to_owned())),
        }
    }
    Ok(assignments)
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let unreadable = |reason: String| ConfigError::File {
        path: path.display().to_string(),
        reason: reason.trim_end().to_owned(),
    };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
    let mut settings = Vec::new();
    for (key, value) in &table {
        flatten(key, value, &mut settings);
    }
    Ok(settings)
}

/// Adds a TOML value to the settings. Dotted keys make nested tables in TOML; this joins them to names again.
fn flatten(name: &str, value: &toml::Value, settings: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                flatten(&format!("{name}.{key}"), value, settings);
            }
        }
        toml::Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(plain).collect();
            settings.push((name.to_owned(), elements.join(",")));
        }
        value => settings.push((name.to_owned(), plain(value))),
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(set: &[&str], file: Option<&str>, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let path = dir.path().join("ringmain.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).expect("written");
        }
        let sources = Sources {
            flags: vec![(Flag::Shards, "1".to_owned())],
            set: set.iter().map(|text| (*text).to_owned()).collect(),
            file: file.map(|_| path),
            environment: &|name| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            },
        };
        load(&sources, &Machine { cpus: vec![0, 1], memory_bytes: 1 << 30 })
    }

    #[test]
    fn flags_win_over_environment_over_file_over_default() {
        let file = "num.partitions = 2\nnode.id = 2\nringmain.shards = '2'\n[log]\nroll.ms = 9000\ncleanup.policy = ['compact', 'delete']\n";
        let environment = [
            ("RINGMAIN_SET", "node.id=3,num.partitions=3"),
            ("RINGMAIN_LISTEN", "127.0.0.1:29400"),
            ("RINGMAIN_ADMIN", ""),
        ];
        let config = loaded(&["num.partitions=4"], Some(file), &environment).expect("valid").config;
        assert_eq!((config.topics.partitions, config.server_id.0, config.shards()), (4, 3, 1));
        assert_eq!((config.listen.port(), config.admin.port()), (29400, 9644));
        let topic = crate::config::topic::TopicSettings::resolve(&Default::default(), &config.topic_defaults)
            .expect("valid");
        assert!(topic.compact && topic.delete && topic.segment_ms == 9000);
    }

    #[test]
    fn lists_survive_the_environment() {
        let written = assignments("log.cleanup.policy=compact,delete,node.id=3").expect("valid");
        assert_eq!(
            written,
            [("log.cleanup.policy", "compact,delete".to_owned()), ("node.id", "3".to_owned())]
        );
        assert!(assignments("node.id").is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused =
            |set: &[&str], file: Option<&str>| loaded(set, file, &[]).expect_err("refused").to_string();
        assert_eq!(refused(&["node.id"], None), "'node.id' is not KEY=VALUE");
        assert!(refused(&[], Some("node.id = ")).contains("ringmain.toml"));
        assert!(refused(&[], Some("no.such.key = 1")).contains("no.such.key"));
        assert_eq!(
            loaded(&["background.threads=2"], None, &[]).expect("valid").ineffective,
            ["background.threads"]
        );
    }
}
