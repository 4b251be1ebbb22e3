//! The topics that clients create, by what is special about them.

use std::collections::BTreeMap;

use ringmain::base::rng::Rng;
use ringmain::controller::NewTopic;
use ringmain::group::OFFSETS_TOPIC;

use crate::net::At;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Plain,
    Compacted,
    /// Retention takes old segments, and their files are used again.
    Busy,
    /// What coordinators of groups write.
    Offsets,
}

/// A topic as its creator knows it.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub kind: Kind,
    pub partitions: i32,
    /// The server that was asked to create it.
    pub server: At,
}

impl Kind {
    pub fn any(rng: &mut Rng) -> Kind {
        match rng.below(10) {
            0..2 => Kind::Compacted,
            2..5 => Kind::Busy,
            _ => Kind::Plain,
        }
    }

    pub fn is_compacted(self) -> bool {
        matches!(self, Kind::Compacted | Kind::Offsets)
    }

    pub fn is_internal(self) -> bool {
        self == Kind::Offsets
    }

    /// What is asked for to have a topic of this kind.
    pub fn request(self, number: u64, partitions: i32, replicas: i16, rng: &mut Rng) -> NewTopic {
        let mut configs: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut set = |name: &str, value: String| drop(configs.insert(name.to_owned(), Some(value)));
        set("retention.ms", "-1".to_owned());
        set("segment.ms", (2_000 + rng.below(60_000)).to_string());
        set("index.interval.bytes", "300".to_owned());
        match self {
            Kind::Plain => {}
            Kind::Busy => set("retention.bytes", (60_000 + rng.below(200_000)).to_string()),
            Kind::Compacted | Kind::Offsets => {
                set("cleanup.policy", "compact".to_owned());
                set("min.cleanable.dirty.ratio", "0".to_owned());
            }
        }
        NewTopic {
            name: if self == Kind::Offsets { OFFSETS_TOPIC.to_owned() } else { format!("t{number}") },
            partitions,
            replication_factor: replicas,
            assignments: Vec::new(),
            configs,
            internal: self.is_internal(),
        }
    }
}
