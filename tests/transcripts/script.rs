//! A transcript as text: a head that says what it specifies, the setting, and inputs with what each of them causes.

use std::fmt::Write;

use crate::driver::Driver;

/// Between the setting and the script.
const BEGIN: &str = "---";
/// Before each thing that an input causes.
const EFFECT: &str = "  → ";

/// Plays a transcript, and writes it down with what really happens.
pub fn play(text: &str) -> String {
    let mut driver = Driver::new();
    let (mut played, mut has_begun) = (String::new(), false);
    for line in text.lines().filter(|line| !line.starts_with(EFFECT)) {
        writeln!(played, "{line}").expect("memory");
        // Shown if the script goes wrong here.
        println!("{line}");
        match line {
            "" => {}
            _ if line.starts_with('#') => {}
            BEGIN => {
                driver.begin();
                has_begun = true;
            }
            _ if has_begun => {
                for effect in driver.step(line) {
                    println!("{EFFECT}{effect}");
                    writeln!(played, "{EFFECT}{effect}").expect("memory");
                }
            }
            _ => driver.set(line),
        }
    }
    assert!(has_begun, "a line {BEGIN} ends the setting");
    played
}

/// Lines that differ, with a few before and after; nothing if all are the same.
pub fn difference(expected: &str, found: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let before = old.iter().zip(&new).take_while(same).count();
    if before == old.len() && before == new.len() {
        return String::new();
    }
    let after = old[before..].iter().rev().zip(new[before..].iter().rev()).take_while(same).count();
    let context = before.saturating_sub(3);
    let mut shown = String::new();
    let mut show = |sign: &str, lines: &[&str]| {
        lines.iter().for_each(|line| writeln!(shown, "{sign}{line}").expect("memory"));
    };
    show("  ", &old[context..before]);
    show("- ", &old[before..old.len() - after]);
    show("+ ", &new[before..new.len() - after]);
    show("  ", &new[new.len() - after..].iter().take(3).copied().collect::<Vec<_>>());
    shown
}
