//! The process as the kernel sees it: memory, processor time, open files.

use std::fs;

/// 0 where the kernel does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessSample {
    pub(super) resident_bytes: u64,
    pub(super) cpu_seconds: f64,
    pub(super) open_fds: u64,
    /// Unix time.
    pub(super) start_seconds: f64,
}

pub(super) fn sample() -> ProcessSample {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses and may hold anything; the third field follows it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    ProcessSample {
        resident_bytes: field(24).saturating_mul(sysconf(libc::_SC_PAGESIZE)),
        cpu_seconds: seconds(field(14) + field(15)),
        open_fds: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        start_seconds: boot_seconds() + seconds(field(22)),
    }
}

/// Clock ticks as seconds.
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / sysconf(libc::_SC_CLK_TCK).max(1) as f64
}

fn boot_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0.0)
}

fn sysconf(name: libc::c_int) -> u64 {
    // SAFETY: sysconf has no preconditions.
    u64::try_from(unsafe { libc::sysconf(name) }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_files() {
        let sample = sample();
        assert!(sample.resident_bytes > 100_000 && sample.open_fds > 2 && sample.start_seconds > 1.6e9);
    }
}
