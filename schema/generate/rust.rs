//! Messages and error codes as Rust.

use std::fmt::Write;

use super::table::{Field, Message, Struct, snake_case};
use super::values::{
    Scope, default_value, differs, field_type, read_value, tag_present, unsupported, write_value,
};

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
