//! The CPUs and the memory that this process may use. Settings are resolved against them.

use super::broker;
use super::setting::ConfigError;

/// Most shards of a server: a server has a thousand node ids, and one of them stands for the whole server.
pub const SHARDS_MAX: usize = 999;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The CPUs' numbers, in ascending order.
    pub cpus: Vec<usize>,
    pub memory_bytes: u64,
}

impl Machine {
    /// Reads this process's CPU affinity, and the smaller of the machine's memory and the control group's limit.
    #[must_use]
    pub fn detect() -> Machine {
        Machine { cpus: allowed_cpus(), memory_bytes: machine_memory_bytes().min(group_memory_bytes()) }
    }

    /// The CPU of each shard for a value of `ringmain.shards`.
    pub(super) fn shard_cpus(&self, value: &str) -> Result<Vec<usize>, ConfigError> {
        let cpus = match value.parse::<usize>() {
            _ if value == "all" => self.cpus.iter().copied().take(SHARDS_MAX).collect(),
            Ok(count) => self.cpus.get(..count).unwrap_or_default().to_vec(),
            Err(_) => cpu_list(value).unwrap_or_default(),
        };
        let usable =
            !cpus.is_empty() && cpus.len() <= SHARDS_MAX && cpus.iter().all(|cpu| self.cpus.contains(cpu));
        if usable { Ok(cpus) } else { Err(self.invalid_shards(value)) }
    }

    fn invalid_shards(&self, value: &str) -> ConfigError {
        let row = broker::find("ringmain.shards").expect("a setting of the table");
        ConfigError::Invalid {
            key: row.name.to_owned(),
            value: value.to_owned(),
            expected: format!(
                "all, a number up to {}, or a list of CPUs this process may use: {}",
                self.cpus.len().min(SHARDS_MAX),
                self.cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
            ),
        }
    }
}

/// Reads a list such as `0,2,4-7`. A CPU that is named twice is in it twice.
fn cpu_list(value: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last - first >= SHARDS_MAX || cpus.len() > SHARDS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

fn allowed_cpus() -> Vec<usize> {
    // SAFETY: an all-zero cpu_set_t is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer and the size are those of `set`, which the call fills.
    let failed = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } != 0;
    let bits = usize::try_from(libc::CPU_SETSIZE).expect("a small constant");
    // SAFETY: every index is below the size of the set.
    let cpus: Vec<usize> = (0..bits).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect();
    if failed || cpus.is_empty() {
        // A machine with more CPUs than the set holds: count instead of naming.
        return (0..std::thread::available_parallelism().map_or(1, usize::from)).collect();
    }
    cpus
}

fn machine_memory_bytes() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let (pages, page_bytes) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    u64::try_from(pages).unwrap_or(0).saturating_mul(u64::try_from(page_bytes).unwrap_or(0))
}

/// The control group's limit of memory; `u64::MAX` when there is none.
fn group_memory_bytes() -> u64 {
    std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_a_number_or_a_list() {
        let machine = Machine { cpus: vec![0, 1, 4, 5], memory_bytes: 0 };
        let check = |value: &str, expected: &[usize]| {
            assert_eq!(machine.shard_cpus(value).unwrap_or_default(), expected, "{value}");
        };
        check("all", &[0, 1, 4, 5]);
        check("3", &[0, 1, 4]);
        check("4-5,0", &[4, 5, 0]);
        check("1,1", &[1, 1]);
        check("4,", &[4]);
        for refused in ["0", "5", "2-4", "", "x", "5-4", "0-99999999999"] {
            check(refused, &[]);
        }
    }

    #[test]
    fn this_machine_has_cpus_and_memory() {
        let machine = Machine::detect();
        assert!(!machine.cpus.is_empty() && machine.memory_bytes > 1 << 20);
    }
}
