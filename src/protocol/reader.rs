//! Bounded, borrowing decode.

use std::borrow::Cow;

use crate::base::{TopicId, varint};

use super::writer::Records;

/// Deepest nesting that is decoded; no message of Kafka nests deeper than six.
const DEPTH_MAX: u32 = 16;
/// Most tagged fields in one place; clients send at most a handful.
const TAGGED_FIELDS_MAX: u32 = 1024;
/// Memory that the arrays of a message may take, for each byte of the message. An element may be one byte on the wire and
/// much more in memory (an empty string is 24 bytes). Elements of ordinary messages take less than 14 times their bytes.
const MEMORY_PER_BYTE: usize = 14;
/// Memory that the arrays of a message may take besides.
const MEMORY_FREE: usize = 32 * 1024;

/// Why bytes are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the message ends {missing} bytes early")]
    Short { missing: usize },
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    #[error("length {0} makes no sense here")]
    Length(i64),
    #[error("a variable-length number is malformed")]
    Varint,
    #[error("a string is not UTF-8")]
    Utf8,
    #[error("a field that must not be null is")]
    Null,
    #[error("tagged field {0} is out of order or there twice")]
    TagOrder(u32),
    #[error("{0} tagged fields are too many")]
    TagCount(u32),
    #[error("the message nests too deep")]
    Depth,
    #[error("{elements} elements would take more memory than a message of this size may")]
    Memory { elements: usize },
    #[error("{message} has no version {version}")]
    Version { message: &'static str, version: i16 },
}

/// Walks over a message's bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
    /// Bytes of memory that arrays may still take.
    memory: usize,
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        let memory = bytes.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FREE);
        Reader { rest: bytes, depth: 0, memory }
    }

    /// The bytes that have not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading. Bytes that are left are an error.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.rest.len())) }
    }

    pub(crate) fn enter(&mut self) -> Result<(), DecodeError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(DecodeError::Depth) } else { Ok(()) }
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let missing = DecodeError::Short { missing: count.saturating_sub(self.rest.len()) };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(missing)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let missing = DecodeError::Short { missing: N.saturating_sub(self.rest.len()) };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(missing)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        self.i8().map(|byte| byte != 0)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array_of().map(i8::from_be_bytes)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array_of().map(i16::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array_of().map(u16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array_of().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array_of().map(i64::from_be_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array_of().map(f64::from_be_bytes)
    }

    pub(crate) fn uuid(&mut self) -> Result<TopicId, DecodeError> {
        self.array_of().map(TopicId)
    }

    fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let (value, used) = varint::read_u32(self.rest).ok_or(DecodeError::Varint)?;
        self.take(used)?;
        Ok(value)
    }

    /// A length in compact form (plus one, 0 is null) or as the number `plain` reads (-1 is null).
    fn length(
        &mut self,
        flexible: bool,
        plain: impl FnOnce(&mut Self) -> Result<i64, DecodeError>,
    ) -> Result<Option<usize>, DecodeError> {
        let length = if flexible { i64::from(self.unsigned_varint()?) - 1 } else { plain(self)? };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| DecodeError::Length(length)),
        }
    }

    pub(crate) fn nullable_string(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self.length(flexible, |reader| reader.i16().map(i64::from))? {
            None if nullable => Ok(None),
            None => Err(DecodeError::Null),
            Some(length) if length > i16::MAX as usize => Err(DecodeError::Length(length as i64)),
            Some(length) => {
                let text = std::str::from_utf8(self.take(length)?).map_err(|_| DecodeError::Utf8)?;
                Ok(Some(Cow::Borrowed(text)))
            }
        }
    }

    pub(crate) fn string(&mut self, flexible: bool) -> Result<Cow<'a, str>, DecodeError> {
        self.nullable_string(flexible, false)?.ok_or(DecodeError::Null)
    }

    pub(crate) fn nullable_bytes(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        match self.length(flexible, |reader| reader.i32().map(i64::from))? {
            None if nullable => Ok(None),
            None => Err(DecodeError::Null),
            Some(length) => self.take(length).map(|bytes| Some(Cow::Borrowed(bytes))),
        }
    }

    pub(crate) fn bytes(&mut self, flexible: bool) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.nullable_bytes(flexible, false)?.ok_or(DecodeError::Null)
    }

    pub(crate) fn nullable_records(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Records<'a>, DecodeError> {
        match self.length(flexible, |reader| reader.i32().map(i64::from))? {
            None if nullable => Ok(Records::Null),
            None => Err(DecodeError::Null),
            Some(length) => self.take(length).map(Records::Borrowed),
        }
    }

    pub(crate) fn nullable_array<T>(
        &mut self,
        flexible: bool,
        nullable: bool,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(length) = self.length(flexible, |reader| reader.i32().map(i64::from))? else {
            return if nullable { Ok(None) } else { Err(DecodeError::Null) };
        };
        // Every element takes at least a byte.
        if length > self.rest.len() {
            return Err(DecodeError::Short { missing: length - self.rest.len() });
        }
        let left = length.checked_mul(size_of::<T>()).and_then(|taken| self.memory.checked_sub(taken));
        self.memory = left.ok_or(DecodeError::Memory { elements: length })?;
        let mut elements = Vec::with_capacity(length);
        for _ in 0..length {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    pub(crate) fn array<T>(
        &mut self,
        flexible: bool,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.nullable_array(flexible, false, element)?.ok_or(DecodeError::Null)
    }

    /// The byte before a nullable struct.
    pub(crate) fn is_present(&mut self, nullable: bool) -> Result<bool, DecodeError> {
        if !nullable {
            return Ok(true);
        }
        match self.i8()? {
            -1 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Length(i64::from(other))),
        }
    }

    /// Reads tagged fields, in ascending order of tags. `field` says whether it knows a tag; unknown ones are skipped.
    pub(crate) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(&mut Reader<'a>, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()?;
        if count > TAGGED_FIELDS_MAX {
            return Err(DecodeError::TagCount(count));
        }
        let mut previous = None;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            if previous.is_some_and(|previous| previous >= tag) {
                return Err(DecodeError::TagOrder(tag));
            }
            previous = Some(tag);
            let size = self.unsigned_varint()? as usize;
            let mut inner = Reader { rest: self.take(size)?, depth: self.depth, memory: self.memory };
            if field(&mut inner, tag)? {
                inner.finish()?;
            }
            self.memory = inner.memory;
        }
        Ok(())
    }

    /// Skips all tagged fields, for messages that know none.
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Error = Option<DecodeError>;

    #[test]
    fn strings_of_both_forms() {
        let check = |bytes: &[u8], flexible: bool, expected: Result<Option<&str>, DecodeError>| {
            let read = Reader::new(bytes).nullable_string(flexible, true);
            assert_eq!(read, expected.map(|text| text.map(Cow::Borrowed)), "{bytes:?} {flexible}");
        };
        check(&[0, 2, b'a', b'b'], false, Ok(Some("ab")));
        check(&[3, b'a', b'b'], true, Ok(Some("ab")));
        check(&[0xFF, 0xFF], false, Ok(None));
        check(&[0], true, Ok(None));
        check(&[0, 0], false, Ok(Some("")));
        check(&[1], true, Ok(Some("")));
        check(&[0xFF, 0xFE], false, Err(DecodeError::Length(-2)));
        check(&[0, 3, b'a'], false, Err(DecodeError::Short { missing: 2 }));
        check(&[2, 0xC3], true, Err(DecodeError::Utf8));
        check(&[0x81, 0x80, 0x02], true, Err(DecodeError::Length(32_768)));
        check(&[0xFF; 6], true, Err(DecodeError::Varint));
        check(&[], false, Err(DecodeError::Short { missing: 2 }));
        assert_eq!(Reader::new(&[0]).string(true), Err(DecodeError::Null));
    }

    #[test]
    fn arrays_take_no_memory_their_bytes_do_not_justify() {
        let check = |bytes: &[u8], flexible: bool, expected: Error| {
            let read = Reader::new(bytes).array(flexible, |reader| reader.string(flexible));
            assert_eq!(read.err(), expected, "{} bytes", bytes.len());
        };
        check(&[0x7F, 0xFF, 0xFF, 0xFF], false, Some(DecodeError::Short { missing: 0x7FFF_FFFF }));
        check(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], true, Some(DecodeError::Short { missing: 0xFFFF_FFFE }));
        check(&[0xFF, 0xFF, 0xFF, 0xFE], false, Some(DecodeError::Length(-2)));
        check(&[0], true, Some(DecodeError::Null));
        let empty_strings = |count: u8| [vec![0xFF, count], vec![1; usize::from(count) * 128 + 126]].concat();
        check(&empty_strings(10), true, None);
        check(&empty_strings(127), true, Some(DecodeError::Memory { elements: 16_382 }));
    }

    #[test]
    fn tagged_fields_ascend_and_keep_to_their_size() {
        let check = |bytes: &[u8], expected: Error| {
            let mut seen = 0;
            let mut reader = Reader::new(bytes);
            let read = reader.tagged_fields(|reader, tag| {
                if tag == 1 {
                    seen = reader.i8()?;
                }
                Ok(tag == 1)
            });
            assert_eq!(read.and_then(|()| reader.finish()).err(), expected, "{bytes:?}");
            assert!(expected.is_some() || seen == 7 || bytes == [0], "{bytes:?}");
        };
        check(&[0], None);
        check(&[1, 1, 1, 7], None);
        check(&[3, 0, 2, 9, 9, 1, 1, 7, 5, 0], None);
        check(&[2, 1, 1, 7, 1, 1, 7], Some(DecodeError::TagOrder(1)));
        check(&[2, 5, 0, 1, 1, 7], Some(DecodeError::TagOrder(1)));
        check(&[1, 1, 2, 7, 7], Some(DecodeError::Trailing(1)));
        check(&[1, 1, 9, 7], Some(DecodeError::Short { missing: 8 }));
        check(&[0xFF, 0x7F], Some(DecodeError::TagCount(16_383)));
    }

    #[test]
    fn memory_taken_inside_a_tagged_field_counts() {
        let mut reader = Reader::new(&[1, 0, 3, 3, 1, 1]);
        let before = reader.memory;
        reader.tagged_fields(|reader, _| reader.array(true, |it| it.string(true)).map(|_| true)).unwrap();
        assert_eq!(before - reader.memory, 2 * size_of::<Cow<'_, str>>());
    }

    #[test]
    fn presence_is_one_of_two_bytes() {
        let check = |byte: u8, expected: Result<bool, DecodeError>| {
            assert_eq!(Reader::new(&[byte]).is_present(true), expected);
        };
        check(1, Ok(true));
        check(0xFF, Ok(false));
        check(0, Err(DecodeError::Length(0)));
        assert_eq!(Reader::new(&[]).is_present(false), Ok(true));
    }
}
