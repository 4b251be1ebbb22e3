//! What is appended at once, on its way into memory: copied and checksummed in one pass.

use crate::base::checksum::Crc32c;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader};

/// The checksum covers a batch from its attributes on.
pub(super) const CRC_FROM: usize = 21;

/// What is appended at once.
#[derive(Debug)]
pub enum Run<'a> {
    /// A producer's batch.
    Stamped(Stamped<'a>),
    /// Batches as another replica has stored them, back to back. Their lengths were checked.
    Stored(&'a [u8]),
}

/// A producer's batch: the header as it will be stored, the rest as it came.
#[derive(Debug)]
pub struct Stamped<'a> {
    /// The header with base offset and leader epoch patched (and, for LogAppendTime, timestamp, attributes and checksum).
    pub header: [u8; BATCH_HEADER_BYTES],
    /// The checksummed part of the header as it arrived.
    pub original: [u8; BATCH_HEADER_BYTES],
    pub payload: &'a [u8],
    /// The checksum the batch arrived with.
    pub crc: u32,
}

/// A batch does not match its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCrc {
    /// Where it begins in the run.
    pub at: usize,
    pub claimed: u32,
    pub computed: u32,
}

impl Run<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Run::Stamped(batch) => BATCH_HEADER_BYTES + batch.payload.len(),
            Run::Stored(bytes) => bytes.len(),
        }
    }

    /// Writes the run over two targets, the second taking what the first cannot hold, and verifies the checksums of what
    /// arrived: one pass over the bytes for both.
    pub(super) fn scatter(&self, first: &mut [u8], second: &mut [u8]) -> Result<(), BadCrc> {
        let mut targets = Targets { first, second };
        match self {
            Run::Stamped(batch) => targets.stamped(batch),
            Run::Stored(bytes) => targets.stored(bytes),
        }
    }

    /// Verifies the checksums alone.
    pub fn verify(bytes: &[u8]) -> Result<(), BadCrc> {
        for (at, header, batch) in batches(bytes) {
            let computed = crate::record::batch_crc(batch);
            verified(at, header.crc, computed)?;
        }
        Ok(())
    }
}

/// The batches of bytes whose lengths were checked, each with where it begins.
pub fn batches(bytes: &[u8]) -> impl Iterator<Item = (usize, BatchHeader, &[u8])> + Clone {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let header = BatchHeader::parse(rest).expect("headers were checked");
        let batch = rest.get(..header.total_bytes()).expect("lengths were checked");
        let begins = at;
        at += batch.len();
        Some((begins, header, batch))
    })
}

fn verified(at: usize, claimed: u32, computed: u32) -> Result<(), BadCrc> {
    if claimed == computed { Ok(()) } else { Err(BadCrc { at, claimed, computed }) }
}

/// Memory for a run, which goes on in the second part where the first one ends.
struct Targets<'a> {
    first: &'a mut [u8],
    second: &'a mut [u8],
}

impl Targets<'_> {
    fn stamped(&mut self, batch: &Stamped<'_>) -> Result<(), BadCrc> {
        let mut crc = Crc32c::new();
        crc.update(&batch.original[CRC_FROM..]);
        self.put(0, &batch.header);
        self.put_summed(batch.header.len(), batch.payload, &mut crc);
        verified(0, batch.crc, crc.finish())
    }

    fn stored(&mut self, bytes: &[u8]) -> Result<(), BadCrc> {
        for (at, header, batch) in batches(bytes) {
            let (before, summed) = batch.split_at(CRC_FROM);
            let mut crc = Crc32c::new();
            self.put(at, before);
            self.put_summed(at + CRC_FROM, summed, &mut crc);
            verified(at, header.crc, crc.finish())?;
        }
        Ok(())
    }

    fn put(&mut self, at: usize, source: &[u8]) {
        let (near, far) = self.at(at, source.len());
        let (fits, beyond) = source.split_at(near.len());
        near.copy_from_slice(fits);
        far.copy_from_slice(beyond);
    }

    fn put_summed(&mut self, at: usize, source: &[u8], crc: &mut Crc32c) {
        let (near, far) = self.at(at, source.len());
        let (fits, beyond) = source.split_at(near.len());
        crc.copy(near, fits);
        crc.copy(far, beyond);
    }

    /// The memory of so many bytes of the run from `at` on.
    fn at(&mut self, at: usize, len: usize) -> (&mut [u8], &mut [u8]) {
        let first = self.first.len();
        let (from, to) = (at.min(first), (at + len).min(first));
        let (near, far) = (&mut self.first[from..to], &mut self.second[at.max(first) - first..]);
        let beyond = len - near.len();
        (near, &mut far[..beyond])
    }
}
