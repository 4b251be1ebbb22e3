//! A partition and how far it has been read: walks over what a fetch returned, batch by batch.

use ringmain::record::{BATCH_HEADER_BYTES, BatchHeader};

use crate::error::BenchError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub partition: i32,
    pub start: i64,
    pub end: i64,
    pub position: i64,
}

impl Cursor {
    /// Calls `each` with every whole batch, having checked that it continues where the last ended. The last one may be
    /// cut off.
    pub fn advance(
        &mut self,
        mut stored: &[u8],
        mut each: impl FnMut(&BatchHeader, &[u8]) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        while stored.len() >= BATCH_HEADER_BYTES {
            let header = BatchHeader::parse(stored)?;
            let Some((batch, rest)) = stored.split_at_checked(header.total_bytes()) else { break };
            self.follow(&header)?;
            each(&header, batch)?;
            stored = rest;
        }
        Ok(())
    }

    fn follow(&mut self, header: &BatchHeader) -> Result<(), BenchError> {
        // A fetch may begin inside a batch; never behind it, and batches never leave gaps.
        if header.base_offset.0 > self.position || header.last_offset().0 < self.position {
            let (partition, previous) = (self.partition, self.position);
            return Err(BenchError::Offset { partition, offset: header.base_offset.0, previous });
        }
        self.position = header.last_offset().0 + 1;
        Ok(())
    }

    pub fn is_at_end(&self) -> bool {
        self.position >= self.end
    }
}

#[cfg(test)]
mod tests {
    use ringmain::base::{LeaderEpoch, Offset, TimestampMs};
    use ringmain::record::BatchBuilder;

    use super::*;

    fn batch(base_offset: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new(TimestampMs(1)).placed(Offset(base_offset), LeaderEpoch(0));
        builder.append(None, Some(b"one"));
        builder.append(None, Some(b"two"));
        builder.finish().expect("small")
    }

    fn walk(stored: &[u8], position: i64) -> Result<(i64, usize), BenchError> {
        let mut cursor = Cursor { partition: 0, start: 0, end: 100, position };
        let mut count = 0;
        cursor.advance(stored, |_, _| {
            count += 1;
            Ok(())
        })?;
        Ok((cursor.position, count))
    }

    #[test]
    fn batches_continue_one_another() {
        let two = [batch(4), batch(6)].concat();
        assert_eq!(walk(&two, 4).expect("dense"), (8, 2));
        // Begins inside the first, and the second is cut off.
        assert_eq!(walk(&two[..two.len() - 1], 5).expect("dense"), (6, 1));
        assert!(walk(&two, 3).is_err() && walk(&two, 6).is_err());
        assert!(walk(&[batch(4), batch(8)].concat(), 4).is_err());
    }
}
