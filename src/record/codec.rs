//! The codecs of a batch's records, by their numbers and names.

/// The bits of a batch's attributes that hold its codec.
pub(super) const CODEC_MASK: i16 = 0x07;

/// Snappy as Java frames it ("Xerial"): magic, version, compatible version, then length-prefixed raw blocks.
pub(super) const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// Compression of a batch's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[must_use]
    pub fn from_attributes(attributes: i16) -> Option<Codec> {
        Self::ALL.get(usize::try_from(attributes & CODEC_MASK).ok()?).copied()
    }

    #[must_use]
    pub fn attribute(self) -> i16 {
        self as i16
    }

    /// Kafka's name, as in `compression.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Codec> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}
