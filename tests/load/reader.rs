//! Who reads at the tail until the server goes away.

use ringmain::client::{Connection, Response};
use ringmain::protocol::ErrorCode;
use ringmain::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ringmain::protocol::messages::{FetchRequest, FetchResponse};
use ringmain::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};

use super::writers::unless_lost;
use super::{Moment, PARTITIONS, TOPIC};

/// The newest version that names topics rather than gives their ids.
const FETCH_VERSION: i16 = 12;

/// A batch served to the reader.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    pub partition: i32,
    pub offset: i64,
    pub crc: u32,
    pub at: u64,
}

/// Follows the tail until the connection is lost: what it is served must outlive the crash.
pub struct Reader {
    positions: Vec<i64>,
}

impl Reader {
    pub fn new(positions: Vec<i64>) -> Reader {
        Reader { positions }
    }

    pub fn run(mut self, mut connection: Connection, moment: &Moment) -> Vec<Served> {
        let mut served = Vec::new();
        while let Some(fetched) = fetch(&mut connection, &self.positions, 50) {
            let at = moment();
            for (partition, _, batches) in fetched {
                for (header, batch) in batches {
                    assert_eq!(batch_crc(&batch), header.crc);
                    let position = &mut self.positions[usize::try_from(partition).unwrap()];
                    assert_eq!(header.base_offset.0, *position, "partition {partition}");
                    served.push(Served { partition, offset: *position, crc: header.crc, at });
                    *position = header.last_offset().0 + 1;
                }
            }
        }
        served
    }
}

/// A partition's answer: index, high watermark, whole batches.
pub type Fetched = (i32, i64, Vec<(BatchHeader, Vec<u8>)>);

/// One fetch of every partition from its position; `None` when the connection is lost.
pub fn fetch(connection: &mut Connection, positions: &[i64], wait_ms: i32) -> Option<Vec<Fetched>> {
    let answer = ask_for(connection, positions, wait_ms)?;
    let answer: FetchResponse<'_> = answer.decode().unwrap();
    assert_eq!(answer.error_code, 0);
    let partitions = answer.responses.into_iter().flat_map(|topic| topic.partitions);
    Some(
        partitions
            .map(|it| {
                assert_eq!(it.error_code, 0, "partition {}", it.partition_index);
                assert!(it.log_start_offset <= 0, "nothing was deleted");
                (it.partition_index, it.high_watermark, whole_batches(&it.records.to_vec()))
            })
            .collect(),
    )
}

/// How a fetch of every partition from its beginning is answered, partition by partition.
pub fn fetch_outcomes(connection: &mut Connection) -> Vec<ErrorCode> {
    let beginnings = vec![0; usize::try_from(PARTITIONS).unwrap()];
    let answer = ask_for(connection, &beginnings, 0).expect("a server nobody kills");
    let answer: FetchResponse<'_> = answer.decode().unwrap();
    let partitions = answer.responses.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|it| ErrorCode::from_code(it.error_code).unwrap()).collect()
}

fn ask_for(connection: &mut Connection, positions: &[i64], wait_ms: i32) -> Option<Response> {
    let partition = |(partition, fetch_offset): (i32, &i64)| FetchPartition {
        partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: TOPIC.into(),
        partitions: (0..PARTITIONS).zip(positions).map(partition).collect(),
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 8 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    unless_lost(connection.send_version(&request, FETCH_VERSION))?;
    unless_lost(connection.receive())
}

/// The last batch of an answer may be cut short by its limits.
fn whole_batches(mut bytes: &[u8]) -> Vec<(BatchHeader, Vec<u8>)> {
    let mut batches = Vec::new();
    while bytes.len() >= BATCH_HEADER_BYTES {
        let header = BatchHeader::parse(bytes).unwrap();
        let Some((batch, rest)) = bytes.split_at_checked(header.total_bytes()) else { break };
        batches.push((header, batch.to_vec()));
        bytes = rest;
    }
    batches
}
