//! What processes use: the loader's own share and the broker's, by the kernel's accounting, so that figures per
//! processor second hold although both share the cores.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::distribution::to_f64;

/// A process on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    pub user: Duration,
    pub system: Duration,
    pub resident_bytes: u64,
    /// Times it gave up a core to wait, and times one was taken from it.
    pub switches: u64,
    /// Through read- and write-like system calls and page cache or io_uring, to the disk.
    pub disk_written_bytes: u64,
    pub disk_read_bytes: u64,
}

/// What a process used in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub seconds: f64,
    pub user_seconds: f64,
    pub system_seconds: f64,
    pub resident_bytes: u64,
    pub switches: u64,
    pub disk_written_bytes: u64,
    pub disk_read_bytes: u64,
}

impl Usage {
    pub fn between(before: &Used, after: &Used, seconds: f64) -> Usage {
        Usage {
            seconds,
            user_seconds: after.user.saturating_sub(before.user).as_secs_f64(),
            system_seconds: after.system.saturating_sub(before.system).as_secs_f64(),
            resident_bytes: after.resident_bytes,
            switches: after.switches.saturating_sub(before.switches),
            disk_written_bytes: after.disk_written_bytes.saturating_sub(before.disk_written_bytes),
            disk_read_bytes: after.disk_read_bytes.saturating_sub(before.disk_read_bytes),
        }
    }

    pub fn processor_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    pub fn cores(&self) -> f64 {
        self.processor_seconds() / self.seconds.max(1e-9)
    }
}

impl Process {
    pub fn this() -> Process {
        Process(std::process::id())
    }

    /// Who listens at a loopback address, if that can be found out.
    pub fn listening(address: &str) -> Option<Process> {
        let address = address.to_socket_addrs().ok()?.find(|address| address.ip().is_loopback())?;
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
        let inodes: Vec<u64> = tables.iter().flat_map(|table| listeners(table, &address)).collect();
        let processes =
            fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        processes.map(Process).find(|process| process.holds_socket(&inodes))
    }

    fn holds_socket(self, inodes: &[u64]) -> bool {
        let Ok(files) = fs::read_dir(format!("/proc/{}/fd", self.0)) else { return false };
        // The link's target of a socket has the inode of the socket.
        files.filter_map(|file| fs::metadata(file.ok()?.path()).ok()).any(|file| inodes.contains(&file.ino()))
    }

    /// What it has used, unless it is gone.
    pub fn used(self) -> Option<Used> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.0));
        let mut used = processor(&read("stat").ok()?, ticks_per_second())?;
        let status = read("status").ok()?;
        used.resident_bytes = field(&status, "VmRSS:").unwrap_or(0) * 1024;
        // Counts of a process are those of its first thread: the others are added.
        for task in fs::read_dir(format!("/proc/{}/task", self.0)).ok()?.flatten() {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            used.switches += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
            used.switches += field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
        let io = read("io").unwrap_or_default();
        used.disk_read_bytes = field(&io, "read_bytes:").unwrap_or(0);
        used.disk_written_bytes = field(&io, "write_bytes:").unwrap_or(0);
        Some(used)
    }
}

/// Inodes of the sockets that listen at an address, or at every one, in a table of the kernel's.
fn listeners<'a>(table: &'a str, address: &SocketAddr) -> impl Iterator<Item = u64> + use<'a> {
    const LISTEN: &str = "0A";
    let port = format!("{:04X}", address.port());
    table.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_whitespace();
        let (_, local_port) = columns.nth(1)?.rsplit_once(':')?;
        let is_found = columns.nth(1)? == LISTEN && local_port == port;
        is_found.then(|| columns.nth(5)?.parse().ok()).flatten()
    })
}

/// User and system time from /proc/PID/stat, whose second field may hold anything in parentheses.
fn processor(stat: &str, ticks_per_second: f64) -> Option<Used> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let mut time = |skip| {
        let ticks: u64 = fields.nth(skip)?.parse().ok()?;
        Some(Duration::from_secs_f64(to_f64(ticks) / ticks_per_second))
    };
    let (user, system) = (time(11)?, time(0)?);
    Some(Used { user, system, ..Used::default() })
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

pub fn ticks_per_second() -> f64 {
    // SAFETY: takes a number and returns one; no memory is involved.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { to_f64(ticks.unsigned_abs()) } else { 100.0 }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_listener_is_found_by_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound").to_string();
        assert_eq!(Process::listening(&address), Some(Process::this()));
        drop(listener);
        assert_eq!(Process::listening(&address), None);
    }

    #[test]
    fn processor_time_is_counted() {
        let stat = "1 (a) b) S 1 1 1 0 -1 4194560 1 1 1 1 250 50 9 9 20 0 1 0";
        let used = processor(stat, 100.0).expect("well formed");
        assert_eq!((used.user, used.system), (Duration::from_millis(2500), Duration::from_millis(500)));
        let before = Process::this().used().expect("we are here");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(0);
        }
        let after = Process::this().used().expect("we are here");
        let usage = Usage::between(&before, &after, begun.elapsed().as_secs_f64());
        assert!(usage.processor_seconds() > 0.0 && usage.resident_bytes > 100_000);
    }
}
