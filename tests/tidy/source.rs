//! Rust files as the checks see them: the code without comments, literals and tests, each at its old place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of Cargo.toml.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One file. All texts of it have the same lines.
pub struct Source {
    /// From the root, such as `src/log/tail.rs`.
    pub path: String,
    pub text: String,
    /// Comments, literals and whatever is compiled for tests only are spaces in here.
    pub code: String,
    /// Numbers of the lines that belong to tests, from 0.
    test_lines: BTreeSet<usize>,
    /// Modules in files of their own that are compiled for tests only.
    test_modules: Vec<String>,
}

impl Source {
    pub fn new(path: &str, text: String) -> Source {
        let mut code = without_comments_and_literals(&text);
        let mut test_lines = BTreeSet::new();
        let mut test_modules = Vec::new();
        while let Some(start) = code.find(TEST_ATTRIBUTE) {
            let item = after_attributes(&code, start);
            let end = end_of_item(&code, item);
            test_modules.extend(module_elsewhere(&code[item..end]));
            test_lines.extend(line_of(&code, start)..=line_of(&code, end - 1));
            blank(&mut code, start, end);
        }
        Source { path: path.to_owned(), text, code, test_lines, test_modules }
    }

    /// Lines of the file, those of its tests left out.
    pub fn lines(&self) -> usize {
        self.text.lines().count() - self.test_lines.len()
    }

    /// Lines of code with their numbers, from 1.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// The folder in which modules of this file have their files.
    pub fn folder_of_modules(&self) -> String {
        let stem = self.path.strip_suffix(".rs").unwrap();
        let own = ["mod", "lib", "main"].iter().find_map(|name| stem.strip_suffix(&format!("/{name}")));
        own.unwrap_or(stem).to_owned()
    }
}

/// The files below `folder`, those left out that are compiled for tests only.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    files_below(&root().join(folder), &mut paths);
    let mut all: Vec<Source> = paths.iter().map(|path| read(path)).collect();
    let tests: Vec<String> = all
        .iter()
        .flat_map(|source| {
            let folder = source.folder_of_modules();
            source.test_modules.iter().map(move |module| format!("{folder}/{module}"))
        })
        .collect();
    let of_tests = |path: &str| {
        let below = |module: &String| path.strip_prefix(module.as_str());
        tests.iter().filter_map(below).any(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    all.retain(|source| !of_tests(&source.path));
    all
}

fn read(path: &Path) -> Source {
    let relative = path.strip_prefix(root()).unwrap().to_str().unwrap();
    Source::new(relative, fs::read_to_string(path).unwrap())
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            // A build of its own may lie below tests.
            if path.file_name().is_some_and(|name| name != "target") {
                files_below(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

const TEST_ATTRIBUTE: &str = "#[cfg(test)]";

/// The number of the line, from 0, in which the byte `at` is.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count()
}

/// Turns all but line ends into spaces.
pub fn blank(text: &mut String, start: usize, end: usize) {
    let blanks: String =
        text[start..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(start..end, &blanks);
}

/// The first byte of the item to which the attribute at `at` belongs.
fn after_attributes(code: &str, mut at: usize) -> usize {
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            return at;
        }
        at = end_of_brackets(code, at + 1);
    }
}

/// One past the bracket that closes the one at `at`.
pub fn end_of_brackets(code: &str, at: usize) -> usize {
    let mut depth = 0;
    for (offset, byte) in code[at..].bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + offset + 1;
        }
    }
    code.len()
}

/// One past the end of the item, field, variant or statement that begins at `at`.
fn end_of_item(code: &str, at: usize) -> usize {
    let item = Item::at(&code[at..]);
    let mut position = at;
    while position < code.len() {
        match code.as_bytes()[position] {
            b';' => return position + 1,
            b',' if item == Item::Part => return position + 1,
            b')' | b']' | b'}' => return position,
            b'{' if item == Item::Body => return end_of_brackets(code, position),
            b'(' | b'[' | b'{' => position = end_of_brackets(code, position),
            _ => position += 1,
        }
    }
    code.len()
}

/// What an item ends with.
#[derive(PartialEq)]
enum Item {
    /// With its braces, or a semicolon before any.
    Body,
    /// With a semicolon.
    Statement,
    /// A field or variant: with a comma.
    Part,
}

impl Item {
    fn at(code: &str) -> Item {
        // Without the place of a `pub(in place)`.
        let code =
            code.strip_prefix("pub(").and_then(|rest| rest.split_once(')')).map_or(code, |(_, rest)| rest);
        let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let modifiers = ["", "pub", "unsafe", "async", "extern"];
        match words.find(|word| !modifiers.contains(word)) {
            Some("fn" | "mod" | "impl" | "struct" | "enum" | "trait" | "union" | "macro_rules") => Item::Body,
            Some("use" | "const" | "static" | "type" | "let") => Item::Statement,
            _ => Item::Part,
        }
    }
}

/// The name of a `mod name;`.
fn module_elsewhere(item: &str) -> Option<String> {
    let (_, name) = item.strip_suffix(';')?.split_once("mod ")?;
    Some(name.trim().to_owned())
}

/// The text with spaces for comments, strings and characters.
pub fn without_comments_and_literals(text: &str) -> String {
    let mut code = text.to_owned();
    let mut at = 0;
    while at < code.len() {
        let end = end_of_hidden(&code[at..], at > 0 && is_word(code.as_bytes()[at - 1])) + at;
        if end > at {
            blank(&mut code, at, end);
            at = end;
        } else {
            at += 1;
            while !code.is_char_boundary(at) {
                at += 1;
            }
        }
    }
    code
}

/// How many bytes the comment or literal at the front takes; 0 if there is none. `blank` keeps lengths, so positions stay.
fn end_of_hidden(text: &str, in_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |end| end + 2);
    }
    if text.starts_with('"') {
        return end_of_string(text);
    }
    if text.starts_with('\'') {
        return end_of_character(text);
    }
    if !in_word && let Some(raw) = text.strip_prefix("br").or(text.strip_prefix('r')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let front = text.len() - raw.len() + hashes + 1;
            return text[front..].find(&close).map_or(text.len(), |end| front + end + close.len());
        }
    }
    0
}

fn end_of_string(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// 0 for the quote of a lifetime.
fn end_of_character(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            characters.next();
            characters.find(|(_, it)| *it == '\'').map_or(text.len(), |(at, _)| at + 1)
        }
        _ => characters.next().filter(|(_, it)| *it == '\'').map_or(0, |(at, _)| at + 1),
    }
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of `text`, spaces squeezed.
    fn check(text: &str, expected: &str) {
        let source = Source::new("src/some.rs", text.to_owned());
        assert_eq!(source.code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
        assert_eq!(source.code.lines().count(), text.lines().count(), "{text}");
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        check("a; // b\n/* c\n } */ d;", "a; d;");
        check(r##"let a = "}\"{"; let b = r#"" }"#; let c = b"{";"##, "let a = ; let b = ; let c = b ;");
        check(
            r"let a = '{'; let b = '\''; let c = '\\'; fn f<'a>(x: &'a str) {}",
            "let a = ; let b = ; let c = ; fn f<'a>(x: &'a str) {}",
        );
    }

    #[test]
    fn tests_are_no_code_wherever_they_are() {
        check("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}", "fn a() {} fn c() {}");
        check(
            "#[cfg(test)]\n#[must_use]\npub(in crate::x) fn a<T, U>() -> [u8; 2] { { } }\nfn b() {}",
            "fn b() {}",
        );
        check("#[cfg(test)]\npub(crate) use a::{b, c};\nuse d;", "use d;");
        check("struct A {\n #[cfg(test)]\n b: Vec<(u8, u8)>,\n c: u8,\n}", "struct A { c: u8, }");
        check("fn a() {\n #[cfg(test)]\n let b = { 1 };\n c();\n}", "fn a() { c(); }");
        let source = Source::new("src/some/mod.rs", "#[cfg(test)]\nmod testing;\nmod real;".to_owned());
        assert_eq!(source.test_modules, ["testing"]);
        assert_eq!((source.lines(), source.folder_of_modules().as_str()), (1, "src/some"));
    }
}
