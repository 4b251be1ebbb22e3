//! Why settings were refused.

use std::fmt;

/// Why settings were refused. Each error is one line that names the key, the value and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("Unknown topic config name: {0}")]
    UnknownTopicConfig(String),
    #[error("Unknown group config name: {0}")]
    UnknownGroupConfig(String),
    #[error("Unknown client metrics configuration: {0}")]
    UnknownClientMetricsConfig(String),
    #[error("Invalid value {value} for interval.ms, interval must be between {min} and {max} (1 hour)")]
    Interval { value: i32, min: i32, max: i32 },
    #[error("unknown setting {key}{}", Nearest(.nearest))]
    UnknownKey { key: String, nearest: Option<&'static str> },
    #[error("Invalid value {value} for configuration {key}: must be {expected}")]
    Invalid { key: String, value: String, expected: String },
    #[error("Cannot update these configs dynamically: [{0}]")]
    ReadOnly(String),
    #[error("{0} is a secret: this version keeps secrets nowhere but in its settings at start")]
    Secret(String),
    #[error("'{0}' is not KEY=VALUE")]
    NotAnAssignment(String),
    #[error("cannot read the settings file {path}: {reason}")]
    File { path: String, reason: String },
    #[error("{0}")]
    Contradiction(String),
}

struct Nearest<'a>(&'a Option<&'static str>);

impl fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; is {name} meant?"),
            None => Ok(()),
        }
    }
}
