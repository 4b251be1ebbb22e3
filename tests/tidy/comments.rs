//! Doc comments name their subject: one that begins with a pronoun or half a sentence says nothing where shown alone.

use crate::source::sources;

const BEGINNINGS: [&str; 13] = [
    "It", "Its", "They", "Them", "Their", "These", "Those", "Of", "The same", "Whoever", "Lets it", "He",
    "She",
];

#[test]
fn doc_comments_name_their_subject() {
    let mut found = Vec::new();
    for source in ["src", "bench", "schema", "tests"].into_iter().flat_map(sources) {
        let mut within = false;
        for (at, line) in source.text.lines().enumerate() {
            let comment = doc_comment(line);
            if let Some(text) = comment.filter(|_| !within).filter(|text| begins_badly(text)) {
                found.push(format!("{}:{}: {text}", source.path, at + 1));
            }
            within = comment.is_some();
        }
    }
    assert!(
        found.is_empty(),
        "{} doc comments begin with a pronoun or half a sentence: name what they speak of\n{}",
        found.len(),
        found.join("\n")
    );
}

fn doc_comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or(line.strip_prefix("//!")).map(str::trim)
}

fn begins_badly(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| {
        text.strip_prefix(beginning).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    })
}
