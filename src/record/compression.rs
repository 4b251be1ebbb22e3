//! The five codecs, both ways. Inflating is bounded: a batch may become at most [`INFLATED_BYTES_MAX`] bytes and at most
//! [`INFLATE_RATIO_MAX`] times its size (but always at least a mebibyte), whatever its frames claim.

use std::io::{self, Read, Write};

use super::batch::Codec;

pub const INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Repetitive JSON reaches a few hundred in zstd; bombs reach tens of thousands.
pub const INFLATE_RATIO_MAX: usize = 1024;
const INFLATED_BYTES_ALWAYS: usize = 1024 * 1024;
/// Snappy as Java frames it ("Xerial"): magic, version, compatible version, then length-prefixed raw blocks.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    #[error("the {codec} data is damaged: {reason}")]
    Damaged { codec: &'static str, reason: String },
    #[error("the data inflates beyond {bytes_max} bytes")]
    Bomb { bytes_max: usize },
}

/// Compresses a batch's records.
pub fn compress(codec: Codec, records: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let result = match codec {
        Codec::None => Ok(records.to_vec()),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(records).and_then(|()| encoder.finish())
        }
        Codec::Snappy => xerial(records),
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(records).and_then(|()| encoder.finish().map_err(io::Error::other))
        }
        Codec::Zstd => zstd::encode_all(records, 0),
    };
    result.map_err(|error| damaged(codec, &error))
}

/// Inflates a batch's records.
pub fn decompress(codec: Codec, stored: &[u8]) -> Result<Vec<u8>, CompressionError> {
    if codec == Codec::None {
        return Ok(stored.to_vec());
    }
    let bytes_max =
        stored.len().saturating_mul(INFLATE_RATIO_MAX).clamp(INFLATED_BYTES_ALWAYS, INFLATED_BYTES_MAX);
    decompress_within(codec, stored, bytes_max)
}

/// Inflates anything, to `bytes_max` at most.
pub fn decompress_within(codec: Codec, stored: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Codec::None if stored.len() > bytes_max => Err(CompressionError::Bomb { bytes_max }),
        Codec::None => Ok(stored.to_vec()),
        Codec::Gzip => read_bounded(codec, flate2::read::MultiGzDecoder::new(stored), bytes_max),
        Codec::Snappy => unsnap(stored, bytes_max),
        Codec::Lz4 => read_bounded(codec, lz4_flex::frame::FrameDecoder::new(stored), bytes_max),
        Codec::Zstd => {
            let decoder = zstd::Decoder::new(stored).map_err(|error| damaged(codec, &error))?;
            read_bounded(codec, decoder, bytes_max)
        }
    }
}

fn read_bounded(codec: Codec, reader: impl Read, bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut inflated = Vec::new();
    reader.take(bytes_max as u64 + 1).read_to_end(&mut inflated).map_err(|error| damaged(codec, &error))?;
    if inflated.len() > bytes_max {
        return Err(CompressionError::Bomb { bytes_max });
    }
    Ok(inflated)
}

fn xerial(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(records.len() / 2 + 64);
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1u32.to_be_bytes());
    out.extend_from_slice(&1u32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in records.chunks(XERIAL_BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(io::Error::other)?;
        let length = u32::try_from(packed.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(out)
}

/// Java frames snappy, some clients send it raw: both are read.
fn unsnap(stored: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    if stored.first_chunk() != Some(&XERIAL_MAGIC) {
        let mut out = Vec::new();
        unsnap_block(stored, bytes_max, &mut out)?;
        return Ok(out);
    }
    let mut rest = stored.get(XERIAL_HEADER_BYTES..).ok_or_else(|| short("header"))?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(|| short("block length"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let (block, after) = after.split_at_checked(length).ok_or_else(|| short("block"))?;
        unsnap_block(block, bytes_max, &mut out)?;
        rest = after;
    }
    Ok(out)
}

fn unsnap_block(block: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let inflated = snap::raw::decompress_len(block).map_err(|error| damaged(Codec::Snappy, &error))?;
    // The claimed length is believed only as far as the block could possibly reach: snappy copies at most 64 bytes per
    // two bytes of input.
    if out.len() + inflated > bytes_max || inflated > block.len().saturating_mul(64) {
        return Err(CompressionError::Bomb { bytes_max });
    }
    let start = out.len();
    out.resize(start + inflated, 0);
    let target = out.get_mut(start..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(block, target).map_err(|error| damaged(Codec::Snappy, &error))?;
    Ok(())
}

fn short(what: &str) -> CompressionError {
    CompressionError::Damaged { codec: Codec::Snappy.name(), reason: format!("its {what} is cut short") }
}

fn damaged(codec: Codec, error: &dyn std::error::Error) -> CompressionError {
    CompressionError::Damaged { codec: codec.name(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_round_trips_and_damage_never_panics() {
        let records: Vec<u8> = (0..100_000u32).map(|i| (i / 100).to_le_bytes()[0]).collect();
        for codec in Codec::ALL {
            let stored = compress(codec, &records).expect("compresses");
            assert_eq!(decompress(codec, &stored).expect("inflates"), records, "{codec:?}");
            for cut in (0..stored.len()).step_by(stored.len() / 50 + 1) {
                let mut bad = stored.clone();
                bad[cut] ^= 0x55;
                let _ = decompress(codec, &bad);
                let _ = decompress(codec, &stored[..cut]);
            }
        }
        let raw = snap::raw::Encoder::new().compress_vec(&records).expect("compresses");
        assert_eq!(decompress(Codec::Snappy, &raw).expect("raw snappy is read too"), records);
    }

    #[test]
    fn bombs_are_refused() {
        let zeros = vec![0; 70 * 1024 * 1024];
        for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
            let stored = compress(codec, &zeros).expect("compresses");
            assert!(matches!(decompress(codec, &stored), Err(CompressionError::Bomb { .. })), "{codec:?}");
        }
    }
}
