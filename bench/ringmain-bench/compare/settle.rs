//! Waits until a disk has nothing left to do for what went before. Files that were deleted are discarded piece by piece
//! afterwards: half a minute for a few gigabytes in small files, in which the next run would be measured.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// How long the disk is looked at, each time.
const LOOK: Duration = Duration::from_secs(2);
/// Looked at so often at most: what else writes to the disk need not end.
const LOOKS_MAX: usize = 90;
/// Fewer writes and discards in one look are those of servers without anything to do.
const QUIET: u64 = 50;

/// Waits until the disk that `dir` is on is quiet; no more than three minutes. Says so if it takes more than a look or two,
/// unless that is not wanted.
pub fn settle(dir: &Path, tells: bool) {
    let mut before = None;
    for look in 0..LOOKS_MAX {
        if tells && look == 2 {
            eprintln!("waiting for the disk to be done with what went before, for three minutes at most");
        }
        // What is to be discarded is known when it is on the disk that the files are gone.
        // SAFETY: takes nothing and returns nothing.
        unsafe { libc::sync() };
        sleep(LOOK);
        let now = done(dir);
        if before.replace(now).is_some_and(|before| now.saturating_sub(before) < QUIET) {
            return;
        }
    }
}

/// Writes and discards that the disk has done; 0 where nobody counts them.
fn done(dir: &Path) -> u64 {
    let number = crate::machine::device_number(dir).unwrap_or_default();
    let stat = fs::read_to_string(format!("/sys/dev/block/{number}/stat")).unwrap_or_default();
    writes_and_discards(&stat).unwrap_or(0)
}

/// The fifth and the twelfth number (the kernel's Documentation/block/stat.rst). Before Linux 4.18 there are eleven.
fn writes_and_discards(stat: &str) -> Option<u64> {
    let mut numbers = stat.split_whitespace().map(|number| number.parse::<u64>().unwrap_or(0));
    let writes = numbers.nth(4)?;
    Some(writes + numbers.nth(6).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_discards_are_counted_together() {
        let stat = "  10 0 30 4 500 6 7 8 0 9 10 2000 12 13 14 15 16\n";
        assert_eq!(writes_and_discards(stat), Some(2500));
        assert_eq!(writes_and_discards("1 2 3 4 5 6 7 8 9 10 11"), Some(5), "without discards");
        assert_eq!(writes_and_discards(""), None);
    }

    #[test]
    fn whoever_is_not_counted_is_quiet() {
        assert_eq!(done(Path::new("/proc")), 0);
    }
}
