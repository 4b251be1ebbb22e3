//! Where the values of settings come from.

use std::borrow::Cow;

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: Cow<'static, str>,
    pub value: Option<String>,
    pub origin: Origin,
}
