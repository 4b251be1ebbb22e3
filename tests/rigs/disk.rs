//! Disks to put a data directory on: a folder in memory, files in it as block devices, file systems on those.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{self, run, try_run};
use crate::process::eventually;

/// A folder in memory (a sync of a disk there costs nothing), gone when dropped.
pub struct Memory {
    pub path: PathBuf,
}

impl Memory {
    pub fn new(name: &str, mebibytes: u64) -> Memory {
        let path = machine::folder(name);
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "none"])
            .arg(&path));
        Memory { path }
    }

    /// A file of zeros that take no space.
    pub fn file(&self, name: &str, mebibytes: u64) -> PathBuf {
        let path = self.path.join(name);
        fs::File::create(&path).unwrap().set_len(mebibytes << 20).unwrap();
        path
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Lazily: a process that still has its log here must not keep the rest.
        try_run(Command::new("umount").arg("-l").arg(&self.path));
        let _ = fs::remove_dir(&self.path);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileSystem {
    Ext4,
    Xfs,
}

/// A file as a block device with 4 KiB sectors.
pub struct Device {
    pub path: PathBuf,
}

impl Device {
    pub fn of(file: &Path) -> Device {
        let output =
            run(Command::new("losetup").args(["--find", "--show", "--sector-size", "4096"]).arg(file));
        let device = Device { path: PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()) };
        // A device keeps what its last user has set, if that was killed.
        device.write_whole_requests().unwrap();
        device
    }

    /// Has the file written a block at a time. The kernel's loop driver takes a request of which only the first blocks
    /// found space for one that was done (6.18): a disk that lies, which no server can stand.
    pub fn write_single_blocks(&self) {
        fs::write(self.queue("max_sectors_kb"), "4").unwrap();
    }

    fn write_whole_requests(&self) -> io::Result<()> {
        let kibibytes = fs::read_to_string(self.queue("max_hw_sectors_kb"))?;
        fs::write(self.queue("max_sectors_kb"), kibibytes)
    }

    fn queue(&self, name: &str) -> PathBuf {
        Path::new("/sys/block").join(self.path.file_name().unwrap()).join("queue").join(name)
    }

    pub fn format(&self, file_system: FileSystem) {
        match file_system {
            FileSystem::Ext4 => {
                run(Command::new("mkfs.ext4").args(["-q", "-b", "4096", "-E", "nodiscard"]).arg(&self.path))
            }
            FileSystem::Xfs => run(Command::new("mkfs.xfs").args(["-q", "-K"]).arg(&self.path)),
        };
    }

    pub fn mount(&self, at: &Path) -> Mount {
        fs::create_dir_all(at).unwrap();
        run(Command::new("mount").arg(&self.path).arg(at));
        Mount { path: at.to_owned() }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.write_whole_requests();
        try_run(Command::new("losetup").arg("-d").arg(&self.path));
    }
}

/// A mounted file system.
pub struct Mount {
    pub path: PathBuf,
}

impl Mount {
    /// Unmounts; whoever goes on using it is a failure. The kernel takes an ended process' rings apart at its leisure.
    pub fn end(self) {
        eventually("nobody uses the mount", || try_run(Command::new("umount").arg(&self.path)).then_some(()));
        std::mem::forget(self);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        try_run(Command::new("umount").arg("-l").arg(&self.path));
    }
}
