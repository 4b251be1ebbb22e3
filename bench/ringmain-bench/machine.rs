//! What a report says of the machine: figures without it mean nothing.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub memory_bytes: u64,
    pub kernel: String,
    /// File system and device of the broker's disk.
    pub disk: String,
}

impl Machine {
    /// This machine, and the disk that `dir` is on.
    pub fn this(dir: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let first = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = first(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kibibytes: u64 = memory.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(0);
        let whole = fs::canonicalize(dir).unwrap_or_default();
        let mount = mount_of(&read("/proc/self/mountinfo"), &whole);
        Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: first(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            memory_bytes: kibibytes * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            disk: mount.map_or_else(|| "unknown".to_owned(), |mount| mount.text()),
        }
    }

    pub fn text(&self) -> String {
        let gibibytes = self.memory_bytes >> 30;
        format!("{} x {}, {gibibytes} GiB, kernel {}, {}", self.cores, self.processor, self.kernel, self.disk)
    }
}

/// Major and minor number of the device that `dir` is on, as in /sys/dev/block.
pub fn device_number(dir: &Path) -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mount_of(&table, &fs::canonicalize(dir).ok()?).map(|mount| mount.number)
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Major and minor number of the device.
    number: String,
    kind: String,
    device: String,
}

impl Mount {
    fn text(&self) -> String {
        let model = |file: &str| {
            let path = format!("/sys/dev/block/{}/{file}", self.number);
            fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
        };
        let name = [model("device/model"), model("../device/model")].into_iter().find(|it| !it.is_empty());
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{} on {}{name}", self.kind, self.device)
    }
}

/// The mount that holds `dir`: the longest mount point that is above it, the last of equals.
fn mount_of(table: &str, dir: &Path) -> Option<Mount> {
    let rows = table.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ');
        let (number, point) = (left.nth(2)?, left.nth(1)?);
        let mut right = right.split(' ');
        let (kind, device) = (right.next()?, right.next()?);
        let mount = Mount { number: number.into(), kind: kind.into(), device: device.into() };
        dir.starts_with(point).then_some((point.len(), mount))
    });
    rows.max_by_key(|(length, _)| *length).map(|(_, mount)| mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_that_of_the_nearest_mount() {
        let table = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                     30 22 259:1 / /data rw shared:1 - xfs /dev/nvme0n1p1 rw\n";
        let of = |dir: &str| mount_of(table, Path::new(dir)).map(|mount| mount.device);
        assert_eq!(of("/data/x").as_deref(), Some("/dev/nvme0n1p1"));
        assert_eq!(of("/database").as_deref(), Some("/dev/vda"));
    }

    #[test]
    fn this_machine_has_cores_and_a_kernel() {
        let machine = Machine::this(Path::new("."));
        assert!(machine.cores > 0 && !machine.kernel.is_empty() && machine.memory_bytes > 0);
    }
}
