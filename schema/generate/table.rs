//! The field tables as data: names, types, versions, nullability, tags, defaults.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub api_key: Option<i16>,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub valid_versions: Versions,
    pub flexible_versions: Versions,
    pub fields: Vec<Field>,
    #[serde(default)]
    pub common_structs: Vec<CommonStruct>,
}

#[derive(Debug, Deserialize)]
pub struct CommonStruct {
    pub name: String,
    pub fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default = "Versions::all")]
    pub versions: Versions,
    #[serde(default)]
    pub nullable_versions: Versions,
    #[serde(default)]
    pub tagged_versions: Versions,
    pub tag: Option<u32>,
    #[serde(default)]
    pub ignorable: bool,
    /// Some tables write no value as JSON's null, others as the word.
    #[serde(default, deserialize_with = "stated")]
    pub default: Option<serde_json::Value>,
    /// `none` where a field keeps its old form in flexible versions (only the request header's client id).
    pub flexible_versions: Option<Versions>,
    #[serde(default)]
    pub fields: Vec<Field>,
}

/// JSON's null is a value as well: serde would take it for a missing field.
fn stated<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(json).map(Some)
}

/// An inclusive range of versions, possibly empty, possibly without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Versions(Option<(i16, i16)>);

impl From<String> for Versions {
    fn from(text: String) -> Versions {
        let number =
            |part: &str| part.parse::<i16>().unwrap_or_else(|_| panic!("'{text}' is no version range"));
        if text == "none" {
            return Versions(None);
        }
        if let Some(low) = text.strip_suffix('+') {
            return Versions(Some((number(low), i16::MAX)));
        }
        match text.split_once('-') {
            Some((low, high)) => Versions(Some((number(low), number(high)))),
            None => Versions(Some((number(&text), number(&text)))),
        }
    }
}

impl Versions {
    /// A field that does not say is in every version of its struct.
    fn all() -> Versions {
        Versions(Some((0, i16::MAX)))
    }

    pub fn bounds(self) -> Option<(i16, i16)> {
        self.0
    }

    pub fn low(self) -> Option<i16> {
        self.0.map(|(low, _)| low)
    }

    pub fn intersect(self, other: Versions) -> Versions {
        match (self.0, other.0) {
            (Some((a, b)), Some((c, d))) if a.max(c) <= b.min(d) => Versions(Some((a.max(c), b.min(d)))),
            _ => Versions(None),
        }
    }

    /// A Rust condition on `version` that holds in this range, given that `valid` holds; `None` if it always does.
    pub fn condition(self, valid: Versions) -> Option<String> {
        let Some((low, high)) = self.0 else { return Some("false".into()) };
        let (valid_low, valid_high) = valid.0.unwrap_or((0, i16::MAX));
        match (low > valid_low, high < valid_high) {
            (false, false) => None,
            (true, false) => Some(format!("version >= {low}")),
            (false, true) => Some(format!("version <= {high}")),
            (true, true) if low == high => Some(format!("version == {low}")),
            (true, true) => Some(format!("({low}..={high}).contains(&version)")),
        }
    }

    pub fn condition_or_true(self, valid: Versions) -> String {
        self.condition(valid).unwrap_or_else(|| "true".into())
    }
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    Text,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Kind>),
}

impl Field {
    pub fn kind(&self) -> Kind {
        kind(&self.kind)
    }

    pub fn is_nullable(&self) -> bool {
        self.nullable_versions.bounds().is_some()
    }

    pub fn is_tagged(&self) -> bool {
        self.tagged_versions.bounds().is_some()
    }

    /// In Rust.
    pub fn rust_name(&self) -> String {
        let name = snake_case(&self.name);
        if matches!(name.as_str(), "type" | "match" | "ref" | "use" | "move" | "loop") {
            format!("{name}_")
        } else {
            name
        }
    }

    /// In Kafka's JSON form.
    pub fn json_name(&self) -> String {
        let mut letters = self.name.chars();
        letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
    }
}

fn kind(text: &str) -> Kind {
    match text {
        "bool" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "uint16" => Kind::Uint16,
        "int32" => Kind::Int32,
        "uint32" => Kind::Uint32,
        "int64" => Kind::Int64,
        "float64" => Kind::Float64,
        "uuid" => Kind::Uuid,
        "string" => Kind::Text,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        other => match other.strip_prefix("[]") {
            Some(element) => Kind::Array(Box::new(kind(element))),
            None => Kind::Struct(other.to_owned()),
        },
    }
}

/// A struct of a message: its top, one nested in a field, or a common one.
pub struct Struct<'a> {
    pub name: &'a str,
    pub fields: &'a [Field],
    pub valid: Versions,
}

impl Message {
    /// All structs, the top first.
    pub fn structs(&self) -> Vec<Struct<'_>> {
        let mut found = vec![Struct { name: &self.name, fields: &self.fields, valid: self.valid_versions }];
        for common in &self.common_structs {
            found.push(Struct { name: &common.name, fields: &common.fields, valid: self.valid_versions });
        }
        let mut at = 0;
        while at < found.len() {
            let (fields, valid) = (found[at].fields, found[at].valid);
            for field in fields.iter().filter(|field| !field.fields.is_empty()) {
                let name = match field.kind.strip_prefix("[]") {
                    Some(element) => element,
                    None => &field.kind,
                };
                found.push(Struct { name, fields: &field.fields, valid: field.versions.intersect(valid) });
            }
            at += 1;
        }
        found
    }

    /// Which structs hold borrowed bytes, directly or inside.
    pub fn borrowing(&self) -> BTreeMap<String, bool> {
        let structs = self.structs();
        let mut known: BTreeMap<String, bool> =
            structs.iter().map(|it| (it.name.to_owned(), false)).collect();
        loop {
            let mut changed = false;
            for it in &structs {
                let borrows = it.fields.iter().any(|field| holds_bytes(&field.kind(), &known));
                if borrows && !known[it.name] {
                    known.insert(it.name.to_owned(), true);
                    changed = true;
                }
            }
            if !changed {
                return known;
            }
        }
    }
}

fn holds_bytes(kind: &Kind, known: &BTreeMap<String, bool>) -> bool {
    match kind {
        Kind::Text | Kind::Bytes | Kind::Records => true,
        Kind::Struct(name) => known.get(name).copied().unwrap_or(false),
        Kind::Array(element) => holds_bytes(element, known),
        _ => false,
    }
}

pub fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && !letters[index - 1].is_uppercase();
        let before_lower = index > 0 && letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_lower || before_lower) && index > 0 {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// Every message of a folder, by name.
pub fn read_folder(folder: &Path) -> Vec<Message> {
    let mut messages = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("the folder is readable").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text =
                std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let message: Message =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            messages.push(message);
        }
    }
    messages.sort_by(|a, b| a.name.cmp(&b.name));
    messages
}
