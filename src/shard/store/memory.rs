//! Memory that partitions give back: chunks of their tails that are in segments already.

use super::state::Store;

/// Partitions without memory to free that one turn looks at in a row.
const EVICTIONS_IN_VAIN_MAX: usize = 256;

impl Store {
    /// Frees memory of tails beyond what the settings allow.
    pub fn free_memory(&mut self) {
        // What is not in segments yet cannot go, and may be all there is: the rest is tried at the next turn.
        let mut in_vain = 0;
        while self.memory.get() > self.config.cache_bytes
            && in_vain < EVICTIONS_IN_VAIN_MAX.min(self.evictable.len())
            && let Some(slot) = self.evictable.pop_front()
        {
            let Some(partition) = self.partitions.get_mut(slot) else { continue };
            let allocate = &mut *self.allocate;
            let freed = partition.change(|log, _| log.evict(allocate));
            in_vain = if freed == 0 { in_vain + 1 } else { 0 };
            self.counters.evicted_bytes += freed as u64;
            partition.is_evictable = partition.log().is_evictable();
            if partition.is_evictable {
                self.evictable.push_back(slot);
            }
        }
    }
}
