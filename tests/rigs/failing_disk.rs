//! A disk that fails, crawls and recovers at a word, with a file system on it.
//!
//! raw file ← `top`, a throttle ← FUSE ← loop device. Between the first two a failing node is put in and taken out while
//! everything runs; its rules cannot be changed in place.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use serde_json::json;

use crate::daemon::Daemon;
use crate::disk::{Device, FileSystem, Memory, Mount};
use crate::load::busy;
use crate::process::Launch;

const DISK_MEBIBYTES: u64 = 1024;

/// What fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failing {
    EveryWrite,
    OneFlush,
    /// Reads of this byte of the disk.
    ReadsAt(u64),
}

pub struct FailingDisk {
    mount: Option<Mount>,
    device: Device,
    daemon: Daemon,
    pub memory: Memory,
}

impl FailingDisk {
    pub fn new(name: &str, file_system: FileSystem) -> FailingDisk {
        let memory = Memory::new(name, 2 * DISK_MEBIBYTES);
        let raw = memory.file("raw", DISK_MEBIBYTES);
        let graph = [
            "--object=throttle-group,id=limits".to_owned(),
            format!("--blockdev=driver=file,node-name=raw,filename={}", raw.display()),
            "--blockdev=driver=throttle,node-name=top,throttle-group=limits,file=raw".to_owned(),
        ];
        let daemon = Daemon::start(&memory.path, &graph);
        let device = Device::of(&daemon.export);
        device.format(file_system);
        let mount = Some(device.mount(&memory.path.join("mount")));
        FailingDisk { mount, device, daemon, memory }
    }

    pub fn data(&self) -> PathBuf {
        self.memory.path.join("mount/data")
    }

    pub fn launch(&self) -> Launch {
        busy(Launch::new(&self.data()).logs_in(&self.memory.path))
    }

    pub fn fail(&mut self, what: Failing) {
        let rule = match what {
            Failing::EveryWrite => json!({ "event": "none", "iotype": "write", "errno": libc::EIO }),
            Failing::OneFlush => {
                json!({ "event": "none", "iotype": "flush", "errno": libc::EIO, "once": true })
            }
            Failing::ReadsAt(byte) => {
                json!({ "event": "none", "iotype": "read", "errno": libc::EIO, "sector": byte / 512 })
            }
        };
        let node =
            json!({ "driver": "blkdebug", "node-name": "bad", "image": "raw", "inject-error": [rule] });
        self.daemon.tell("blockdev-add", node);
        self.stand_on("bad");
    }

    pub fn heal(&mut self) {
        self.stand_on("raw");
        self.daemon.tell("blockdev-del", json!({ "node-name": "bad" }));
    }

    /// So many reads and writes a second; 0 lifts the limit.
    pub fn limit(&mut self, per_second: u64) {
        let limits = json!({ "iops-total": per_second });
        self.daemon
            .tell("qom-set", json!({ "path": "/objects/limits", "property": "limits", "value": limits }));
    }

    /// After a failure a file system may be beyond use until it is mounted again.
    pub fn mount_again(&mut self) {
        self.mount.take().unwrap().end();
        self.mount = Some(self.device.mount(&self.memory.path.join("mount")));
    }

    /// What has been read of the disk so far is read again from then on.
    pub fn forget_cached(&self) {
        let export = File::open(&self.daemon.export).unwrap();
        // SAFETY: the descriptor is open for as long as `export` lives.
        let dropped = unsafe { libc::posix_fadvise(export.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(dropped, 0);
    }

    fn stand_on(&mut self, node: &str) {
        let top =
            json!({ "driver": "throttle", "node-name": "top", "throttle-group": "limits", "file": node });
        self.daemon.tell("blockdev-reopen", json!({ "options": [top] }));
    }
}
