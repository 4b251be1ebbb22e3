//! Messages and error codes as Rust.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::table::{Field, Kind, Message, Struct, Versions, snake_case};

/// What the code for one message needs to know all along.
struct Scope<'a> {
    flexible: Versions,
    borrows: &'a BTreeMap<String, bool>,
}

pub fn messages(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        let module = snake_case(&message.name);
        let borrows = message.borrowing();
        let scope = Scope { flexible: message.flexible_versions, borrows: &borrows };
        line(&mut out, &format!("/// {}.\npub mod {module} {{\n    use super::wire::*;", message.name));
        for it in message.structs() {
            structure(&mut out, &it, &scope);
        }
        message_impl(&mut out, message, &scope);
        line(&mut out, "}");
        line(&mut out, &format!("pub use {module}::{};", message.name));
    }
    api_keys(&mut out, messages);
    every_message(&mut out, messages);
    out
}

pub fn error_codes(table: &str) -> String {
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .filter(|row: &Vec<&str>| row.len() >= 3)
        .collect();
    let mut out = String::new();
    line(&mut out, "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(i16)]");
    line(&mut out, "pub enum ErrorCode {");
    for row in &rows {
        line(&mut out, &format!("    /// {}\n    {} = {},", row[1], camel_case(row[1]), row[0]));
    }
    line(
        &mut out,
        "}\nimpl ErrorCode {\n    /// Every code Kafka has.\n    pub const ALL: &'static [ErrorCode] = &[",
    );
    for row in &rows {
        line(&mut out, &format!("        ErrorCode::{},", camel_case(row[1])));
    }
    line(
        &mut out,
        "    ];\n    /// Kafka's name.\n    #[must_use]\n    pub fn name(self) -> &'static str {\n        match self {",
    );
    for row in &rows {
        line(&mut out, &format!("            ErrorCode::{} => \"{}\",", camel_case(row[1]), row[1]));
    }
    line(
        &mut out,
        "        }\n    }\n    /// Clients try again.\n    #[must_use]\n    pub fn is_retriable(self) -> bool {\n        matches!(self,",
    );
    let retriable: Vec<String> = rows
        .iter()
        .filter(|row| row[2] == "true")
        .map(|row| format!("ErrorCode::{}", camel_case(row[1])))
        .collect();
    line(&mut out, &format!("            {})\n    }}\n}}", retriable.join(" | ")));
    out
}

fn api_keys(out: &mut String, messages: &[Message]) {
    let requests: Vec<&Message> =
        messages.iter().filter(|message| message.kind == "request" && message.api_key.is_some()).collect();
    line(
        out,
        "/// Kafka's APIs by number.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[repr(i16)]\npub enum ApiKey {",
    );
    for request in &requests {
        let name = request.name.trim_end_matches("Request");
        line(out, &format!("    {name} = {},", request.api_key.expect("filtered")));
    }
    line(out, "}\nimpl ApiKey {\n    pub const ALL: &'static [ApiKey] = &[");
    for request in &requests {
        line(out, &format!("        ApiKey::{},", request.name.trim_end_matches("Request")));
    }
    line(
        out,
        "    ];\n    /// The API of this number, if the schema has it.\n    #[must_use]\n    pub fn from_code(code: i16) -> Option<ApiKey> {\n        Some(match code {",
    );
    for request in &requests {
        let name = request.name.trim_end_matches("Request");
        line(out, &format!("            {} => ApiKey::{name},", request.api_key.expect("filtered")));
    }
    line(out, "            _ => return None,\n        })\n    }");
    line(out, "    #[must_use]\n    pub fn name(self) -> &'static str {\n        match self {");
    for request in &requests {
        let name = request.name.trim_end_matches("Request");
        line(out, &format!("            ApiKey::{name} => \"{name}\","));
    }
    line(
        out,
        "        }\n    }\n    /// First flexible version of request and response; `i16::MAX` if there is none.\n    #[must_use]\n    pub fn flexible_from(self) -> i16 {\n        match self {",
    );
    for request in &requests {
        let name = request.name.trim_end_matches("Request");
        let from = request.flexible_versions.low().map_or("i16::MAX".to_owned(), |low| low.to_string());
        line(out, &format!("            ApiKey::{name} => {from},"));
    }
    line(out, "        }\n    }\n}");
}

/// A macro with every message in it, so that tests and fuzzers cannot miss one.
fn every_message(out: &mut String, messages: &[Message]) {
    line(
        out,
        "/// Calls `$each!` with the type of every message, parted by commas; for tests and fuzzing.\n#[macro_export]\nmacro_rules! every_message {\n    ($each:ident) => {\n        $each! {",
    );
    for message in messages {
        let life = if message.borrowing()[&message.name] { "<'_>" } else { "" };
        line(out, &format!("            {}{life},", message.name));
    }
    line(out, "        }\n    };\n}");
}

fn structure(out: &mut String, it: &Struct<'_>, scope: &Scope<'_>) {
    let life = if scope.borrows[it.name] { "<'a>" } else { "" };
    line(out, "    #[derive(Clone, Debug, PartialEq)]");
    line(out, &format!("    pub struct {}{life} {{", it.name));
    for field in it.fields {
        line(out, &format!("        pub {}: {},", field.rust_name(), field_type(field, scope)));
    }
    line(out, "    }");
    line(
        out,
        &format!(
            "    impl{life} Default for {}{life} {{\n        fn default() -> Self {{\n            Self {{",
            it.name
        ),
    );
    for field in it.fields {
        line(out, &format!("                {}: {},", field.rust_name(), default_value(field)));
    }
    line(out, "            }\n        }\n    }");
    decode(out, it, scope);
    encode(out, it, scope);
}

fn decode(out: &mut String, it: &Struct<'_>, scope: &Scope<'_>) {
    let life = if scope.borrows[it.name] { "<'a>" } else { "" };
    let name = it.name;
    let method_life = if life.is_empty() { "<'a>" } else { "" };
    line(out, &format!("    impl{life} {name}{life} {{"));
    line(
        out,
        &format!(
            "        pub(crate) fn read{method_life}(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {{"
        ),
    );
    line(out, &format!("            let flexible = {};", scope.flexible.condition_or_true(it.valid)));
    line(out, "            reader.enter()?;\n            let mut out = Self::default();");
    for field in it.fields.iter().filter(|field| !field.is_tagged()) {
        let read = format!("out.{} = {};", field.rust_name(), read_value(field, it.valid));
        match field.versions.condition(it.valid) {
            None => line(out, &format!("            {read}")),
            Some(condition) => line(out, &format!("            if {condition} {{ {read} }}")),
        }
    }
    line(
        out,
        "            if flexible {\n                reader.tagged_fields(|reader, tag| {\n                    match tag {",
    );
    for field in it.fields.iter().filter(|field| field.is_tagged()) {
        let guard = field.tagged_versions.condition(it.valid).map_or(String::new(), |it| format!(" if {it}"));
        line(
            out,
            &format!(
                "                        {}{guard} => out.{} = {},",
                field.tag.expect("tagged fields have tags"),
                field.rust_name(),
                read_value(field, it.valid)
            ),
        );
    }
    line(
        out,
        "                        _ => return Ok(false),\n                    }\n                    #[allow(unreachable_code, reason = \"structs without tagged fields\")]\n                    Ok(true)\n                })?;\n            }",
    );
    line(out, "            reader.leave();\n            Ok(out)\n        }");
}

fn encode(out: &mut String, it: &Struct<'_>, scope: &Scope<'_>) {
    line(
        out,
        "        pub(crate) fn write(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {",
    );
    line(out, &format!("            let flexible = {};", scope.flexible.condition_or_true(it.valid)));
    for field in it.fields.iter().filter(|field| !field.is_tagged()) {
        let write = write_value(field, it.valid);
        match field.versions.condition(it.valid) {
            None => line(out, &format!("            {write}")),
            Some(condition) => {
                line(out, &format!("            if {condition} {{ {write} }}"));
                if !field.ignorable {
                    line(
                        out,
                        &format!("            else if {} {{ {} }}", differs(field), unsupported(it, field)),
                    );
                }
            }
        }
    }
    for field in it.fields.iter().filter(|field| field.is_tagged() && !field.ignorable) {
        if let Some(condition) = field.tagged_versions.condition(it.valid) {
            line(
                out,
                &format!(
                    "            if !({condition}) && {} {{ {} }}",
                    differs(field),
                    unsupported(it, field)
                ),
            );
        }
    }
    line(
        out,
        "            if flexible {\n                #[allow(unused_mut, reason = \"structs without tagged fields\")]\n                let mut tags = 0;",
    );
    let mut tagged: Vec<&Field> = it.fields.iter().filter(|field| field.is_tagged()).collect();
    tagged.sort_by_key(|field| field.tag);
    for field in &tagged {
        line(out, &format!("                if {} {{ tags += 1; }}", tag_present(field, it.valid)));
    }
    line(out, "                writer.tag_count(tags);");
    for field in &tagged {
        line(
            out,
            &format!(
                "                if {} {{ writer.tagged({}, |writer| {{ {} Ok(()) }})?; }}",
                tag_present(field, it.valid),
                field.tag.expect("tagged fields have tags"),
                write_value(field, it.valid)
            ),
        );
    }
    line(out, "            }\n            Ok(())\n        }\n    }");
}

fn message_impl(out: &mut String, message: &Message, scope: &Scope<'_>) {
    let name = &message.name;
    let life = if scope.borrows[name.as_str()] { "<'a>" } else { "" };
    let (low, high) = message.valid_versions.bounds().unwrap_or((0, -1));
    let flexible = message.flexible_versions.low().map_or("i16::MAX".to_owned(), |low| low.to_string());
    line(out, &format!("    impl<'a> Message<'a> for {name}{life} {{"));
    line(out, &format!("        const NAME: &'static str = \"{name}\";"));
    line(out, &format!("        const API_KEY: i16 = {};", message.api_key.unwrap_or(-1)));
    line(out, &format!("        const VERSIONS: std::ops::RangeInclusive<i16> = {low}..={high};"));
    line(out, &format!("        const FLEXIBLE_FROM: i16 = {flexible};"));
    line(
        out,
        "        fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {\n            if !Self::VERSIONS.contains(&version) {\n                return Err(DecodeError::Version { message: Self::NAME, version });\n            }\n            Self::read(reader, version)\n        }",
    );
    line(
        out,
        "        fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {\n            if !Self::VERSIONS.contains(&version) {\n                return Err(EncodeError::Version { message: Self::NAME, version });\n            }\n            self.write(writer, version)\n        }\n    }",
    );
    line(
        out,
        &format!(
            "    impl{life} {name}{life} {{ pub const VERSIONS: std::ops::RangeInclusive<i16> = {low}..={high}; }}"
        ),
    );
}

fn field_type(field: &Field, scope: &Scope<'_>) -> String {
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

fn default_value(field: &Field) -> String {
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

fn read_value(field: &Field, valid: Versions) -> String {
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

fn write_value(field: &Field, valid: Versions) -> String {
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
fn differs(field: &Field) -> String {
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

fn tag_present(field: &Field, valid: Versions) -> String {
    match field.tagged_versions.condition(valid) {
        None => differs(field),
        Some(condition) => format!("{condition} && {}", differs(field)),
    }
}

fn unsupported(it: &Struct<'_>, field: &Field) -> String {
    format!(
        "return Err(EncodeError::Unsupported {{ field: \"{}.{}\", version }});",
        it.name,
        field.rust_name()
    )
}

/// `UNKNOWN_SERVER_ERROR` → `UnknownServerError`.
fn camel_case(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect::<String>()
            })
        })
        .collect()
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to memory");
}
