//! What ConsumerGroupDescribe shows of a group, as values.

use crate::group::Name;

use super::{Assignment, Metadata};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConsumerGroup {
    pub state: &'static str,
    pub epoch: i32,
    pub target_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<DescribedConsumerMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConsumerMember {
    pub id: Name,
    pub epoch: i32,
    pub metadata: Metadata,
    pub assigned: Assignment,
    pub target: Assignment,
}
