//! One line of a transcript, word by word. Commas are for the reader.

use std::fmt::Display;
use std::str::FromStr;

pub struct Words<'a> {
    line: &'a str,
    left: Vec<&'a str>,
}

impl<'a> Words<'a> {
    pub fn of(line: &'a str) -> Words<'a> {
        let words = line.split(|it: char| it.is_whitespace() || it == ',').filter(|it| !it.is_empty());
        let mut left: Vec<&str> = words.collect();
        left.reverse();
        Words { line, left }
    }

    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub fn word(&mut self) -> &'a str {
        self.left.pop().unwrap_or_else(|| panic!("'{}' lacks a word", self.line))
    }

    /// A number, or whatever else is written as one word.
    pub fn parse<T: FromStr<Err: Display>>(&mut self) -> T {
        let word = self.word();
        word.parse().unwrap_or_else(|error| panic!("'{word}' in '{}': {error}", self.line))
    }

    /// Takes these words if they are the next.
    pub fn has(&mut self, words: &str) -> bool {
        let wanted: Vec<&str> = words.split(' ').rev().collect();
        let is_next = self.left.ends_with(&wanted);
        if is_next {
            self.left.truncate(self.left.len() - wanted.len());
        }
        is_next
    }

    pub fn expect(&mut self, words: &str) {
        let (line, has) = (self.line, self.has(words));
        assert!(has, "'{line}' lacks '{words}' before '{}'", self.rest());
    }

    /// All that is left.
    pub fn rest(&mut self) -> String {
        self.left.drain(..).rev().collect::<Vec<_>>().join(" ")
    }

    pub fn end(&mut self) {
        let (line, rest) = (self.line, self.rest());
        assert!(rest.is_empty(), "'{line}' has too much: '{rest}'");
    }
}
