//! A classic group as a record, and back.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{MonoNanos, Now, TimestampMs};
use crate::group::record::GroupRecord;
use crate::protocol::messages::GroupMetadataValue;
use crate::protocol::messages::group_metadata_value::MemberMetadata;

use super::{ClassicGroup, Member, State};

impl ClassicGroup {
    /// Reads a group from its newest record.
    #[must_use]
    pub fn read(id: Arc<str>, value: &GroupMetadataValue<'_>, now: Now) -> ClassicGroup {
        let protocol: Option<Arc<str>> = value.protocol.as_deref().map(Arc::from);
        let mut group = ClassicGroup {
            generation: value.generation,
            protocol_type: (!value.protocol_type.is_empty()).then(|| Arc::from(&*value.protocol_type)),
            leader: value.leader.as_deref().map(Arc::from),
            since: TimestampMs(value.current_state_timestamp),
            ..ClassicGroup::new(id, now)
        };
        for stored in &value.members {
            let mut member = read_member(stored, protocol.as_ref());
            member.renew_session(now.mono);
            if let Some(instance) = &member.instance_id {
                group.instances.insert(Arc::clone(instance), Arc::clone(&member.id));
            }
            group.members.insert(Arc::clone(&member.id), member);
        }
        group.protocol = protocol;
        group.state = if group.members.is_empty() { State::Empty } else { State::Stable };
        group
    }

    /// The group as a record of its present generation.
    pub(super) fn record(&self) -> GroupRecord {
        let protocol = self.protocol.as_deref();
        let members = self.members.values().map(|member| MemberMetadata {
            member_id: Cow::Borrowed(&member.id),
            group_instance_id: member.instance_id.as_deref().map(Cow::Borrowed),
            client_id: Cow::Borrowed(&member.client_id),
            client_host: Cow::Borrowed(&member.client_host),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: Cow::Owned(protocol.map(|it| member.metadata(it).to_vec()).unwrap_or_default()),
            assignment: Cow::Borrowed(&member.assignment),
        });
        let value = GroupMetadataValue {
            protocol_type: Cow::Borrowed(self.protocol_type.as_deref().unwrap_or_default()),
            generation: self.generation,
            protocol: protocol.map(Cow::Borrowed),
            leader: self.leader.as_deref().map(Cow::Borrowed),
            current_state_timestamp: self.since.0,
            members: members.collect(),
        };
        GroupRecord::group(&self.id, Some(&value))
    }
}

fn read_member(stored: &MemberMetadata<'_>, protocol: Option<&Arc<str>>) -> Member {
    let subscription = Bytes::copy_from_slice(&stored.subscription);
    let rebalance_timeout_ms =
        if stored.rebalance_timeout < 0 { stored.session_timeout } else { stored.rebalance_timeout };
    Member {
        id: Arc::from(&*stored.member_id),
        instance_id: stored.group_instance_id.as_deref().map(Arc::from),
        client_id: Arc::from(&*stored.client_id),
        client_host: Arc::from(&*stored.client_host),
        session_timeout_ms: stored.session_timeout,
        rebalance_timeout_ms,
        protocols: protocol.map(|name| (Arc::clone(name), subscription)).into_iter().collect(),
        assignment: Bytes::copy_from_slice(&stored.assignment),
        joining: None,
        syncing: None,
        is_new: false,
        deadline: MonoNanos::NEVER,
    }
}
