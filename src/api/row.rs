//! The row of one API in the table of what is served.

use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::protocol::{ApiKey, RequestHeader};

use super::answer::ApiError;
use super::context::Context;
use super::served::Served;
use super::step::Step;

/// Begins to answer a request: header, then body without it.
pub(super) type Handler = fn(&mut Context<'_>, &RequestHeader<'_>, &Bytes) -> Result<Step, ApiError>;

/// One row of the table. Each API's file declares its own, next to its handler.
pub struct Api {
    pub key: ApiKey,
    /// Shown in ApiVersions; below [`Api::min`] only for Produce, because librdkafka takes a Produce that does not start
    /// at 0 for a broker without compression (KAFKA-18659).
    pub advertised_min: i16,
    pub min: i16,
    pub max: i16,
    answers: Answers,
    pub(super) handler: Handler,
}

/// What the answers of an API need of the shard's memory for answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answers {
    /// Answers of any size, depending on what is asked: a request waits until there is room.
    Large,
    /// Answers of a few bytes, which must go out however many readers are slow: a group must hear its members, and a producer must hear
    /// that its records are written.
    Brief,
}

impl Api {
    pub(super) const fn new(key: ApiKey, versions: RangeInclusive<i16>, handler: Handler) -> Api {
        let (min, max) = (*versions.start(), *versions.end());
        Api { key, advertised_min: min, min, max, answers: Answers::Large, handler }
    }

    /// Shows a lower first version in ApiVersions than the one that is served.
    pub(super) const fn advertised_from(self, advertised_min: i16) -> Api {
        Api { advertised_min, ..self }
    }

    /// What ApiVersions says of this API.
    pub(super) const fn served(&self) -> Served {
        Served { key: self.key, min: self.advertised_min, max: self.max }
    }

    /// Whether requests of this API begin even when there is no room for answers.
    pub(super) fn is_answered_briefly(&self) -> bool {
        self.answers == Answers::Brief
    }

    /// Begins requests of this API even when there is no room for answers.
    pub(super) const fn answered_briefly(self) -> Api {
        Api { answers: Answers::Brief, ..self }
    }
}
