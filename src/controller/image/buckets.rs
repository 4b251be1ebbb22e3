//! A map by topic that is copied in parts: sixty-four maps, each shared until it changes.
//!
//! A change of one topic copies the sixty-fourth part that holds it, whatever the number of topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::TopicId;

const BUCKETS: usize = 64;

type Bucket<V> = Arc<BTreeMap<TopicId, V>>;

/// Values by topic id. The order of iteration is fixed but has no meaning.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Buckets<V> {
    buckets: [Bucket<V>; BUCKETS],
    len: usize,
}

impl<V> Default for Buckets<V> {
    fn default() -> Buckets<V> {
        Buckets { buckets: std::array::from_fn(|_| Bucket::default()), len: 0 }
    }
}

impl<V> Buckets<V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, id: TopicId) -> Option<&V> {
        self.buckets[bucket_of(id)].get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TopicId, &V)> {
        self.buckets.iter().flat_map(|bucket| bucket.iter())
    }
}

impl<V: Clone> Buckets<V> {
    /// Copies the bucket if somebody else holds it too.
    pub fn get_mut(&mut self, id: TopicId) -> Option<&mut V> {
        let bucket = &mut self.buckets[bucket_of(id)];
        // A bucket that others hold is not copied for nothing.
        bucket.contains_key(&id).then(|| Arc::make_mut(bucket).get_mut(&id))?
    }

    pub fn insert(&mut self, id: TopicId, value: V) {
        let replaced = Arc::make_mut(&mut self.buckets[bucket_of(id)]).insert(id, value);
        self.len += usize::from(replaced.is_none());
        assert!(self.get(id).is_some(), "what was put in is found");
    }

    pub fn remove(&mut self, id: TopicId) -> Option<V> {
        let bucket = &mut self.buckets[bucket_of(id)];
        let removed = bucket.contains_key(&id).then(|| Arc::make_mut(bucket).remove(&id))?;
        self.len -= usize::from(removed.is_some());
        removed
    }
}

/// Topic ids are random, so that any byte of them spreads evenly.
fn bucket_of(id: TopicId) -> usize {
    usize::from(id.0[0]) % BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8) -> TopicId {
        let mut bytes = [7; 16];
        bytes[0] = first;
        TopicId(bytes)
    }

    #[test]
    fn a_change_copies_its_own_bucket_and_no_other() {
        let mut buckets = Buckets::default();
        for first in 0..=255 {
            buckets.insert(id(first), first);
        }
        let before = buckets.clone();
        *buckets.get_mut(id(70)).expect("there") = 1;
        assert_eq!((before.get(id(70)), buckets.get(id(70))), (Some(&70), Some(&1)));
        let copied = before.buckets.iter().zip(&buckets.buckets).filter(|(old, new)| !Arc::ptr_eq(old, new));
        assert_eq!(copied.count(), 1);
        assert_eq!((buckets.len(), buckets.iter().count()), (256, 256));
    }

    #[test]
    fn what_is_not_there_copies_nothing() {
        let mut buckets = Buckets::default();
        buckets.insert(id(0), ());
        let before = buckets.clone();
        assert!(buckets.get_mut(id(64)).is_none() && buckets.remove(id(64)).is_none());
        assert!(Arc::ptr_eq(&before.buckets[0], &buckets.buckets[0]));
        assert!(buckets.remove(id(0)).is_some());
        assert_eq!((before.len(), buckets.len()), (1, 0));
    }
}
