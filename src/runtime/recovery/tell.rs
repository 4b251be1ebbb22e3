//! What an operator is told of a verdict: a line for each that costs records, or that leaves a file to look at.

use crate::base::{Offset, TopicPartition};
use crate::log::Verdict;

/// `log_end` is where the log ends so far.
pub(super) fn tell(partition: TopicPartition, log_end: Offset, verdict: &Verdict) {
    match verdict {
        Verdict::BeginningMissing { log_start, first } => {
            tracing::error!(%partition, %log_start, %first, "the log's first segments are missing; it begins later now");
        }
        Verdict::AllMissing { log_end } => {
            tracing::error!(%partition, %log_end, "the segments of a partition are missing; it goes on empty");
        }
        Verdict::ToBeCut { below, begin_at } => {
            tracing::info!(%partition, %below, %begin_at, "a log that was to be cut when the server ended is cut");
        }
        Verdict::Extra { segment } => {
            tracing::error!(%partition, %log_end, %segment, "a segment does not follow the log and is set aside");
        }
        Verdict::Unfounded { segment } => {
            tracing::warn!(
                %partition, %log_end, %segment,
                "what a segment follows was not durable when the server ended, nor is what it holds; it is set aside"
            );
        }
        Verdict::Missing { offsets } => {
            tracing::error!(
                %partition, from = %offsets.start, to = %offsets.end,
                "records are missing: a segment is gone or cut short; these offsets are refused to readers"
            );
        }
        Verdict::Damaged { segment, offsets } => {
            tracing::error!(
                %partition, %segment, from = %offsets.start, to = %offsets.end,
                "records that were durable are damaged; these offsets are refused to readers"
            );
        }
        _ => {}
    }
}
