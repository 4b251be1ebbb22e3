//! Inflates a batch's records piece by piece. No reader needs memory for all of them, or has to wait for all of them.
//!
//! One piece is at most what the codec works on at a time: up to 128 KiB of gzip and zstd, a block of 4 MiB at most of lz4
//! (64 KiB from Java clients), a block of any size of snappy (32 KiB from Java clients; other clients send the whole
//! batch as one). README says how long the largest take.
//!
//! Bytes after the compressed records are refused, and so is a stream that ends too early. Some codecs' libraries would
//! accept both, but the libraries of other clients do not.

use std::io::{Cursor, Read};

use bytes::{Buf, Bytes};

use super::codec::{Codec, XERIAL_MAGIC};
use super::error::{CompressionError, damaged};

const XERIAL_HEADER_BYTES: usize = 16;
/// Snappy copies at most 64 bytes per two bytes of input.
const SNAPPY_RATIO_MAX: usize = 64;
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4D, 0x18];

/// A stream of inflated bytes.
pub(super) struct Inflater {
    codec: Codec,
    stream: Stream,
    bytes: usize,
    bytes_max: usize,
}

enum Stream {
    Plain(Bytes),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Cursor<Bytes>>>),
    Snappy(Box<Snappy>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<Cursor<Bytes>>>),
    Zstd(Box<zstd::Decoder<'static, Cursor<Bytes>>>),
}

impl Inflater {
    /// Inflates `stored` to `bytes_max` at most, whatever it claims.
    pub fn new(codec: Codec, stored: Bytes, bytes_max: usize) -> Result<Inflater, CompressionError> {
        let stream = match codec {
            Codec::None => Stream::Plain(stored),
            Codec::Gzip => Stream::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(Cursor::new(stored)))),
            Codec::Snappy => Stream::Snappy(Box::new(Snappy::new(stored)?)),
            Codec::Lz4 => {
                check_lz4_frame(&stored)?;
                Stream::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(Cursor::new(stored))))
            }
            Codec::Zstd => {
                let decoder = zstd::Decoder::with_buffer(Cursor::new(stored));
                Stream::Zstd(Box::new(decoder.map_err(|error| damaged(codec, &error))?))
            }
        };
        Ok(Inflater { codec, stream, bytes: 0, bytes_max })
    }

    /// Puts the next bytes into `out` and says how many; 0 is the end.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, CompressionError> {
        let left = self.bytes_max - self.bytes;
        let result = match &mut self.stream {
            Stream::Snappy(decoder) => {
                let bytes = decoder.read(out, left).map_err(|error| match error {
                    CompressionError::Bomb { .. } => CompressionError::Bomb { bytes_max: self.bytes_max },
                    error => error,
                });
                return bytes.and_then(|bytes| self.bytes_more(bytes));
            }
            Stream::Plain(rest) => {
                let bytes = rest.len().min(out.len());
                rest.copy_to_slice(out.get_mut(..bytes).unwrap_or_default());
                Ok(bytes)
            }
            Stream::Gzip(decoder) => decoder.read(out),
            Stream::Lz4(decoder) => decoder.read(out),
            Stream::Zstd(decoder) => decoder.read(out),
        };
        let bytes = result.map_err(|error| damaged(self.codec, &error))?;
        self.bytes_more(bytes)
    }

    /// Number of bytes inflated so far.
    pub fn inflated_bytes(&self) -> usize {
        self.bytes
    }

    fn bytes_more(&mut self, bytes: usize) -> Result<usize, CompressionError> {
        if bytes > self.bytes_max - self.bytes {
            return Err(CompressionError::Bomb { bytes_max: self.bytes_max });
        }
        self.bytes += bytes;
        Ok(bytes)
    }
}

/// Snappy's blocks, read one at a time. Java clients frame them, some other clients send one raw block.
struct Snappy {
    /// Blocks that are still to be read.
    rest: Bytes,
    is_framed: bool,
    block: Vec<u8>,
    taken: usize,
}

impl Snappy {
    fn new(stored: Bytes) -> Result<Snappy, CompressionError> {
        let is_framed = stored.first_chunk() == Some(&XERIAL_MAGIC);
        let mut rest = stored;
        if is_framed {
            let header = rest.len() >= XERIAL_HEADER_BYTES;
            rest = if header { rest.slice(XERIAL_HEADER_BYTES..) } else { return Err(short("header")) };
        } else if rest.is_empty() {
            return Err(short("block"));
        }
        Ok(Snappy { rest, is_framed, block: Vec::new(), taken: 0 })
    }

    fn read(&mut self, out: &mut [u8], bytes_max: usize) -> Result<usize, CompressionError> {
        while self.taken == self.block.len() && !self.rest.is_empty() {
            let block = self.next_block()?;
            self.inflate(&block, bytes_max)?;
        }
        let ready = self.block.get(self.taken..).unwrap_or_default();
        let bytes = ready.len().min(out.len());
        out.get_mut(..bytes).unwrap_or_default().copy_from_slice(ready.get(..bytes).unwrap_or_default());
        self.taken += bytes;
        Ok(bytes)
    }

    fn next_block(&mut self) -> Result<Bytes, CompressionError> {
        if !self.is_framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        let length = self.rest.first_chunk::<4>().ok_or_else(|| short("block length"))?;
        let length = u32::from_be_bytes(*length) as usize;
        self.rest.advance(4);
        if length > self.rest.len() {
            return Err(short("block"));
        }
        Ok(self.rest.split_to(length))
    }

    fn inflate(&mut self, block: &[u8], bytes_max: usize) -> Result<(), CompressionError> {
        let inflated = snap::raw::decompress_len(block).map_err(|error| damaged(Codec::Snappy, &error))?;
        // The claimed length is believed only up to what the block could inflate to.
        if inflated > bytes_max {
            return Err(CompressionError::Bomb { bytes_max });
        }
        if inflated > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
            return Err(CompressionError::Damaged {
                codec: Codec::Snappy.name(),
                reason: format!("a block of {} bytes cannot become {inflated}", block.len()),
            });
        }
        self.block.resize(inflated, 0);
        self.taken = 0;
        let inflated = snap::raw::Decoder::new().decompress(block, &mut self.block);
        inflated.map(|_| ()).map_err(|error| damaged(Codec::Snappy, &error))
    }
}

/// Checks what the library does not check: there is exactly one whole frame, and its blocks are independent, as Java's
/// reader demands.
fn check_lz4_frame(stored: &[u8]) -> Result<(), CompressionError> {
    const BLOCK_INDEPENDENCE: u8 = 0x20;
    const BLOCK_CHECKSUM: u8 = 0x10;
    const CONTENT_SIZE: u8 = 0x08;
    const CONTENT_CHECKSUM: u8 = 0x04;
    let bad =
        |reason: &str| CompressionError::Damaged { codec: Codec::Lz4.name(), reason: reason.to_owned() };
    if stored.first_chunk() != Some(&LZ4_MAGIC) {
        return Err(bad("it does not begin as a frame does"));
    }
    let flags = *stored.get(4).ok_or_else(|| bad("its header is cut short"))?;
    if flags & BLOCK_INDEPENDENCE == 0 {
        return Err(bad("its blocks depend on each other, which Java clients cannot read"));
    }
    let size = if flags & CONTENT_SIZE == 0 { 0 } else { 8 };
    // Magic, flags, block descriptor, content size, header checksum.
    let mut rest = stored.get(7 + size..).ok_or_else(|| bad("its header is cut short"))?;
    let checksum = if flags & BLOCK_CHECKSUM == 0 { 0 } else { 4 };
    loop {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(|| bad("it has no end mark"))?;
        // The highest bit says that the block is not compressed.
        let length = u32::from_le_bytes(*length) & 0x7FFF_FFFF;
        if length == 0 {
            let checksum = if flags & CONTENT_CHECKSUM == 0 { 0 } else { 4 };
            return match after.len().cmp(&checksum) {
                std::cmp::Ordering::Less => Err(bad("its checksum is cut short")),
                std::cmp::Ordering::Equal => Ok(()),
                std::cmp::Ordering::Greater => Err(bad("bytes follow its end mark")),
            };
        }
        rest = after.get(length as usize + checksum..).ok_or_else(|| bad("a block is cut short"))?;
    }
}

fn short(what: &str) -> CompressionError {
    CompressionError::Damaged { codec: Codec::Snappy.name(), reason: format!("its {what} is cut short") }
}

/// Inflates all records at once.
pub(super) fn inflate_all(
    codec: Codec,
    stored: Bytes,
    bytes_max: usize,
) -> Result<Vec<u8>, CompressionError> {
    const PIECE_BYTES: usize = 64 * 1024;
    let mut inflater = Inflater::new(codec, stored, bytes_max)?;
    let mut inflated = Vec::new();
    loop {
        let end = inflated.len();
        inflated.resize(end + PIECE_BYTES, 0);
        let bytes = inflater.read(inflated.get_mut(end..).unwrap_or_default())?;
        inflated.truncate(end + bytes);
        if bytes == 0 {
            return Ok(inflated);
        }
    }
}
