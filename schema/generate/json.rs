//! The messages from and to Kafka's JSON form; for the golden tests only.

use std::fmt::Write;

use super::table::{Field, Kind, Message, Struct, Versions, snake_case};

pub fn conversions(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        let module = snake_case(&message.name);
        let borrows = message.borrowing();
        for it in message.structs() {
            let life = if borrows[it.name] { "<'a>" } else { "" };
            line(
                &mut out,
                &format!(
                    "impl<'a> Json<'a> for ringmain::protocol::messages::{module}::{}{life} {{",
                    it.name
                ),
            );
            to_json(&mut out, &it);
            from_json(&mut out, &it, &module);
            line(&mut out, "}");
        }
    }
    line(
        &mut out,
        "/// Checks one row in both directions.\nfn check_row(message: &str, version: i16, json: &Value, bytes: &[u8]) -> Result<(), String> {\n    match message {",
    );
    for message in messages {
        line(
            &mut out,
            &format!(
                "        \"{name}\" => check::<ringmain::protocol::messages::{name}{life}>(version, json, bytes),",
                name = message.name,
                life = if message.borrowing()[&message.name] { "<'_>" } else { "" }
            ),
        );
    }
    line(&mut out, "        other => Err(format!(\"no message {other}\")),\n    }\n}");
    out
}

fn to_json(out: &mut String, it: &Struct<'_>) {
    line(
        out,
        "    fn to_json(&self, version: i16, tagged: Tagged) -> Value {\n        let _ = (version, tagged);\n        #[allow(unused_mut)]\n        let mut out = serde_json::Map::new();",
    );
    for field in it.fields {
        let name = field.rust_name();
        let condition = presence(field, it.valid);
        let value = match (field.kind(), field.is_nullable()) {
            (Kind::Array(element), true) => format!(
                "self.{name}.as_ref().map_or(Value::Null, |it| Value::Array(it.iter().map(|it| {}).collect()))",
                element_to_json(&element, "it")
            ),
            (Kind::Array(element), false) => {
                format!(
                    "Value::Array(self.{name}.iter().map(|it| {}).collect())",
                    element_to_json(&element, "it")
                )
            }
            (Kind::Records, _) => format!("records_to_json(&self.{name})"),
            (kind, true) => {
                format!("self.{name}.as_ref().map_or(Value::Null, |it| {})", element_to_json(&kind, "it"))
            }
            (kind, false) => element_to_json(&kind, &format!("(&self.{name})")),
        };
        let key = field.json_name();
        let default = if field.is_tagged() {
            format!(" && (tagged == Tagged::All || self.{name} != Self::default().{name})")
        } else {
            String::new()
        };
        line(
            out,
            &format!("        if {condition}{default} {{ out.insert(\"{key}\".to_owned(), {value}); }}"),
        );
    }
    line(out, "        Value::Object(out)\n    }");
}

fn from_json(out: &mut String, it: &Struct<'_>, module: &str) {
    line(
        out,
        "    fn from_json(json: &'a Value, version: i16) -> Result<Self, String> {\n        let _ = (version, json);\n        #[allow(unused_mut)]\n        let mut out = Self::default();",
    );
    for field in it.fields {
        let name = field.rust_name();
        let key = field.json_name();
        let condition = presence(field, it.valid);
        let value = match (field.kind(), field.is_nullable()) {
            (Kind::Array(element), nullable) => {
                let list = format!(
                    "list(it)?.iter().map(|it| {}).collect::<Result<Vec<_>, String>>()?",
                    element_from_json(&element, module)
                );
                if nullable { format!("if it.is_null() {{ None }} else {{ Some({list}) }}") } else { list }
            }
            (Kind::Records, _) => "records_from_json(it)?".to_owned(),
            (kind, true) => {
                format!("if it.is_null() {{ None }} else {{ Some({}?) }}", element_from_json(&kind, module))
            }
            (kind, false) => format!("{}?", element_from_json(&kind, module)),
        };
        let missing = if field.is_tagged() {
            String::new()
        } else {
            format!(" else {{ return Err(\"{key} is missing\".to_owned()); }}")
        };
        line(
            out,
            &format!(
                "        if {condition} {{ if let Some(it) = json.get(\"{key}\") {{ out.{name} = {value}; }}{missing} }}"
            ),
        );
    }
    line(out, "        Ok(out)\n    }");
}

fn presence(field: &Field, valid: Versions) -> String {
    let versions = if field.is_tagged() { field.tagged_versions } else { field.versions };
    versions.condition_or_true(valid)
}

fn element_to_json(kind: &Kind, place: &str) -> String {
    let argument = place.trim_matches(['(', ')']);
    match kind {
        Kind::Struct(_) => format!("{place}.to_json(version, tagged)"),
        Kind::Text => format!("Value::from({place}.to_string())"),
        Kind::Bytes => format!("bytes_to_json({argument})"),
        Kind::Uuid => format!("uuid_to_json({argument})"),
        Kind::Records | Kind::Array(_) => panic!("handled by the caller"),
        _ => format!("Value::from(*{place})"),
    }
}

fn element_from_json(kind: &Kind, module: &str) -> String {
    match kind {
        Kind::Struct(name) => {
            format!("ringmain::protocol::messages::{module}::{name}::from_json(it, version)")
        }
        Kind::Text => "text(it).map(Cow::Borrowed)".into(),
        Kind::Bytes => "bytes_from_json(it).map(Cow::Owned)".into(),
        Kind::Uuid => "uuid_from_json(it)".into(),
        Kind::Bool => "it.as_bool().ok_or_else(|| format!(\"{it} is no bool\"))".into(),
        Kind::Float64 => "it.as_f64().ok_or_else(|| format!(\"{it} is no number\"))".into(),
        Kind::Records | Kind::Array(_) => panic!("handled by the caller"),
        _ => "number(it)".into(),
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to memory");
}
