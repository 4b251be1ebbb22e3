//! Fetch requests of one connection: a session (KIP-227), so that a consumer of ten thousand partitions names only those
//! it has moved on in, as Kafka's own clients do.

use ringmain::protocol::messages::{FetchRequest, fetch_request as fetch};
use ringmain::protocol::{ApiKey, encode_request};

use crate::broker::CLIENT_ID;
use crate::cursor::Cursor;
use crate::error::BenchError;
use crate::socket::Outgoing;

/// The last version that names topics.
pub const FETCH_VERSION_MAX: i16 = 12;
/// The first with sessions.
const SESSION_VERSION: i16 = 7;
const WAIT_MS: i32 = 500;

/// What a request asks for.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    pub topic: String,
    pub version: i16,
    pub bytes_max: i32,
    pub partition_bytes_max: i32,
}

#[derive(Clone, Debug, Default)]
pub struct Session {
    id: i32,
    epoch: i32,
    /// What the broker has been told of each cursor.
    told: Vec<i64>,
}

impl Session {
    pub fn request(&mut self, settings: &FetchSettings, cursors: &[Cursor]) -> Result<Outgoing, BenchError> {
        let is_full = self.epoch == 0;
        self.told.resize(cursors.len(), -1);
        let mut wanted = Vec::new();
        for (cursor, told) in cursors.iter().zip(&mut self.told) {
            if is_full || *told != cursor.position {
                *told = cursor.position;
                wanted.push(fetch::FetchPartition {
                    partition: cursor.partition,
                    fetch_offset: cursor.position,
                    partition_max_bytes: settings.partition_bytes_max,
                    ..Default::default()
                });
            }
        }
        let topic = fetch::FetchTopic {
            topic: settings.topic.as_str().into(),
            partitions: wanted,
            ..Default::default()
        };
        let has_sessions = settings.version >= SESSION_VERSION;
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: settings.bytes_max,
            session_id: self.id,
            session_epoch: if has_sessions { self.epoch } else { -1 },
            topics: if topic.partitions.is_empty() { vec![] } else { vec![topic] },
            ..Default::default()
        };
        let frame = encode_request(ApiKey::Fetch, settings.version, 0, Some(CLIENT_ID), &request)?;
        Ok(Outgoing { head: frame.to_vec().into(), body: Default::default() })
    }

    /// The broker has answered under this session; 0 is none, and then every request names everything.
    pub fn answered(&mut self, session_id: i32) {
        (self.id, self.epoch) = match session_id {
            0 => (0, 0),
            id => (id, self.epoch.checked_add(1).unwrap_or(1)),
        };
    }

    /// The broker has forgotten the session.
    pub fn restart(&mut self) {
        *self = Session::default();
    }
}
