//! Fetch load: every connection reads its partitions, one request at a time as consumers do, and checks what it gets.
//! Reads again and again, once to an end, or at the tail of what is being produced: there each record is timed from the
//! instant at which it should have been sent (end to end).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ringmain::protocol::messages::FetchResponse;
use ringmain::protocol::{ApiKey, ErrorCode, Records, decode_body, response_header_version};

use crate::check::Checker;
use crate::cursor::Cursor;
use crate::engine::{Next, Workload};
use crate::error::BenchError;
use crate::schedule::Due;
use crate::session::{FetchSettings, Session};
use crate::socket::Outgoing;
use crate::stats::{Asked, Meter, Moved};

/// Answers in a row that bring nothing although there is something.
const EMPTY_MAX: u32 = 20;
/// Patience with what has been acknowledged and does not arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

/// Where reading ends.
#[derive(Clone, Debug)]
pub enum Until {
    /// With the window; from the end of a partition back to its start.
    WindowEnds,
    /// At the end of every partition.
    Read,
    /// When all that the producers sent has arrived: the ends of the partitions, once they are known.
    Produced(Arc<OnceLock<BTreeMap<i32, i64>>>),
}

/// One connection's reading.
pub struct Reading {
    /// The number of the group this reading belongs to; each group reads everything.
    group: usize,
    cursors: Vec<Cursor>,
    by_partition: BTreeMap<i32, usize>,
    session: Session,
    asked: Option<Asked>,
    empty: u32,
    checker: Option<Checker>,
}

impl Reading {
    pub fn new(group: usize, cursors: Vec<Cursor>, checker: Option<Checker>) -> Reading {
        let by_partition = cursors.iter().enumerate().map(|(at, cursor)| (cursor.partition, at)).collect();
        Reading { group, cursors, by_partition, session: Session::default(), asked: None, empty: 0, checker }
    }
}

/// The fetch load of one thread.
pub struct Reader {
    pub meter: Meter,
    settings: FetchSettings,
    until: Until,
    readings: Vec<Reading>,
    /// When everything has to have arrived.
    patience: Option<Instant>,
}

impl Reader {
    pub fn new(meter: Meter, settings: FetchSettings, until: Until, readings: Vec<Reading>) -> Reader {
        Reader { meter, settings, until, readings, patience: None }
    }

    /// What was measured, and what was read, each with its group.
    pub fn into_parts(self) -> (Meter, Vec<(usize, Checker)>) {
        let checkers = self.readings.into_iter().filter_map(|it| Some((it.group, it.checker?)));
        (self.meter, checkers.collect())
    }

    fn is_finished(&mut self, connection: usize, now: Instant) -> Result<bool, BenchError> {
        let reading = self.readings.get_mut(connection).ok_or(BenchError::Answer)?;
        match &self.until {
            Until::WindowEnds => return Ok(now >= self.meter.window.end),
            Until::Read => {}
            Until::Produced(ends) => {
                let Some(ends) = ends.get() else { return Ok(false) };
                for cursor in &mut reading.cursors {
                    cursor.end = ends.get(&cursor.partition).copied().unwrap_or(0);
                }
                let patience = *self.patience.get_or_insert(now + ARRIVES_WITHIN);
                if now > patience
                    && let Some(cursor) = reading.cursors.iter().find(|cursor| !cursor.is_at_end())
                {
                    return Err(nothing(cursor));
                }
            }
        }
        Ok(reading.cursors.iter().all(Cursor::is_at_end))
    }
}

fn nothing(cursor: &Cursor) -> BenchError {
    let Cursor { partition, position: offset, end, .. } = *cursor;
    BenchError::NothingFetched { partition, offset, end }
}

impl Workload for Reader {
    fn next(&mut self, connection: usize, now: Instant) -> Result<Next, BenchError> {
        if self.readings.get(connection).is_some_and(|reading| reading.asked.is_some()) {
            let end = self.meter.window.end;
            return Ok(Next::Wait(Some(end).filter(|end| *end > now)));
        }
        if self.is_finished(connection, now)? {
            return Ok(Next::Finished);
        }
        let reading = self.readings.get_mut(connection).ok_or(BenchError::Answer)?;
        let request: Outgoing = reading.session.request(&self.settings, &reading.cursors)?;
        let now_ns = self.meter.window.since(now);
        reading.asked = Some(Asked { due: Due { first_ns: now_ns, last_ns: now_ns }, issued_ns: now_ns });
        Ok(Next::Send(request))
    }

    fn sent(&mut self, _connection: usize, _count: usize, _now: Instant) -> bool {
        false
    }

    fn answered(&mut self, connection: usize, answer: &[u8], now: Instant) -> Result<(), BenchError> {
        let reading = self.readings.get_mut(connection).ok_or(BenchError::Answer)?;
        let asked = reading.asked.take().ok_or(BenchError::Answer)?;
        let version = self.settings.version;
        let skip = if response_header_version(ApiKey::Fetch.code(), version) >= 1 { 5 } else { 4 };
        let body = answer.get(skip..).ok_or(BenchError::Answer)?;
        let answer: FetchResponse<'_> = decode_body(body, version)?;
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => reading.session.answered(answer.session_id),
            Some(ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch) => {
                reading.session.restart();
                return Ok(());
            }
            _ => return Err(BenchError::Broker { what: "Fetch", code: answer.error_code }),
        }
        let is_tail = matches!(self.until, Until::Produced(_));
        let is_again = matches!(self.until, Until::WindowEnds);
        let mut moved = Moved::default();
        for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            if partition.error_code != 0 {
                return Err(BenchError::Broker { what: "Fetch", code: partition.error_code });
            }
            let at = reading.by_partition.get(&partition.partition_index).copied();
            let cursor = at.and_then(|at| reading.cursors.get_mut(at)).ok_or(BenchError::Answer)?;
            let Records::Borrowed(stored) = &partition.records else { continue };
            let checker = &mut reading.checker;
            cursor.advance(stored, |header, batch| {
                let records = header.records_count.unsigned_abs();
                let batch_moved = Moved { records: u64::from(records), bytes: batch.len() as u64 };
                moved.records += batch_moved.records;
                moved.bytes += batch_moved.bytes;
                let Some(checker) = checker else { return Ok(()) };
                let mark = checker.batch(partition.partition_index, header, batch)?;
                if is_tail {
                    let due = Due { first_ns: mark.first_due_ns, last_ns: mark.last_due_ns };
                    let timed = if due.first_ns == due.last_ns { 1 } else { records };
                    let asked = Asked { due, issued_ns: due.last_ns };
                    self.meter.done(connection, asked, now, batch_moved, timed);
                }
                Ok(())
            })?;
            if is_again && cursor.is_at_end() {
                cursor.position = cursor.start;
                if let Some(checker) = checker {
                    checker.forget(cursor.partition);
                }
            }
        }
        if is_tail {
            return Ok(());
        }
        reading.empty = if moved.bytes == 0 { reading.empty + 1 } else { 0 };
        if reading.empty > EMPTY_MAX
            && let Some(cursor) = reading.cursors.iter().find(|cursor| !cursor.is_at_end())
        {
            return Err(nothing(cursor));
        }
        self.meter.done(connection, asked, now, moved, 1);
        Ok(())
    }

    fn outstanding(&self, connection: usize) -> usize {
        self.readings.get(connection).map_or(0, |reading| usize::from(reading.asked.is_some()))
    }

    fn ended(&mut self) {
        self.meter.close();
    }
}
