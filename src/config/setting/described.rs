//! Settings as DescribeConfigs shows them, and where their values come from.

use std::borrow::Cow;

use super::Setting;

/// Where a written value comes from, the strongest source last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    Default,
    File,
    Environment,
    CommandLine,
}

/// Where a value comes from, as DescribeConfigs says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The value was set on the topic.
    Topic,
    /// The value was changed for this server while it ran.
    Broker,
    /// The value was changed for all servers.
    AllBrokers,
    /// The value was set for the server, by file, environment or command line.
    StaticBroker,
    Default,
    ClientMetrics,
    Group,
}

impl Origin {
    /// Kafka's number of the origin.
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
    /// The value in force; `None` when unset, and always when sensitive.
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
