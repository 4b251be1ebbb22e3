//! Every message and version: bytes → message → JSON, JSON → message → bytes.

use std::borrow::Cow;

use ringmain::base::TopicId;
use ringmain::protocol::{Message, Records, Writer, decode_body};
use serde_json::Value;

use crate::{from_hex, to_hex, vectors};

/// Which tagged fields a JSON form has.
#[derive(Clone, Copy, PartialEq)]
enum Tagged {
    All,
    /// Only the tagged fields that differ from their default, as Kafka's converters write them.
    Set,
}

/// A message in Kafka's JSON form (its JsonConverter classes).
trait Json<'a>: Sized {
    fn to_json(&self, version: i16, tagged: Tagged) -> Value;
    fn from_json(json: &'a Value, version: i16) -> Result<Self, String>;
}

mod generated {
    #![allow(
        clippy::all,
        clippy::pedantic,
        unused_variables,
        reason = "generated; the generator is what is reviewed"
    )]
    use super::*;

    include!(concat!(env!("OUT_DIR"), "/golden_json.rs"));

    pub(super) fn row(message: &str, version: i16, json: &Value, bytes: &[u8]) -> Result<(), String> {
        check_row(message, version, json, bytes)
    }
}

#[test]
fn every_message_in_both_directions() {
    let mut count = 0;
    for line in vectors("messages.tsv").lines().filter(|line| !line.is_empty()) {
        let [message, version, json, hex] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let json: Value = serde_json::from_str(json).unwrap();
        let version = version.parse().unwrap();
        if let Err(error) = generated::row(message, version, &json, &from_hex(hex)) {
            panic!("{message} v{version}: {error}\n{json}");
        }
        count += 1;
    }
    println!("{count} messages in both directions");
    assert!(count > 0, "there are vectors");
}

fn check<'a, M: Message<'a> + Json<'a> + PartialEq + std::fmt::Debug>(
    version: i16,
    json: &'a Value,
    bytes: &'a [u8],
) -> Result<(), String> {
    let decoded: M = decode_body(bytes, version).map_err(|error| format!("decode: {error}"))?;
    let built = M::from_json(json, version).map_err(|error| format!("from JSON: {error}"))?;
    if decoded != built {
        return Err(format!("decoded {decoded:?}\nbuilt {built:?}"));
    }
    let [least, most] = [Tagged::Set, Tagged::All].map(|tagged| decoded.to_json(version, tagged));
    if !(covers(json, &least) && covers(&most, json)) {
        return Err(format!("to JSON: {least}"));
    }
    for message in [&decoded, &built] {
        let mut writer = Writer::new();
        message.encode(&mut writer, version).map_err(|error| format!("encode: {error}"))?;
        let written: Vec<u8> = writer.into_pieces().iter().flat_map(|piece| piece.to_vec()).collect();
        if written != bytes {
            return Err(format!("wrote {}\nwanted {}", to_hex(&written), to_hex(bytes)));
        }
    }
    Ok(())
}

/// `given` says all that `ours` says. Tagged fields at their default may be there or not, so a row's JSON lies between
/// ours with the least of them and with the most.
fn covers(given: &Value, ours: &Value) -> bool {
    match (given, ours) {
        (Value::Object(given), Value::Object(ours)) => {
            ours.iter().all(|(key, value)| given.get(key).is_some_and(|it| covers(it, value)))
        }
        (Value::Array(given), Value::Array(ours)) => {
            given.len() == ours.len() && given.iter().zip(ours).all(|(given, ours)| covers(given, ours))
        }
        _ => given == ours,
    }
}

fn list(json: &Value) -> Result<&Vec<Value>, String> {
    json.as_array().ok_or_else(|| format!("{json} is no array"))
}

fn text(json: &Value) -> Result<&str, String> {
    json.as_str().ok_or_else(|| format!("{json} is no string"))
}

fn number<T: TryFrom<i64>>(json: &Value) -> Result<T, String> {
    let wide = json.as_i64().ok_or_else(|| format!("{json} is no integer"))?;
    T::try_from(wide).map_err(|_| format!("{json} is out of range"))
}

fn bytes_to_json(bytes: &[u8]) -> Value {
    Value::from(base64(bytes, STANDARD, true))
}

fn bytes_from_json(json: &Value) -> Result<Vec<u8>, String> {
    unbase64(text(json)?, STANDARD)
}

fn records_to_json(records: &Records<'_>) -> Value {
    if records.is_null() { Value::Null } else { bytes_to_json(&records.to_vec()) }
}

fn records_from_json<'a>(json: &Value) -> Result<Records<'a>, String> {
    if json.is_null() {
        return Ok(Records::Null);
    }
    Ok(Records::Gather(vec![bytes::Bytes::from(bytes_from_json(json)?).into()]))
}

fn uuid_to_json(id: &TopicId) -> Value {
    Value::from(base64(&id.0, URL_SAFE, false))
}

fn uuid_from_json(json: &Value) -> Result<TopicId, String> {
    let bytes = unbase64(text(json)?, URL_SAFE)?;
    bytes.try_into().map(TopicId).map_err(|_| format!("{json} is no uuid"))
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64(bytes: &[u8], alphabet: &[u8; 64], padded: bool) -> String {
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            if at <= group.len() {
                out.push(char::from(alphabet[(word >> (18 - 6 * at) & 63) as usize]));
            } else if padded {
                out.push('=');
            }
        }
    }
    out
}

fn unbase64(text: &str, alphabet: &[u8; 64]) -> Result<Vec<u8>, String> {
    let (mut out, mut word, mut bits) = (Vec::new(), 0u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let digit =
            alphabet.iter().position(|it| *it == letter).ok_or_else(|| format!("{text} is no base64"))?;
        word = word << 6 | u32::try_from(digit).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits & 0xFF) as u8);
        }
    }
    Ok(out)
}
