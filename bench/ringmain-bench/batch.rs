//! The batches a load is made of, and the mark by which each is known when it is read back.
//!
//! A batch is prepared once; what differs from one request to the next is the mark at the front of its first record, that
//! record's key, the timestamps, and so the checksum. CRCs are linear, so the checksum follows without the rest being
//! read again: a mebibyte is stamped in about a microsecond. Compressed batches cannot be stamped: a ring of different
//! ones is prepared, each known by its checksum.

use bytes::Bytes;
use ringmain::base::TimestampMs;
use ringmain::base::checksum::{crc32c, crc32c_combine};
use ringmain::base::rng::Rng;
use ringmain::record::{BATCH_HEADER_BYTES, BatchBuilder, BatchHeader, Codec};

use crate::error::BenchError;

/// ```text
/// at  size  field                  at  size  field
///  0   8    run                    20   8    first record due, ns since the load began
///  8   4    connection             28   8    last record due
/// 12   8    sequence on the connection's partition
/// ```
pub const MARK_BYTES: usize = 36;
pub const KEY_BYTES: usize = 8;
/// What a record takes beside its key and value, at most.
const RECORD_OVERHEAD_BYTES: usize = 24;
const CRC_AT: usize = 17;
/// The checksum covers everything from the attributes on.
const CRC_FROM: usize = 21;
const TIMESTAMPS_AT: usize = 27;
/// Compressed batches prepared for a run, and the memory they may take.
const VARIANTS: usize = 256;
const VARIANTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Which batch this is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub run: u64,
    pub connection: u32,
    /// Counts the connection's batches of one partition, from 0 on.
    pub sequence: u64,
    pub first_due_ns: u64,
    pub last_due_ns: u64,
}

impl Mark {
    fn to_bytes(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&self.run.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.connection.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[20..28].copy_from_slice(&self.first_due_ns.to_be_bytes());
        bytes[28..].copy_from_slice(&self.last_due_ns.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Mark> {
        let (run, rest) = bytes.split_first_chunk()?;
        let (connection, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (last, _) = rest.split_first_chunk()?;
        Some(Mark {
            run: u64::from_be_bytes(*run),
            connection: u32::from_be_bytes(*connection),
            sequence: u64::from_be_bytes(*sequence),
            first_due_ns: u64::from_be_bytes(*first),
            last_due_ns: u64::from_be_bytes(*last),
        })
    }
}

/// What a run's batches are made of.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Bytes of a batch before compression at most; one record at least.
    pub batch_bytes: usize,
    /// Bytes of a record's value.
    pub record_bytes: usize,
    /// Records of a batch at most.
    pub records_max: u32,
    pub keyed: bool,
    pub codec: Codec,
}

/// All batches of a run, but for their marks.
#[derive(Clone, Debug)]
pub struct Template {
    pub records: u32,
    pub keyed: bool,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    Stamped(Stamped),
    /// Compressed; which of them comes next is the sequence modulo their number.
    Ring(Vec<Bytes>),
}

#[derive(Clone, Debug)]
struct Stamped {
    bytes: Bytes,
    mark_at: usize,
    key_at: Option<usize>,
}

impl Template {
    pub fn new(recipe: &Recipe, now: TimestampMs) -> Result<Template, BenchError> {
        if recipe.record_bytes < MARK_BYTES {
            return Err(BenchError::RecordBytes { bytes: recipe.record_bytes, least: MARK_BYTES });
        }
        if recipe.codec != Codec::None {
            return Template::ring(recipe, now);
        }
        // Unlike anything in the noise around it.
        let mark = Mark { run: u64::MAX, connection: 0xA5A5_A5A5, sequence: 0x5A5A_5A5A, ..Mark::default() };
        let (bytes, records) = build(recipe, now, &mark, 0)?;
        let sought = mark.to_bytes();
        let mark_at = bytes.windows(MARK_BYTES).position(|window| window == sought);
        let mark_at = mark_at.ok_or(BenchError::Answer)?;
        // The key is followed by the length of the value, whose bytes begin with the mark.
        let length_bytes = varint_bytes(recipe.record_bytes);
        let key_at = recipe.keyed.then(|| mark_at - length_bytes - KEY_BYTES);
        let shape = Shape::Stamped(Stamped { bytes: bytes.into(), mark_at, key_at });
        Ok(Template { records, keyed: recipe.keyed, shape })
    }

    fn ring(recipe: &Recipe, now: TimestampMs) -> Result<Template, BenchError> {
        let count = (VARIANTS_BYTES_MAX / recipe.batch_bytes.max(recipe.record_bytes)).clamp(2, VARIANTS);
        let (mut ring, mut records) = (Vec::new(), 0);
        for variant in 0..count as u64 {
            let (bytes, count) = build(recipe, now, &Mark { sequence: variant, ..Mark::default() }, variant)?;
            ring.push(bytes.into());
            records = count;
        }
        Ok(Template { records, keyed: recipe.keyed, shape: Shape::Ring(ring) })
    }

    /// Bytes of the batch with this sequence.
    pub fn batch_bytes(&self, sequence: u64) -> usize {
        match &self.shape {
            Shape::Stamped(stamped) => stamped.bytes.len(),
            Shape::Ring(ring) => variant(ring, sequence).len(),
        }
    }

    /// Writes the front of a batch behind what `head` holds, and returns the rest of it.
    pub fn stamp(&self, mark: &Mark, key: u64, now: TimestampMs, head: &mut Vec<u8>) -> Bytes {
        match &self.shape {
            Shape::Stamped(stamped) => stamped.stamp(mark, key, now, head),
            Shape::Ring(ring) => variant(ring, mark.sequence).clone(),
        }
    }

    /// The mark of a stored batch, if every byte of it is as it was sent.
    pub fn read(&self, header: &BatchHeader, stored: &[u8]) -> Result<Mark, Mismatch> {
        if u32::try_from(header.records_count) != Ok(self.records) {
            return Err(Mismatch::Length);
        }
        match &self.shape {
            Shape::Stamped(stamped) => stamped.read(header, stored),
            Shape::Ring(ring) => {
                let payload = stored.get(BATCH_HEADER_BYTES..).ok_or(Mismatch::Length)?;
                let same = |bytes: &Bytes| bytes.get(BATCH_HEADER_BYTES..) == Some(payload);
                let found = ring.iter().position(same).ok_or(Mismatch::Content)?;
                Ok(Mark { sequence: found as u64, ..Mark::default() })
            }
        }
    }

    /// The mark of a stored batch, of which little more is looked at: for batches that are not compressed.
    pub fn glance(&self, header: &BatchHeader, stored: &[u8]) -> Result<Mark, Mismatch> {
        match &self.shape {
            Shape::Stamped(stamped)
                if stored.len() == stamped.bytes.len()
                    && u32::try_from(header.records_count) == Ok(self.records) =>
            {
                stored.get(stamped.mark_at..).and_then(Mark::from_bytes).ok_or(Mismatch::Length)
            }
            _ => Err(Mismatch::Length),
        }
    }

    /// How many different batches there are, if they repeat: then they do not say who sent them, nor when.
    pub fn cycle(&self) -> Option<u64> {
        match &self.shape {
            Shape::Stamped(_) => None,
            Shape::Ring(ring) => Some(ring.len() as u64),
        }
    }
}

/// How a stored batch differs from the one that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    Length,
    Content,
    Checksum,
}

impl Stamped {
    fn stamp(&self, mark: &Mark, key: u64, now: TimestampMs, head: &mut Vec<u8>) -> Bytes {
        let end = self.mark_at + MARK_BYTES;
        let start = head.len();
        head.extend_from_slice(self.bytes.get(..end).unwrap_or_default());
        let front = head.get_mut(start..).unwrap_or_default();
        put(front, TIMESTAMPS_AT, &now.0.to_be_bytes());
        put(front, TIMESTAMPS_AT + 8, &now.0.to_be_bytes());
        put(front, self.mark_at, &mark.to_bytes());
        if let Some(key_at) = self.key_at {
            put(front, key_at, &key.to_be_bytes());
        }
        let crc = self.crc_with(front);
        put(front, CRC_AT, &crc.to_be_bytes());
        self.bytes.slice(end..)
    }

    /// The checksum of a batch with another front: with F, F' the covered front before and after and R the rest,
    /// crc(F'R) = crc(FR) ⊕ shift(crc(F) ⊕ crc(F'), |R|).
    fn crc_with(&self, front: &[u8]) -> u32 {
        let end = self.mark_at + MARK_BYTES;
        let covered = |bytes: &[u8]| crc32c(bytes.get(CRC_FROM..end).unwrap_or_default());
        let crc = self.bytes.get(CRC_AT..).and_then(|bytes| bytes.first_chunk());
        let whole = u32::from_be_bytes(crc.copied().unwrap_or_default());
        let rest = (self.bytes.len() - end) as u64;
        whole ^ crc32c_combine(covered(&self.bytes) ^ covered(front), 0, rest)
    }

    fn read(&self, header: &BatchHeader, stored: &[u8]) -> Result<Mark, Mismatch> {
        if stored.len() != self.bytes.len() {
            return Err(Mismatch::Length);
        }
        let end = self.mark_at + MARK_BYTES;
        let parts = [BATCH_HEADER_BYTES..self.key_at.unwrap_or(self.mark_at), end..stored.len()];
        if parts.into_iter().any(|part| stored.get(part.clone()) != self.bytes.get(part)) {
            return Err(Mismatch::Content);
        }
        if self.crc_with(stored) != header.crc {
            return Err(Mismatch::Checksum);
        }
        stored.get(self.mark_at..).and_then(Mark::from_bytes).ok_or(Mismatch::Length)
    }
}

fn variant(ring: &[Bytes], sequence: u64) -> &Bytes {
    let index = sequence % ring.len() as u64;
    ring.get(usize::try_from(index).unwrap_or(0)).expect("a ring is never empty")
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// As many records as fit, at least one; the first carries the mark.
fn build(recipe: &Recipe, now: TimestampMs, mark: &Mark, seed: u64) -> Result<(Vec<u8>, u32), BenchError> {
    // Values for codecs are half noise, different in each record, and half the same, as those of applications are; others
    // all noise, so that nothing on the way can make them smaller unnoticed.
    let is_compressed = recipe.codec != Codec::None;
    let value_of = |number: u64| {
        let mut value = noise(recipe.record_bytes, seed << 32 | number);
        if is_compressed {
            value.iter_mut().skip(recipe.record_bytes / 2).for_each(|byte| *byte = b'r');
        }
        value
    };
    let mut value = value_of(0);
    let key = seed.to_be_bytes();
    let key = recipe.keyed.then_some(key.as_slice());
    let mut first = value.clone();
    put(&mut first, 0, &mark.to_bytes());
    let mut builder = BatchBuilder::new(now).codec(recipe.codec);
    builder.append(key, Some(&first));
    let another = recipe.record_bytes + RECORD_OVERHEAD_BYTES + key.map_or(0, <[u8]>::len);
    while builder.bytes() + another <= recipe.batch_bytes && builder.len() < recipe.records_max as usize {
        if is_compressed {
            value = value_of(builder.len() as u64);
        }
        builder.append(key, Some(&value));
    }
    let records = u32::try_from(builder.len()).unwrap_or(u32::MAX);
    Ok((builder.finish()?, records))
}

/// Bytes that no codec makes smaller.
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::seeded(seed);
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// Bytes of a length as a zigzag varint.
fn varint_bytes(length: usize) -> usize {
    let bits = usize::BITS - (length * 2).leading_zeros();
    usize::try_from(bits.div_ceil(7).max(1)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmain::record::{batch_crc, records};

    fn recipe(batch_bytes: usize, record_bytes: usize, keyed: bool, codec: Codec) -> Recipe {
        Recipe { batch_bytes, record_bytes, records_max: u32::MAX, keyed, codec }
    }

    fn sent(template: &Template, mark: &Mark, key: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let rest = template.stamp(mark, key, TimestampMs(77), &mut bytes);
        bytes.extend_from_slice(&rest);
        bytes
    }

    fn read(template: &Template, bytes: &[u8]) -> Result<Mark, Mismatch> {
        template.read(&BatchHeader::parse(bytes).expect("whole"), bytes)
    }

    const MARK: Mark = Mark { run: 5, connection: 3, sequence: 99, first_due_ns: 7, last_due_ns: 8 };

    #[test]
    fn a_stamped_batch_is_valid_and_known_again() {
        for (batch_bytes, record_bytes, keyed) in [
            (1, 36, false),
            (1, 100, true),
            (16_384, 1024, true),
            (1 << 20, 1024, false),
            (1 << 20, 100, true),
        ] {
            let template =
                Template::new(&recipe(batch_bytes, record_bytes, keyed, Codec::None), TimestampMs(1))
                    .expect("large enough");
            let bytes = sent(&template, &MARK, 4711);
            let header = BatchHeader::parse(&bytes).expect("whole");
            assert_eq!(header.crc, batch_crc(&bytes));
            assert_eq!(header.max_timestamp, TimestampMs(77));
            assert_eq!(read(&template, &bytes), Ok(MARK));
            let (mut count, mut key) = (0, None);
            records(&bytes, |_, record| {
                if key.is_none() {
                    key = record.key.map(<[u8]>::to_vec);
                }
                count += 1;
                true
            })
            .expect("well formed");
            assert_eq!(count, template.records);
            assert_eq!(key, keyed.then(|| 4711u64.to_be_bytes().to_vec()));
            assert!(bytes.len() <= batch_bytes.max(bytes.len().min(record_bytes + 110)));
        }
    }

    #[test]
    fn every_changed_byte_is_found() {
        let template =
            Template::new(&recipe(400, 100, true, Codec::None), TimestampMs(1)).expect("large enough");
        let bytes = sent(&template, &MARK, 1);
        for at in BATCH_HEADER_BYTES..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&template, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn compressed_batches_differ_and_are_known_again() {
        for codec in Codec::ALL.into_iter().filter(|codec| *codec != Codec::None) {
            let template =
                Template::new(&recipe(4096, 512, false, codec), TimestampMs(1)).expect("large enough");
            assert_eq!(template.cycle(), Some(256));
            let bytes = sent(&template, &Mark { sequence: 256 + 9, ..MARK }, 0);
            assert!(
                (1500..4096 * 3 / 4).contains(&bytes.len()),
                "{} bytes with {}",
                bytes.len(),
                codec.name()
            );
            assert_eq!(read(&template, &bytes).map(|mark| mark.sequence), Ok(9));
        }
    }

    #[test]
    fn records_too_small_for_a_mark_are_refused() {
        let refused = Template::new(&recipe(1, 35, false, Codec::None), TimestampMs(1));
        assert!(matches!(refused, Err(BenchError::RecordBytes { bytes: 35, least: 36 })));
    }
}
