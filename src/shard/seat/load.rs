//! How a coordinator reads its own log: fetches like a client's, one part after the other, folded record by record.

use std::sync::Arc;

use crate::base::{LeaderEpoch, Now, Offset, TopicPartition, joined};
use crate::group::Coordinator;
use crate::record::{self, BATCH_HEADER_BYTES, BatchHeader};

use super::super::read::Read;
use super::super::request::{FetchPartition, FetchRequest, FetchResult, FetchedBy, Known};
use super::super::store::Store;
use super::super::turn::{Asker, Reading, Turn};

/// Read at a time.
const LOAD_BYTES: u32 = 1024 * 1024;

/// Asks for the part of a seat's log that begins with an offset.
pub(super) fn ask(
    seat: Reading,
    partition: TopicPartition,
    offset: Offset,
    read: &mut Read,
    store: &mut Store,
    turn: &mut Turn<'_>,
) {
    let part = FetchPartition {
        partition,
        offset,
        current_leader_epoch: LeaderEpoch(-1),
        last_fetched_epoch: LeaderEpoch(-1),
        bytes_max: LOAD_BYTES,
        known: Known::NOTHING,
    };
    let request = FetchRequest {
        partitions: Arc::new(vec![part]),
        first: 0,
        wait_ms_max: 0,
        bytes_min: 0,
        bytes_max: LOAD_BYTES,
        read_committed: false,
        by: FetchedBy::Seat,
    };
    read.fetch(Asker::Seat(seat), request, store, turn);
}

/// Folds a part of the log that begins with `offset`: where the next part begins, or why the log cannot be read.
pub(super) fn fold(
    coordinator: &mut Coordinator,
    offset: Offset,
    results: Vec<FetchResult>,
) -> Result<Offset, String> {
    let outcome = results.into_iter().next().map(|result| result.outcome);
    let fetched = outcome.ok_or("the read brought no answer")?.map_err(|error| error.to_string())?;
    let bytes = joined(&fetched.records);
    let (mut rest, mut next): (&[u8], Offset) = (&bytes, offset);
    while rest.len() >= BATCH_HEADER_BYTES {
        let Ok(header) = BatchHeader::parse(rest) else { break };
        let Some((batch, after)) = rest.split_at_checked(header.total_bytes()) else { break };
        if let Err(error) = fold_batch(coordinator, batch)
            && !header.is_control()
        {
            return Err(error);
        }
        next = header.last_offset().plus(1);
        rest = after;
    }
    if next == offset {
        return Err("nothing whole at the offset read".to_owned());
    }
    Ok(next)
}

fn fold_batch(coordinator: &mut Coordinator, batch: &[u8]) -> Result<(), String> {
    let mut refused = None;
    // The clock does not matter to what is folded: deadlines begin when the whole log is.
    let read = record::records(batch, |_, record| {
        let result = coordinator.replay(Now::default(), record.key.unwrap_or_default(), record.value);
        refused = result.err();
        refused.is_none()
    });
    read.map_err(|error| error.to_string())?;
    refused.map_or(Ok(()), |error| Err(error.to_string()))
}
