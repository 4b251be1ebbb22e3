//! What of a log is known to be damaged or gone: offsets that are refused to readers, by name and without touching the
//! disk, until they are mended or are not part of the log any more.

use std::ops::Range;

use crate::base::Offset;

/// Ranges of offsets; ascending, apart from each other, none of them empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamagedRanges {
    ranges: Vec<Range<Offset>>,
}

impl DamagedRanges {
    pub fn add(&mut self, range: Range<Offset>) {
        if range.is_empty() {
            return;
        }
        let first = self.ranges.partition_point(|known| known.end < range.start);
        let after = self.ranges.partition_point(|known| known.start <= range.end);
        let touched = self.ranges.splice(first..after, []);
        let joined =
            touched.fold(range, |joined, known| joined.start.min(known.start)..joined.end.max(known.end));
        self.ranges.insert(first, joined);
        self.check();
    }

    /// Takes out offsets that have been found whole, or are not part of the log any more.
    pub fn remove(&mut self, whole: &Range<Offset>) {
        let parts = self.ranges.iter().flat_map(|known| {
            [known.start..known.end.min(whole.start), known.start.max(whole.end)..known.end]
        });
        self.ranges = parts.filter(|part| !part.is_empty()).collect();
        self.check();
    }

    /// What a reader's search relies on.
    fn check(&self) {
        assert!(self.ranges.iter().all(|range| range.start < range.end), "no range is empty");
        assert!(
            self.ranges.is_sorted_by(|one, next| one.end <= next.start),
            "ranges ascend, and do not overlap"
        );
    }

    #[must_use]
    pub fn contains(&self, offset: Offset) -> bool {
        let at = self.ranges.partition_point(|known| known.end <= offset);
        self.ranges.get(at).is_some_and(|known| known.contains(&offset))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Range<Offset>> {
        self.ranges.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(i64, i64)]) -> DamagedRanges {
        let mut damaged = DamagedRanges::default();
        list.iter().for_each(|(from, to)| damaged.add(Offset(*from)..Offset(*to)));
        damaged
    }

    #[test]
    fn ranges_are_joined_and_cut() {
        assert_eq!(ranges(&[(5, 10), (20, 30), (10, 12), (25, 40), (3, 3)]), ranges(&[(5, 12), (20, 40)]));
        assert_eq!(ranges(&[(5, 10), (20, 30), (1, 50)]), ranges(&[(1, 50)]));
        let mut cut = ranges(&[(5, 12), (20, 40)]);
        cut.remove(&(Offset(8)..Offset(25)));
        assert_eq!(cut, ranges(&[(5, 8), (25, 40)]));
        for (offset, within) in [(4, false), (5, true), (7, true), (8, false), (25, true), (40, false)] {
            assert_eq!(cut.contains(Offset(offset)), within, "{offset}");
        }
    }
}
