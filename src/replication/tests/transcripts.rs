//! Golden transcripts: what a leader and a follower do with their inputs, as text that reads as a specification.
//!
//! A file begins with a comment, then lines that are inputs; those with an arrow are what each of them causes. Times, ends
//! and epochs are numbers; `0 10 12` is a log from 0 to 12 that is flushed up to 10. `RINGMAIN_UPDATE=1` writes down what
//! really happens; review that as a diff.

mod follower;
mod leader;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::ends;
use crate::replication::Ends;

const EFFECT: &str = "  → ";

/// Plays one line; tells what it causes.
trait Player {
    fn play(&mut self, words: &[&str]) -> Vec<String>;
}

#[test]
fn leaders_and_followers_do_what_their_transcripts_say() {
    let folder = Path::new(file!()).with_file_name("../transcripts");
    let mut transcripts: Vec<PathBuf> =
        fs::read_dir(folder).expect("transcripts").map(|it| it.expect("an entry").path()).collect();
    transcripts.sort();
    assert!(!transcripts.is_empty(), "the transcripts are beside the code that they are of");
    for path in transcripts {
        let text = fs::read_to_string(&path).expect("readable");
        let played = play(&text);
        if std::env::var_os("RINGMAIN_UPDATE").is_some() {
            fs::write(&path, &played).expect("writable");
        } else {
            assert_eq!(played, text, "{}: RINGMAIN_UPDATE=1 writes down what happens now", path.display());
        }
    }
}

fn play(text: &str) -> String {
    let mut player: Option<Box<dyn Player>> = None;
    let mut played = String::new();
    for line in text.lines().filter(|line| !line.starts_with(EFFECT)) {
        writeln!(played, "{line}").expect("memory");
        println!("{line}");
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let effects = match (words.first().copied(), &mut player) {
            (None, _) => Vec::new(),
            (Some(word), _) if word.starts_with('#') => Vec::new(),
            (Some("leads"), _) => {
                player = Some(Box::new(leader::Player::new(&words)));
                Vec::new()
            }
            (Some("follows"), _) => {
                player = Some(Box::new(follower::Player::new(&words)));
                Vec::new()
            }
            (Some(_), Some(player)) => player.play(&words),
            (Some(_), None) => panic!("the first line says who it is: {line}"),
        };
        for effect in effects {
            writeln!(played, "{EFFECT}{effect}").expect("memory");
        }
    }
    played
}

/// The words after `name`, up to one that is no number.
fn numbers(words: &[&str], name: &str) -> Vec<i64> {
    let after = words.iter().skip_while(|word| **word != name).skip(1);
    after.map_while(|word| word.parse().ok()).collect()
}

/// The number after `name`.
fn number<T: TryFrom<i64>>(words: &[&str], name: &str) -> Option<T> {
    numbers(words, name).first().and_then(|it| T::try_from(*it).ok())
}

fn ends_after(words: &[&str], name: &str) -> Ends {
    let [log_start, flushed, log_end] = numbers(words, name)[..] else {
        panic!("{name} and three offsets, in {words:?}")
    };
    ends(log_start, flushed, log_end)
}
