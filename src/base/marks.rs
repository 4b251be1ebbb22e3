//! Marks at rare branches: a long simulated run tells which of them it has passed.
//!
//! In an optimised build a mark is nothing. In a debug build the name of each mark that was passed is kept for the process.

#[cfg(debug_assertions)]
use std::collections::BTreeMap;
#[cfg(debug_assertions)]
use std::sync::Mutex;

#[cfg(debug_assertions)]
static PASSED: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// Notes that a rare branch was taken.
#[inline]
pub fn mark(name: &'static str) {
    #[cfg(debug_assertions)]
    if let Ok(mut passed) = PASSED.lock() {
        *passed.entry(name).or_insert(0) += 1;
    }
    #[cfg(not(debug_assertions))]
    {
        _ = name;
    }
}

/// The marks that were passed, and how often.
#[cfg(debug_assertions)]
#[must_use]
pub fn passed() -> BTreeMap<&'static str, u64> {
    PASSED.lock().map(|passed| passed.clone()).unwrap_or_default()
}
