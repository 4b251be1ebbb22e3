//! How requests name topics: by name, or by id in newer versions.

use crate::base::TopicId;

/// How a request names a topic.
#[derive(Clone, Copy, Debug)]
pub(super) enum TopicKey<'a> {
    Name(&'a str),
    Id(TopicId),
}
