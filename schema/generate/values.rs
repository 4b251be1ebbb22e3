//! Single fields as Rust: their types and defaults, how their values are read and written.

use std::collections::BTreeMap;

use super::table::{Field, Kind, Struct, Versions};

/// What the code for one message needs to know all along.
pub struct Scope<'a> {
    pub flexible: Versions,
    pub borrows: &'a BTreeMap<String, bool>,
}
pub fn field_type(field: &Field, scope: &Scope<'_>) -> String {
    let plain = kind_type(&field.kind(), scope);
    if field.is_nullable() && field.kind() != Kind::Records { format!("Option<{plain}>") } else { plain }
}

fn kind_type(kind: &Kind, scope: &Scope<'_>) -> String {
    match kind {
        Kind::Bool => "bool".into(),
        Kind::Int8 => "i8".into(),
        Kind::Int16 => "i16".into(),
        Kind::Uint16 => "u16".into(),
        Kind::Int32 => "i32".into(),
        Kind::Uint32 => "u32".into(),
        Kind::Int64 => "i64".into(),
        Kind::Float64 => "f64".into(),
        Kind::Uuid => "TopicId".into(),
        Kind::Text => "Cow<'a, str>".into(),
        Kind::Bytes => "Cow<'a, [u8]>".into(),
        Kind::Records => "Records<'a>".into(),
        Kind::Struct(name) if scope.borrows.get(name).copied().unwrap_or(false) => format!("{name}<'a>"),
        Kind::Struct(name) => name.clone(),
        Kind::Array(element) => format!("Vec<{}>", kind_type(element, scope)),
    }
}

pub fn default_value(field: &Field) -> String {
    let text = match &field.default {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    if text == "null" {
        return if field.kind() == Kind::Records { "Records::Null".into() } else { "None".into() };
    }
    let plain = plain_default(&field.kind(), &text);
    if field.is_nullable() && field.kind() != Kind::Records { format!("Some({plain})") } else { plain }
}

fn plain_default(kind: &Kind, text: &str) -> String {
    match kind {
        Kind::Bool => {
            if text.eq_ignore_ascii_case("true") {
                "true".into()
            } else {
                "false".into()
            }
        }
        Kind::Float64 => {
            if text.is_empty() {
                "0.0".into()
            } else {
                format!("{text}f64")
            }
        }
        Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Uint32 | Kind::Int64 => {
            if text.is_empty() { "0".into() } else { text.to_owned() }
        }
        Kind::Uuid => "TopicId::ZERO".into(),
        Kind::Text => format!("Cow::Borrowed(\"{text}\")"),
        Kind::Bytes => "Cow::Borrowed(&[])".into(),
        Kind::Records => "Records::EMPTY".into(),
        Kind::Struct(name) => format!("{name}::default()"),
        Kind::Array(_) => "Vec::new()".into(),
    }
}

fn flexible_expression(field: &Field) -> &'static str {
    if field.flexible_versions.is_some_and(|it| it.bounds().is_none()) { "false" } else { "flexible" }
}

pub fn read_value(field: &Field, valid: Versions) -> String {
    let flexible = flexible_expression(field);
    let nullable = field.nullable_versions.condition_or_true(valid);
    match (field.kind(), field.is_nullable()) {
        (Kind::Text, true) => format!("reader.nullable_string({flexible}, {nullable})?"),
        (Kind::Bytes, true) => format!("reader.nullable_bytes({flexible}, {nullable})?"),
        (Kind::Records, true) => format!("reader.nullable_records({flexible}, {nullable})?"),
        (Kind::Struct(name), true) => {
            format!(
                "if reader.is_present({nullable})? {{ Some({name}::read(reader, version)?) }} else {{ None }}"
            )
        }
        (Kind::Array(element), true) => format!(
            "reader.nullable_array({flexible}, {nullable}, |reader| {})?",
            read_element(&element, flexible)
        ),
        (Kind::Array(element), false) => {
            format!("reader.array({flexible}, |reader| {})?", read_element(&element, flexible))
        }
        (kind, _) => format!("{}?", read_plain(&kind, flexible)),
    }
}

fn read_element(kind: &Kind, flexible: &str) -> String {
    read_plain(kind, flexible)
}

fn read_plain(kind: &Kind, flexible: &str) -> String {
    match kind {
        Kind::Bool => "reader.bool()".into(),
        Kind::Int8 => "reader.i8()".into(),
        Kind::Int16 => "reader.i16()".into(),
        Kind::Uint16 => "reader.u16()".into(),
        Kind::Int32 => "reader.i32()".into(),
        Kind::Uint32 => panic!("no message has uint32"),
        Kind::Int64 => "reader.i64()".into(),
        Kind::Float64 => "reader.f64()".into(),
        Kind::Uuid => "reader.uuid()".into(),
        Kind::Text => format!("reader.string({flexible})"),
        Kind::Bytes => format!("reader.bytes({flexible})"),
        Kind::Records => format!("reader.nullable_records({flexible}, false)"),
        Kind::Struct(name) => format!("{name}::read(reader, version)"),
        Kind::Array(_) => panic!("no message has arrays of arrays"),
    }
}

pub fn write_value(field: &Field, valid: Versions) -> String {
    let flexible = flexible_expression(field);
    let name = field.rust_name();
    let nullable = field.nullable_versions.condition_or_true(valid);
    match (field.kind(), field.is_nullable()) {
        (Kind::Text, true) => {
            format!("writer.nullable_string(self.{name}.as_deref(), {flexible}, {nullable})?;")
        }
        (Kind::Bytes, true) => {
            format!("writer.nullable_bytes(self.{name}.as_deref(), {flexible}, {nullable})?;")
        }
        (Kind::Records, nullable_field) => {
            let nullable = if nullable_field { nullable } else { "false".into() };
            format!("writer.records(&self.{name}, {flexible}, {nullable})?;")
        }
        (Kind::Struct(_), true) => format!(
            "writer.presence(self.{name}.is_some(), {nullable})?; if let Some(it) = &self.{name} {{ it.write(writer, version)?; }}"
        ),
        (Kind::Array(element), true) => format!(
            "writer.array_len(self.{name}.as_ref().map(Vec::len), {flexible}, {nullable})?; for it in self.{name}.iter().flatten() {{ {} }}",
            write_plain(&element, "it", true, flexible)
        ),
        (Kind::Array(element), false) => format!(
            "writer.array_len(Some(self.{name}.len()), {flexible}, false)?; for it in &self.{name} {{ {} }}",
            write_plain(&element, "it", true, flexible)
        ),
        (kind, _) => write_plain(&kind, &format!("self.{name}"), false, flexible),
    }
}

fn write_plain(kind: &Kind, place: &str, is_reference: bool, flexible: &str) -> String {
    let value = if is_reference { format!("*{place}") } else { place.to_owned() };
    match kind {
        Kind::Bool => format!("writer.bool({value});"),
        Kind::Int8 => format!("writer.i8({value});"),
        Kind::Int16 => format!("writer.i16({value});"),
        Kind::Uint16 => format!("writer.u16({value});"),
        Kind::Int32 => format!("writer.i32({value});"),
        Kind::Uint32 => panic!("no message has uint32"),
        Kind::Int64 => format!("writer.i64({value});"),
        Kind::Float64 => format!("writer.f64({value});"),
        Kind::Uuid => format!("writer.uuid({value});"),
        Kind::Text => format!("writer.string(&{place}, {flexible})?;"),
        Kind::Bytes => format!("writer.bytes(&{place}, {flexible})?;"),
        Kind::Records => format!("writer.records(&{place}, {flexible}, false)?;"),
        Kind::Struct(_) => format!("{place}.write(writer, version)?;"),
        Kind::Array(_) => panic!("no message has arrays of arrays"),
    }
}

/// A condition: the field is not its default.
pub fn differs(field: &Field) -> String {
    let name = field.rust_name();
    let default = default_value(field);
    match (field.kind(), default.as_str()) {
        (_, "None") => format!("self.{name}.is_some()"),
        (Kind::Array(_), "Vec::new()") => format!("!self.{name}.is_empty()"),
        (Kind::Bool, "false") => format!("self.{name}"),
        (Kind::Bool, "true") => format!("!self.{name}"),
        (Kind::Text, "Cow::Borrowed(\"\")") => format!("!self.{name}.is_empty()"),
        (Kind::Bytes, "Cow::Borrowed(&[])") => format!("!self.{name}.is_empty()"),
        _ => format!("self.{name} != {default}"),
    }
}

pub fn tag_present(field: &Field, valid: Versions) -> String {
    match field.tagged_versions.condition(valid) {
        None => differs(field),
        Some(condition) => format!("{condition} && {}", differs(field)),
    }
}

pub fn unsupported(it: &Struct<'_>, field: &Field) -> String {
    format!(
        "return Err(EncodeError::Unsupported {{ field: \"{}.{}\", version }});",
        it.name,
        field.rust_name()
    )
}
