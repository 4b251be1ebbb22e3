//! How a producer behaves.

use std::time::Duration;

use crate::record::Codec;

/// How many replicas must have a record before it counts as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    None,
    Leader,
    All,
}

impl Acks {
    /// Kafka's spelling: `0`, `1`, `-1` or `all`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Acks> {
        match text {
            "0" => Some(Acks::None),
            "1" => Some(Acks::Leader),
            "-1" | "all" => Some(Acks::All),
            _ => None,
        }
    }

    pub(super) fn on_wire(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// How a producer behaves; the defaults are those of Kafka's own producer where it has the setting.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    pub acks: Acks,
    pub codec: Codec,
    /// Bytes of records (before compression) that close a batch.
    pub batch_bytes: usize,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// The broker recognises batches that it has already. Needs acks all.
    pub idempotent: bool,
    /// Requests in flight per node.
    pub in_flight_max: usize,
    /// Bytes of records waiting or in flight at which `send` blocks.
    pub buffer_bytes: usize,
    /// How long a batch may take from its first record to its answer, retries included.
    pub delivery_timeout: Duration,
    /// How long the broker may take for a request.
    pub request_timeout: Duration,
    /// Pause before the first retry; doubles up to `retry_backoff_max`.
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// How long `send` waits for a topic to have leaders.
    pub topic_timeout: Duration,
}

impl Default for ProducerOptions {
    fn default() -> ProducerOptions {
        ProducerOptions {
            acks: Acks::All,
            codec: Codec::None,
            batch_bytes: 16 * 1024,
            linger: Duration::from_millis(5),
            idempotent: true,
            in_flight_max: 5,
            buffer_bytes: 32 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            topic_timeout: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_spelled_as_in_kafka() {
        for (text, expected) in [
            ("0", Some(Acks::None)),
            ("1", Some(Acks::Leader)),
            ("-1", Some(Acks::All)),
            ("all", Some(Acks::All)),
            ("2", None),
        ] {
            assert_eq!(Acks::parse(text), expected, "{text}");
        }
    }
}
