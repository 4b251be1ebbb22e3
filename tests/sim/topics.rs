//! The topics that clients create, by what is special about them.

use std::sync::Arc;

use ringmain::base::rng::Rng;
use ringmain::controller::{MetadataImage, NewTopic};

use crate::settings::with_segments_of;

/// Names of busy topics begin with this.
const BUSY: &str = "busy";
/// The segment size of busy topics: less than a topic's settings may say, so that many segments are filled in a life.
const BUSY_SEGMENT_BYTES: u64 = 300_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Plain,
    Compacted,
    /// Small segments are full soon, and retention takes the old ones: their files are used again.
    Busy,
}

impl Kind {
    pub fn any(rng: &mut Rng) -> Kind {
        match rng.below(10) {
            0..3 => Kind::Compacted,
            3 => Kind::Busy,
            _ => Kind::Plain,
        }
    }

    /// The topic with this number.
    pub fn topic(self, number: u64, rng: &mut Rng) -> NewTopic {
        let mut configs =
            vec![("segment.bytes", "1048576"), ("retention.ms", "-1"), ("index.interval.bytes", "300")];
        let segment_ms = (100 + rng.below(2000)).to_string();
        let kept = (100_000 + rng.below(1_000_000)).to_string();
        match self {
            Kind::Compacted => configs.extend([
                ("segment.ms", segment_ms.as_str()),
                ("cleanup.policy", "compact"),
                ("min.cleanable.dirty.ratio", "0"),
            ]),
            Kind::Busy => configs.push(("retention.bytes", &kept)),
            Kind::Plain => {
                configs.push(("segment.ms", &segment_ms));
                if rng.below(100) < 40 {
                    configs.push(("retention.bytes", "200000"));
                }
            }
        }
        NewTopic {
            name: format!("{}{number}", if self == Kind::Busy { BUSY } else { "t" }),
            partitions: if self == Kind::Busy { 1 } else { 1 + i32::try_from(rng.below(4)).unwrap() },
            replication_factor: 1,
            assignments: Vec::new(),
            configs: configs.iter().map(|(name, value)| ((*name).into(), Some((*value).into()))).collect(),
            internal: false,
        }
    }
}

/// The cluster state as shards are to have it.
pub fn with_busy_topics(image: &Arc<MetadataImage>) -> Arc<MetadataImage> {
    with_segments_of(image, |name| name.starts_with(BUSY).then_some(BUSY_SEGMENT_BYTES))
}
