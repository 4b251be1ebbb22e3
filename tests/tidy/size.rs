//! Files and functions of the product that are so long that they do two things.

use crate::exceptions;
use crate::source::{Source, end_of_brackets, is_word, line_of, sources};

/// Lines of a file, its tests left out.
const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 60;
const FOLDERS: [&str; 3] = ["src", "bench", "schema"];

/// Files that are longer, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Functions that are longer, as "file function", with the reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[("src/inspect/segment.rs walk", "not parted yet")];

fn product() -> impl Iterator<Item = Source> {
    FOLDERS
        .into_iter()
        .flat_map(sources)
        .filter(|source| !source.text.starts_with("// automatically generated"))
}

#[test]
fn files_are_short() {
    let long = product().filter(|source| source.lines() > FILE_LINES_MAX).map(|source| {
        let problem = format!(
            "{} has {} lines without its tests, more than {FILE_LINES_MAX}: part it",
            source.path,
            source.lines()
        );
        (source.path, problem)
    });
    exceptions::check("LONG_FILES in tests/tidy/size.rs", LONG_FILES, long);
}

#[test]
fn functions_are_short() {
    let long = product().flat_map(|source| {
        let long = functions(&source.code).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
        let named = long.map(|Function { name, line, lines }| {
            let problem = format!(
                "{}:{line}: {name} has {lines} lines, more than {FUNCTION_LINES_MAX}: part it",
                source.path
            );
            (format!("{} {name}", source.path), problem)
        });
        named.collect::<Vec<_>>()
    });
    exceptions::check("LONG_FUNCTIONS in tests/tidy/size.rs", LONG_FUNCTIONS, long);
}

#[derive(Debug, PartialEq)]
struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

/// The functions with a body.
fn functions(code: &str) -> Vec<Function<'_>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let name = code[at + 3..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
        let whole_word = at == 0 || !is_word(code.as_bytes()[at - 1]);
        let Some(body) = body(code, at) else { continue };
        if whole_word && !name.is_empty() {
            let end = end_of_brackets(code, body) - 1;
            let line = line_of(code, at) + 1;
            found.push(Function { name, line, lines: line_of(code, end) + 2 - line });
        }
    }
    found
}

/// Where the body of the function that begins at `at` opens.
fn body(code: &str, mut at: usize) -> Option<usize> {
    loop {
        at += code[at..].find(['(', '[', '{', ';'])?;
        match code.as_bytes()[at] {
            b'{' => return Some(at),
            b';' => return None,
            _ => at = end_of_brackets(code, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_end_with_their_braces() {
        let code = "trait A {\n fn a(b: [u8; 2]);\n fn c<F: Fn(u8) -> u8>(f: F) -> [u8; 3]\n where F: X {\n  { }\n }\n}\nconst fn d() {}";
        let check = |name, line, lines| Function { name, line, lines };
        assert_eq!(functions(code), [check("c", 3, 4), check("d", 8, 1)]);
    }
}
