//! Compresses a batch's records, all at once or piece by piece.

use std::io::{self, Write};

use super::codec::{Codec, XERIAL_MAGIC};
use super::error::{CompressionError, damaged};

const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// A codec and how hard it tries. Levels are the codec's own: gzip 1 to 9 (-1 is its default), zstd -131072 to 22; the other
/// codecs have none here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    pub codec: Codec,
    pub level: Option<i32>,
}

impl Compression {
    /// A codec at the level that its library chooses.
    #[must_use]
    pub fn of(codec: Codec) -> Compression {
        Compression { codec, level: None }
    }
}

/// A compressor that is fed bytes piece by piece.
pub(super) struct Deflater {
    codec: Codec,
    stream: Stream,
}

enum Stream {
    Plain(Vec<u8>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Snappy(Box<Xerial>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Deflater {
    pub fn new(compression: Compression) -> Result<Deflater, CompressionError> {
        let codec = compression.codec;
        let stream = match codec {
            Codec::None => Stream::Plain(Vec::new()),
            Codec::Gzip => {
                let level = compression.level.and_then(|level| u32::try_from(level).ok());
                let level = level.map_or_else(flate2::Compression::default, flate2::Compression::new);
                Stream::Gzip(flate2::write::GzEncoder::new(Vec::new(), level))
            }
            Codec::Snappy => Stream::Snappy(Box::new(Xerial::new())),
            Codec::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new()
                    .block_size(lz4_flex::frame::BlockSize::Max64KB)
                    .block_mode(lz4_flex::frame::BlockMode::Independent);
                Stream::Lz4(Box::new(lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new())))
            }
            Codec::Zstd => {
                let encoder = zstd_encoder(compression.level.unwrap_or(0));
                Stream::Zstd(encoder.map_err(|error| damaged(codec, &error))?)
            }
        };
        Ok(Deflater { codec, stream })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), CompressionError> {
        let result = match &mut self.stream {
            Stream::Plain(out) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Stream::Gzip(encoder) => encoder.write_all(bytes),
            Stream::Snappy(encoder) => encoder.write(bytes),
            Stream::Lz4(encoder) => encoder.write_all(bytes),
            Stream::Zstd(encoder) => encoder.write_all(bytes),
        };
        result.map_err(|error| damaged(self.codec, &error))
    }

    /// Number of compressed bytes so far. Codecs hold back a part of what they were given.
    pub fn len(&self) -> usize {
        match &self.stream {
            Stream::Plain(out) => out.len(),
            Stream::Gzip(encoder) => encoder.get_ref().len(),
            Stream::Snappy(encoder) => encoder.out.len(),
            Stream::Lz4(encoder) => encoder.get_ref().len(),
            Stream::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    pub fn finish(self) -> Result<Vec<u8>, CompressionError> {
        let result = match self.stream {
            Stream::Plain(out) => Ok(out),
            Stream::Gzip(encoder) => encoder.finish(),
            Stream::Snappy(encoder) => encoder.finish(),
            Stream::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Stream::Zstd(encoder) => encoder.finish(),
        };
        result.map_err(|error| damaged(self.codec, &error))
    }
}

/// An encoder whose window is never larger than that of the default level. At the highest levels the window would take up
/// to a gibibyte of memory, which no batch fills.
fn zstd_encoder(level: i32) -> io::Result<zstd::Encoder<'static, Vec<u8>>> {
    const WINDOW_LOG: u32 = 21;
    const DEFAULT_LEVEL: i32 = 3;
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    if level > DEFAULT_LEVEL {
        encoder.window_log(WINDOW_LOG)?;
    }
    Ok(encoder)
}

/// Snappy in Java's frame: blocks of 32 KiB, each with its length before it.
struct Xerial {
    out: Vec<u8>,
    block: Vec<u8>,
}

impl Xerial {
    fn new() -> Xerial {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&XERIAL_MAGIC);
        out.extend_from_slice(&1u32.to_be_bytes());
        out.extend_from_slice(&1u32.to_be_bytes());
        Xerial { out, block: Vec::with_capacity(XERIAL_BLOCK_BYTES) }
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(XERIAL_BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = rest;
            if self.block.len() == XERIAL_BLOCK_BYTES {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let packed = snap::raw::Encoder::new().compress_vec(&self.block).map_err(io::Error::other)?;
        let length = u32::try_from(packed.len()).map_err(io::Error::other)?;
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(&packed);
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decompress;

    #[test]
    fn every_level_makes_what_can_be_read() {
        let records: Vec<u8> = (0..50_000u32).flat_map(|number| (number / 3).to_le_bytes()).collect();
        let levels = [-1, 1, 9].map(|level| (Codec::Gzip, level));
        let levels = levels.into_iter().chain([-131_072, -5, 1, 3, 19, 22].map(|level| (Codec::Zstd, level)));
        for (codec, level) in levels {
            let mut deflater = Deflater::new(Compression { codec, level: Some(level) }).expect("a level");
            records.chunks(7_000).for_each(|piece| deflater.write(piece).expect("compresses"));
            let stored = deflater.finish().expect("compresses");
            assert!(stored.len() < records.len() || level < 0, "{codec:?} {level}");
            assert_eq!(decompress(codec, &stored).as_deref(), Ok(&*records), "{codec:?} {level}");
        }
    }
}
