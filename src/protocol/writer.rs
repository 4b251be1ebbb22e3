//! Encodes messages into bytes and a gather list of payloads.

use bytes::{BufMut, BytesMut};

use crate::base::{Payload, TopicId, joined, varint};

/// Record batches in a message: borrowed from a frame, or pieces of memory that are sent from where they lie.
#[derive(Clone, Debug, Default)]
pub enum Records<'a> {
    #[default]
    Null,
    Borrowed(&'a [u8]),
    Gather(Vec<Payload>),
}

impl Records<'_> {
    pub const EMPTY: Records<'static> = Records::Borrowed(&[]);

    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Records::Null => 0,
            Records::Borrowed(bytes) => bytes.len(),
            Records::Gather(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Records::Null)
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (whole, pieces): (&[u8], &[Payload]) = match self {
            Records::Null => (&[], &[]),
            Records::Borrowed(bytes) => (bytes, &[]),
            Records::Gather(pieces) => (&[], pieces),
        };
        std::iter::once(whole).chain(pieces.iter().map(|piece| &**piece))
    }

    /// The bytes in one piece; for tests and clients.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        joined(&self.pieces().collect::<Vec<_>>())
    }
}

impl PartialEq for Records<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is_null() == other.is_null() && self.pieces().flatten().eq(other.pieces().flatten())
    }
}

/// Why a message cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{field} is set but does not exist in version {version}")]
    Unsupported { field: &'static str, version: i16 },
    #[error("a field that must not be null in this version is")]
    Null,
    #[error("{0} bytes or elements are more than the field can count")]
    Length(usize),
    #[error("{message} has no version {version}")]
    Version { message: &'static str, version: i16 },
}

/// Bytes written so far, and the payloads that go between them.
#[derive(Debug, Default)]
pub struct Writer {
    head: BytesMut,
    /// Ascending positions in `head`, each with the payload that goes there.
    cuts: Vec<(usize, Payload)>,
}

impl Writer {
    #[must_use]
    pub fn new() -> Writer {
        Writer::default()
    }

    #[must_use]
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { head: BytesMut::with_capacity(bytes), cuts: Vec::new() }
    }

    /// Number of bytes, payloads included.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.head.len() + self.cuts.iter().map(|(_, payload)| payload.len()).sum::<usize>()
    }

    /// Overwrites the four bytes at the front with the length of what follows them.
    pub(super) fn set_size_prefix(&mut self) -> Result<(), EncodeError> {
        let size = self.total_len() - 4;
        let prefix = i32::try_from(size).map_err(|_| EncodeError::Length(size))?;
        self.head[..4].copy_from_slice(&prefix.to_be_bytes());
        Ok(())
    }

    /// The pieces in order; none is empty.
    #[must_use]
    pub fn into_pieces(self) -> Vec<Payload> {
        let mut head = self.head.freeze();
        let mut pieces = Vec::with_capacity(self.cuts.len() * 2 + 1);
        let mut done = 0;
        for (at, payload) in self.cuts {
            if at > done {
                pieces.push(Payload::Bytes(head.split_to(at - done)));
                done = at;
            }
            pieces.push(payload);
        }
        if !head.is_empty() {
            pieces.push(Payload::Bytes(head));
        }
        pieces
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.head.put_u8(u8::from(value));
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.head.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.head.put_i16(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.head.put_u16(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.head.put_i32(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.head.put_i64(value);
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.head.put_f64(value);
    }

    pub(crate) fn uuid(&mut self, value: TopicId) {
        self.head.put_slice(&value.0);
    }

    fn unsigned_varint(&mut self, value: usize) -> Result<(), EncodeError> {
        let value = u32::try_from(value).map_err(|_| EncodeError::Length(value))?;
        varint::write_u32(&mut self.head, value);
        Ok(())
    }

    pub(crate) fn nullable_string(
        &mut self,
        value: Option<&str>,
        flexible: bool,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(text) => self.string(text, flexible),
            None if !nullable => Err(EncodeError::Null),
            None if flexible => self.unsigned_varint(0),
            None => {
                self.i16(-1);
                Ok(())
            }
        }
    }

    pub(crate) fn string(&mut self, text: &str, flexible: bool) -> Result<(), EncodeError> {
        let length = i16::try_from(text.len()).map_err(|_| EncodeError::Length(text.len()))?;
        if flexible {
            self.unsigned_varint(text.len() + 1)?;
        } else {
            self.i16(length);
        }
        self.head.put_slice(text.as_bytes());
        Ok(())
    }

    pub(crate) fn nullable_bytes(
        &mut self,
        value: Option<&[u8]>,
        flexible: bool,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        self.array_len(value.map(<[u8]>::len), flexible, nullable)?;
        self.head.put_slice(value.unwrap_or(&[]));
        Ok(())
    }

    pub(crate) fn bytes(&mut self, value: &[u8], flexible: bool) -> Result<(), EncodeError> {
        self.nullable_bytes(Some(value), flexible, false)
    }

    /// The length of an array or of bytes.
    pub(crate) fn array_len(
        &mut self,
        length: Option<usize>,
        flexible: bool,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match length {
            None if !nullable => Err(EncodeError::Null),
            None if flexible => self.unsigned_varint(0),
            Some(length) if flexible => self.unsigned_varint(length + 1),
            None => {
                self.i32(-1);
                Ok(())
            }
            Some(length) => {
                self.i32(i32::try_from(length).map_err(|_| EncodeError::Length(length))?);
                Ok(())
            }
        }
    }

    pub(crate) fn records(
        &mut self,
        records: &Records<'_>,
        flexible: bool,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        self.array_len((!records.is_null()).then(|| records.len()), flexible, nullable)?;
        match records {
            Records::Null => {}
            Records::Borrowed(bytes) => self.head.put_slice(bytes),
            Records::Gather(pieces) => {
                let at = self.head.len();
                let pieces = pieces.iter().filter(|piece| !piece.is_empty());
                self.cuts.extend(pieces.map(|piece| (at, piece.clone())));
            }
        }
        Ok(())
    }

    /// The byte before a nullable struct.
    pub(crate) fn presence(&mut self, present: bool, nullable: bool) -> Result<(), EncodeError> {
        match (present, nullable) {
            (true, false) => {}
            (false, false) => return Err(EncodeError::Null),
            (true, true) => self.i8(1),
            (false, true) => self.i8(-1),
        }
        Ok(())
    }

    pub(crate) fn tag_count(&mut self, count: u32) {
        varint::write_u32(&mut self.head, count);
    }

    /// Writes one tagged field with its size before it.
    pub(crate) fn tagged(
        &mut self,
        tag: u32,
        value: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut inner = Writer::new();
        value(&mut inner)?;
        varint::write_u32(&mut self.head, tag);
        self.unsigned_varint(inner.total_len())?;
        let start = self.head.len();
        self.head.put_slice(&inner.head);
        self.cuts.extend(inner.cuts.into_iter().map(|(at, payload)| (start + at, payload)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn bytes_of(writer: Writer) -> Vec<u8> {
        joined(&writer.into_pieces())
    }

    #[test]
    fn lengths_of_both_forms() {
        let check = |value: Option<&str>, flexible: bool, expected: &[u8]| {
            let mut writer = Writer::new();
            writer.nullable_string(value, flexible, true).unwrap();
            assert_eq!(bytes_of(writer), expected, "{value:?} {flexible}");
        };
        check(Some("ab"), false, &[0, 2, b'a', b'b']);
        check(Some("ab"), true, &[3, b'a', b'b']);
        check(None, false, &[0xFF, 0xFF]);
        check(None, true, &[0]);
        let mut writer = Writer::new();
        writer.nullable_bytes(None, false, true).unwrap();
        writer.nullable_bytes(Some(&[5]), true, true).unwrap();
        assert_eq!(bytes_of(writer), [0xFF, 0xFF, 0xFF, 0xFF, 2, 5]);
        let mut writer = Writer::new();
        assert_eq!(writer.string(&"a".repeat(32_768), true), Err(EncodeError::Length(32_768)));
        assert_eq!(writer.nullable_string(None, false, false), Err(EncodeError::Null));
        assert_eq!(writer.records(&Records::Null, true, false), Err(EncodeError::Null));
    }

    #[test]
    fn record_bytes_are_sent_from_where_they_are() {
        let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
        let pieces = [first.clone(), Bytes::new(), second.clone()];
        let mut writer = Writer::new();
        writer.i8(1);
        writer.records(&Records::Gather(pieces.map(Payload::from).to_vec()), true, false).unwrap();
        writer.records(&Records::EMPTY, true, false).unwrap();
        writer.i8(2);
        assert_eq!(writer.total_len(), 4 + 11);
        let sent: Vec<Payload> = writer.into_pieces();
        let places: Vec<*const u8> = sent.iter().map(|piece| piece.as_ptr()).collect();
        assert_eq!(places[1..3], [first.as_ptr(), second.as_ptr()]);
        let sent: Vec<&[u8]> = sent.iter().map(|piece| &**piece).collect();
        assert_eq!(sent, [&[1, 12][..], b"first", b"second", &[1, 2]]);
        assert!(Writer::new().into_pieces().is_empty());
    }

    #[test]
    fn a_tagged_field_says_its_size_even_around_records() {
        let mut writer = Writer::new();
        let payload = Payload::from(Bytes::from(vec![7; 200]));
        writer.tagged(3, |writer| writer.records(&Records::Gather(vec![payload]), true, false)).unwrap();
        let bytes = bytes_of(writer);
        assert_eq!(bytes[..5], [3, 0xCA, 0x01, 0xC9, 0x01]);
        assert_eq!(bytes[5..], [7; 200]);
    }

    #[test]
    fn records_are_equal_if_their_bytes_are() {
        let gathered =
            Records::Gather(vec![Bytes::from_static(b"ab").into(), Bytes::from_static(b"c").into()]);
        assert_eq!(gathered, Records::Borrowed(b"abc"));
        assert_ne!(gathered, Records::Borrowed(b"abd"));
        assert_ne!(Records::Null, Records::EMPTY);
        assert_eq!(Records::Gather(Vec::new()), Records::EMPTY);
    }
}
