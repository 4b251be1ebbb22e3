//! Settings as DescribeConfigs shows them, and where their values come from.

use std::borrow::Cow;

use super::Setting;

/// Where a value comes from, the strongest last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    Default,
    File,
    Environment,
    CommandLine,
}

/// What DescribeConfigs says where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Set on the topic.
    Topic,
    /// Changed for this server while it ran.
    Broker,
    /// Changed for all servers.
    AllBrokers,
    /// Set for the server, by file, environment or command line.
    StaticBroker,
    Default,
    ClientMetrics,
    Group,
}

impl Origin {
    /// Kafka's number for it.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Origin::Topic => 1,
            Origin::Broker => 2,
            Origin::AllBrokers => 3,
            Origin::StaticBroker => 4,
            Origin::Default => 5,
            Origin::ClientMetrics => 7,
            Origin::Group => 8,
        }
    }
}

/// One setting as DescribeConfigs shows it.
#[derive(Clone, Debug)]
pub struct Described {
    pub name: Cow<'static, str>,
    /// [`UNKNOWN`] for a name that no table has.
    pub setting: &'static Setting,
    /// `None` when unset, and always when sensitive.
    pub value: Option<String>,
    pub origin: Origin,
    /// All places that give a value, the one in force first.
    pub synonyms: Vec<Synonym>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: Cow<'static, str>,
    pub value: Option<String>,
    pub origin: Origin,
}
