//! Questions that wait for their answers.

use std::collections::BTreeMap;

use crate::queue::{Instant, Span};

/// A client's questions, by number. All wait equally long: the first one asked is the first one given up.
#[derive(Debug)]
pub struct Waiting<T> {
    asked: BTreeMap<u64, (Instant, T)>,
}

/// After so long a client does not wait for an answer any more.
pub const PATIENCE: Span = Span::ms(3_000);

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting { asked: BTreeMap::new() }
    }
}

impl<T> Waiting<T> {
    pub fn wait(&mut self, now: Instant, number: u64, question: T) {
        self.asked.insert(number, (now.plus(PATIENCE), question));
    }

    /// What was asked under a number, if somebody still wants to know.
    pub fn take(&mut self, number: u64) -> Option<T> {
        Some(self.asked.remove(&number)?.1)
    }

    /// A question that has waited too long.
    pub fn given_up(&mut self, now: Instant) -> Option<T> {
        let (number, (until, _)) = self.asked.first_key_value()?;
        let number = (*until <= now).then_some(*number)?;
        self.take(number)
    }

    /// When the next one is given up.
    pub fn until(&self) -> Option<Instant> {
        self.asked.first_key_value().map(|(_, (until, _))| *until)
    }

    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// How many wait, if any does.
    pub fn in_words(&self) -> Option<String> {
        (!self.asked.is_empty()).then(|| format!("{} answers", self.asked.len()))
    }

    pub fn len(&self) -> usize {
        self.asked.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_given_up_in_their_order() {
        let mut waiting = Waiting::default();
        let at = |ms| Instant(0).plus(Span::ms(ms));
        waiting.wait(at(0), 1, 'a');
        waiting.wait(at(10), 2, 'b');
        waiting.wait(at(20), 3, 'c');
        assert_eq!(waiting.take(2), Some('b'));
        assert_eq!((waiting.take(2), waiting.given_up(at(2_999))), (None, None));
        assert_eq!((waiting.given_up(at(3_000)), waiting.given_up(at(3_000))), (Some('a'), None));
        assert_eq!((waiting.until(), waiting.len()), (Some(at(3_020)), 1));
    }
}
