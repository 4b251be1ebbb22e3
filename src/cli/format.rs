//! How `consume` writes a record: a format string as kcat's, or JSON.
//!
//! %t topic, %p partition, %o offset, %k key, %K its length, %s value, %S its length, %T timestamp in ms, %h headers,
//! %R the value's length as four bytes, %% a percent sign; escapes \n \t \r \0 \\ \xHH. A length is -1 for null.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::client::ConsumedRecord;

use super::remote::escape;

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    parts: Vec<Part>,
    /// The text that is written for a null key, value or header value.
    null: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    KeyLength,
    Value,
    ValueLength,
    ValueLengthBytes,
    Timestamp,
    Headers,
}

impl Format {
    /// Reads a format string; `null` is written for what is null.
    pub fn parse(text: &str, null: &[u8]) -> Result<Format, String> {
        let mut format = Format { parts: Vec::new(), null: null.to_vec() };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let used = match first {
                '%' => format.directive(rest)?,
                '\\' => {
                    let (byte, used) = escape(rest)?;
                    format.text(&[byte]);
                    used
                }
                other => {
                    format.text(&rest.as_bytes()[..other.len_utf8()]);
                    other.len_utf8()
                }
            };
            rest = &rest[used..];
        }
        Ok(format)
    }

    /// Writes one record.
    pub fn write(&self, record: &ConsumedRecord<'_>, out: &mut impl Write) -> io::Result<()> {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.write_all(text)?,
                Part::Topic => out.write_all(record.topic.as_bytes())?,
                Part::Partition => write!(out, "{}", record.partition)?,
                Part::Offset => write!(out, "{}", record.offset)?,
                Part::Key => out.write_all(record.key.unwrap_or(&self.null))?,
                Part::KeyLength => write!(out, "{}", length(record.key))?,
                Part::Value => out.write_all(record.value.unwrap_or(&self.null))?,
                Part::ValueLength => write!(out, "{}", length(record.value))?,
                Part::ValueLengthBytes => out.write_all(&length(record.value).to_be_bytes())?,
                Part::Timestamp => write!(out, "{}", record.timestamp)?,
                Part::Headers => self.write_headers(record, out)?,
            }
        }
        Ok(())
    }

    fn write_headers(&self, record: &ConsumedRecord<'_>, out: &mut impl Write) -> io::Result<()> {
        for (index, (key, value)) in record.headers.iter().enumerate() {
            out.write_all(if index == 0 { b"" } else { b"," })?;
            out.write_all(key)?;
            out.write_all(b"=")?;
            out.write_all(value.unwrap_or(b"NULL"))?;
        }
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) {
        match self.parts.last_mut() {
            Some(Part::Text(text)) => text.extend_from_slice(bytes),
            _ => self.parts.push(Part::Text(bytes.to_vec())),
        }
    }

    /// Adds the directive at the front of `text` and returns its length.
    fn directive(&mut self, text: &str) -> Result<usize, String> {
        let part = match text[1..].chars().next() {
            Some('t') => Part::Topic,
            Some('p') => Part::Partition,
            Some('o') => Part::Offset,
            Some('k') => Part::Key,
            Some('K') => Part::KeyLength,
            Some('s') => Part::Value,
            Some('S') => Part::ValueLength,
            Some('R') => Part::ValueLengthBytes,
            Some('T') => Part::Timestamp,
            Some('h') => Part::Headers,
            Some('%') => {
                self.text(b"%");
                return Ok(2);
            }
            _ => return Err(format!("`{text}` does not begin with one of %t %p %o %k %K %s %S %R %T %h %%")),
        };
        self.parts.push(part);
        Ok(2)
    }
}

/// One record as one line of JSON, in kcat's names. Bytes that are no UTF-8 come as `…_hex`.
pub fn write_json(record: &ConsumedRecord<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut object = Map::new();
    object.insert("topic".to_owned(), json!(record.topic));
    object.insert("partition".to_owned(), json!(record.partition.0));
    object.insert("offset".to_owned(), json!(record.offset.0));
    object.insert("tstype".to_owned(), json!(if record.is_log_append_time { "logappend" } else { "create" }));
    object.insert("ts".to_owned(), json!(record.timestamp.0));
    let headers: Vec<Value> = record
        .headers
        .iter()
        .flat_map(|(key, value)| {
            [json!(String::from_utf8_lossy(key)), json!(value.map(String::from_utf8_lossy))]
        })
        .collect();
    if !headers.is_empty() {
        object.insert("headers".to_owned(), headers.into());
    }
    insert_bytes(&mut object, "key", record.key);
    insert_bytes(&mut object, "payload", record.value);
    serde_json::to_writer(&mut *out, &object)?;
    out.write_all(b"\n")
}

fn insert_bytes(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), json!(text)),
        Some(Err(bytes)) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            object.insert(format!("{name}_hex"), json!(hex))
        }
    };
}

fn length(bytes: Option<&[u8]>) -> i32 {
    bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use crate::base::{Offset, PartitionIndex, TimestampMs};

    use super::*;

    fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> ConsumedRecord<'a> {
        ConsumedRecord {
            topic: "flights",
            partition: PartitionIndex(3),
            offset: Offset(42),
            timestamp: TimestampMs(1700),
            is_log_append_time: false,
            key,
            value,
            headers: vec![(b"a", Some(b"1")), (b"b", None)],
        }
    }

    #[test]
    fn formats_are_those_of_kcat() {
        let check = |format: &str, expected: &[u8]| {
            let format = Format::parse(format, b"NULL").expect("a format");
            let mut out = Vec::new();
            format.write(&record(None, Some(b"value")), &mut out).expect("memory takes all");
            assert_eq!(out, expected, "{}", String::from_utf8_lossy(&out));
        };
        check("%s\\n", b"value\n");
        check("%t[%p]@%o %T: %k (%K) = %s (%S)\\t%%", b"flights[3]@42 1700: NULL (-1) = value (5)\t%");
        check("%h|\\x41é", "a=1,b=NULL|Aé".as_bytes());
        check("%R%s", b"\0\0\0\x05value");
        for bad in ["%z", "%", "\\q", "a\\"] {
            assert!(Format::parse(bad, b"").is_err(), "{bad}");
        }
    }

    #[test]
    fn json_says_what_is_null_and_what_is_no_text() {
        let mut out = Vec::new();
        write_json(&record(None, Some(&[0xff, 0x00])), &mut out).expect("memory takes all");
        let value: Value = serde_json::from_slice(&out).expect("it is JSON");
        assert_eq!(value["key"], Value::Null);
        assert_eq!(value["payload_hex"], "ff00");
        assert_eq!(value["headers"], json!(["a", "1", "b", null]));
        assert_eq!(value["offset"], 42);
    }
}
