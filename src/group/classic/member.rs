//! A member of a classic group.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::MonoNanos;
use crate::group::request::{JoinRequest, Ticket};

/// A member that has never been in a generation is removed when its first JoinGroup has not been answered for this long.
/// Its client is likely gone, and the group would otherwise wait for it again and again. Kafka's value.
const FIRST_JOIN_MS_MAX: u64 = 300_000;

#[derive(Clone, Debug)]
pub struct Member {
    pub id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocols: Vec<(Arc<str>, Bytes)>,
    pub assignment: Bytes,
    /// The member's JoinGroup request that waits for its answer.
    pub joining: Option<Ticket>,
    /// The member's SyncGroup request that waits for its answer.
    pub syncing: Option<Ticket>,
    /// The member has not been in a generation yet.
    pub is_new: bool,
    /// When the session ends: the member is removed then, unless a request of it comes before.
    pub deadline: MonoNanos,
}

impl Member {
    pub(super) fn joining(id: Arc<str>, request: &JoinRequest, ticket: Ticket, now: MonoNanos) -> Member {
        Member {
            id,
            instance_id: request.instance_id.clone(),
            client_id: Arc::clone(&request.client_id),
            client_host: Arc::clone(&request.client_host),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            joining: Some(ticket),
            syncing: None,
            is_new: true,
            deadline: now.plus_ms(FIRST_JOIN_MS_MAX),
        }
    }

    /// Begins the member's session anew: a request of it has come, or it was answered.
    pub(super) fn renew_session(&mut self, now: MonoNanos) {
        self.deadline = now.plus_ms(u64::try_from(self.session_timeout_ms).unwrap_or(0));
    }

    /// Whether the session has ended. A member that waits for an answer of ours sends no heartbeats and stays; a new member
    /// stays for [`FIRST_JOIN_MS_MAX`] only.
    pub(super) fn is_expired(&self, now: MonoNanos) -> bool {
        now >= self.deadline && !self.is_waiting()
    }

    /// When [`Member::is_expired`] may become true.
    pub(super) fn next_deadline(&self) -> MonoNanos {
        if self.is_waiting() { MonoNanos::NEVER } else { self.deadline }
    }

    fn is_waiting(&self) -> bool {
        self.joining.is_some() && !self.is_new || self.syncing.is_some()
    }

    /// The member's metadata for its assignor, under one of its protocols.
    #[must_use]
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| &**name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    #[must_use]
    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| &**name == protocol)
    }
}
