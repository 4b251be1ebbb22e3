//! The five codecs, both ways, for whole batches. Inflating is bounded by [`INFLATED_BYTES_MAX`], whatever a batch claims.

use bytes::Bytes;

use super::codec::Codec;
use super::deflate::{Compression, Deflater};
use super::error::CompressionError;
use super::inflate::inflate_all;

/// Most bytes that a batch may inflate to, for any reader: lookups, compaction, tools. No broker takes a larger one, since
/// `ringmain.inflated.batch.max.bytes` cannot be set higher.
pub const INFLATED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Compresses a batch's records.
pub fn compress(codec: Codec, records: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let mut deflater = Deflater::new(Compression::of(codec))?;
    deflater.write(records)?;
    deflater.finish()
}

/// Inflates a batch's records.
pub fn decompress(codec: Codec, stored: &[u8]) -> Result<Vec<u8>, CompressionError> {
    decompress_within(codec, stored, INFLATED_BYTES_MAX)
}

/// Inflates anything, to `bytes_max` at most.
pub fn decompress_within(codec: Codec, stored: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    inflate_all(codec, Bytes::copy_from_slice(stored), bytes_max)
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
        let zeros = vec![0; 3 * 1024 * 1024];
        for codec in Codec::ALL {
            let stored = compress(codec, &zeros).expect("compresses");
            assert_eq!(decompress_within(codec, &stored, zeros.len()).as_deref(), Ok(&*zeros), "{codec:?}");
            let bytes_max = zeros.len() - 1;
            let result = decompress_within(codec, &stored, bytes_max);
            assert_eq!(result, Err(CompressionError::Bomb { bytes_max }), "{codec:?}");
        }
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_refused() {
        let records: Vec<u8> = (0..200_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let stored = compress(codec, &records).expect("compresses");
            let near_the_ends = (0..200).chain(stored.len() - 200..stored.len());
            for cut in near_the_ends.chain((200..stored.len() - 200).step_by(997)) {
                // Between two blocks of snappy's frame nothing says that more should follow; the records will be missed.
                let is_refused = decompress(codec, &stored[..cut]).is_err();
                assert!(is_refused || codec == Codec::Snappy, "{codec:?} cut at {cut} of {}", stored.len());
            }
            for more in [&b"x"[..], &[0], &[0; 40]] {
                let longer = [&stored[..], more].concat();
                assert!(decompress(codec, &longer).is_err(), "{codec:?} with {} bytes more", more.len());
            }
        }
    }
}
