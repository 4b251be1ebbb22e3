//! A request's partitions, each once, however often the request names it and under however many entries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A partition, and what is asked about it.
#[derive(Debug)]
pub(super) struct Named<T> {
    pub index: i32,
    /// What was said last.
    pub asked: T,
    pub is_repeated: bool,
}

/// Topics and their partitions in the order in which they are named first. Topics without partitions are left out, as in
/// Kafka.
pub(super) fn each_once<'a, T, P>(
    topics: impl IntoIterator<Item = (&'a str, P)>,
) -> Vec<(&'a str, Vec<Named<T>>)>
where
    P: IntoIterator<Item = (i32, T)>,
{
    let mut found: Vec<(&str, Vec<Named<T>>)> = Vec::new();
    let mut places: HashMap<&str, (usize, HashMap<i32, usize>)> = HashMap::new();
    for (name, partitions) in topics {
        for (index, asked) in partitions {
            let (topic, known) = places.entry(name).or_insert_with(|| {
                found.push((name, Vec::new()));
                (found.len() - 1, HashMap::new())
            });
            let named = &mut found[*topic].1;
            match known.entry(index) {
                Entry::Vacant(free) => {
                    free.insert(named.len());
                    named.push(Named { index, asked, is_repeated: false });
                }
                Entry::Occupied(at) => named[*at.get()] = Named { index, asked, is_repeated: true },
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_at_the_place_of_the_first() {
        let topics =
            [("a", vec![(1, 'p'), (0, 'q')]), ("none", vec![]), ("b", vec![(0, 'r')]), ("a", vec![(1, 's')])];
        let found = each_once(topics).into_iter().map(|(name, named)| {
            let named = named.into_iter().map(|it| (it.index, it.asked, it.is_repeated));
            (name, named.collect::<Vec<_>>())
        });
        let wanted = [("a", vec![(1, 's', true), (0, 'q', false)]), ("b", vec![(0, 'r', false)])];
        assert_eq!(found.collect::<Vec<_>>(), wanted);
    }
}
