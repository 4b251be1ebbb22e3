//! A question together with the kind of its answer.
//!
//! What is asked of a shard, a coordinator or the controller travels as one enum, and so do the answers: they cross mailboxes.
//! Whoever asks wants the answer to *its* question. A [`Question`] is made by a constructor that knows both, and whoever
//! answers keeps the pair: then the answer has its own type, and no asker looks for it in the enum of all answers.

use std::fmt;

/// `Q` is how the question travels, `R` how its answer does, `A` what the answer is.
pub struct Question<Q, R, A> {
    /// What is asked.
    pub asked: Q,
    pub answer: AnswerTo<R, A>,
}

/// Takes the answer to one question out of what travelled.
pub struct AnswerTo<R, A>(fn(R) -> Result<A, R>);

impl<Q, R, A> Question<Q, R, A> {
    /// `pick` gives back what is not an answer to this question.
    pub fn new(asked: Q, pick: fn(R) -> Result<A, R>) -> Question<Q, R, A> {
        Question { asked, answer: AnswerTo(pick) }
    }
}

impl<R: fmt::Debug, A> AnswerTo<R, A> {
    /// The answer.
    ///
    /// # Panics
    ///
    /// If it answers another question: then the one who was asked is wrong.
    #[must_use]
    pub fn take(self, reply: R) -> A {
        match (self.0)(reply) {
            Ok(answer) => answer,
            Err(other) => panic!("a question was answered with something else: {other:?}"),
        }
    }
}

impl<R, A> Clone for AnswerTo<R, A> {
    fn clone(&self) -> AnswerTo<R, A> {
        *self
    }
}

impl<R, A> Copy for AnswerTo<R, A> {}

impl<Q: fmt::Debug, R, A> fmt::Debug for Question<Q, R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.asked.fmt(f)
    }
}

/// The function that picks one variant of an enum of answers.
#[macro_export]
macro_rules! pick {
    ($($variant:ident)::+) => {
        |reply| match reply {
            $($variant)::+(answer) => Ok(answer),
            other => Err(other),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    enum Reply {
        Number(u32),
        Text(&'static str),
    }

    #[test]
    fn an_answer_has_the_type_of_its_question() {
        let number: Question<&str, Reply, u32> = Question::new("how many?", pick!(Reply::Number));
        assert_eq!(number.answer.take(Reply::Number(7)), 7);
        let text: Question<&str, Reply, &str> = Question::new("what?", pick!(Reply::Text));
        assert_eq!(text.answer.take(Reply::Text("that")), "that");
    }
}
