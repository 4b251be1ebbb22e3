//! Bounded, borrowing decode.

use std::borrow::Cow;

use crate::base::{TopicId, varint};

use super::writer::Records;

/// No message nests deeper than six.
const DEPTH_MAX: u32 = 16;
/// Clients send at most a handful.
const TAGGED_FIELDS_MAX: u32 = 1024;
/// Room reserved for an array before its elements have been seen, whatever its length claims: elements of our own take
/// more memory than on the wire, so growth beyond this is paid for by bytes that really came.
const ELEMENTS_RESERVED_MAX: usize = 64;

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
}

/// Walks over a message's bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, depth: 0 }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Ends the reading: nothing may be left.
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

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
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
        let mut elements = Vec::with_capacity(length.min(ELEMENTS_RESERVED_MAX));
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

    /// Reads tagged fields; `field` says whether it knows a tag. Tags ascend; unknown ones are skipped.
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
            let mut inner = Reader { rest: self.take(size)?, depth: self.depth };
            if field(&mut inner, tag)? {
                inner.finish()?;
            }
        }
        Ok(())
    }

    /// Skips tagged fields of which none is known.
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }
}
