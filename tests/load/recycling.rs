//! A topic whose partition is so busy, and keeps so little, that its segments are written into each other's files: whatever a
//! crash leaves of that, only what was written last is there, and all of it that was acknowledged.
//!
//! One writer numbers its records from 0, so that each record's number is its offset.

use ringmain::client::{Admin, Connection};

use super::churn::{batch, log, sorted};
use super::writers::{End, receive, send};
use super::{Moment, new_topic};

const TOPIC: &str = "recycled";
/// Requests on their way at once.
const IN_FLIGHT: i64 = 4;

#[derive(Clone, Debug, Default)]
pub struct Recycling {
    /// Ends of what is acknowledged, in order, and the moments.
    acked: Vec<(i64, u64)>,
    /// Where the topic ended when it was last looked at.
    end: i64,
}

/// Most batches are written straight to their segment, some go through the commit log.
fn records(first: i64) -> i64 {
    if first % 5 == 0 { 2 } else { 9 }
}

impl Recycling {
    pub fn create_topic(admin: &mut Admin) {
        admin.create_topic(&new_topic(TOPIC, 1, &[("retention.bytes", "2000000")])).unwrap();
    }

    /// As it was known at a moment.
    pub fn until(&self, moment: u64) -> Recycling {
        let acked = self.acked.iter().copied().take_while(|(_, at)| *at <= moment).collect();
        Recycling { acked, ..Recycling::default() }
    }

    pub fn run(mut self, mut connection: Connection, moment: &Moment) -> (Recycling, End) {
        let mut next = self.end;
        loop {
            let mut expected = Vec::new();
            for _ in 0..IN_FLIGHT {
                let count = records(next);
                if !send(&mut connection, TOPIC, &[(0, batch(next, count))]) {
                    return (self, End::Lost);
                }
                expected.push((next, count));
                next += count;
            }
            for (first, count) in expected {
                match receive(&mut connection) {
                    Ok(offsets) => assert_eq!(offsets, [(0, first)]),
                    Err(ended) => return (self, ended),
                }
                self.acked.push((first + count, moment()));
            }
        }
    }

    pub fn check(&mut self, address: &str) {
        let acked = self.acked.last().map_or(0, |(end, _)| *end);
        let found = log(address, TOPIC);
        let numbers: Vec<i64> = found.numbers.values().flatten().copied().collect();
        let dense = (found.start..found.end).eq(sorted(numbers));
        assert!(dense && found.start <= acked && acked <= found.end, "{acked} of {found:?}");
        self.end = found.end;
    }
}
