//! What the machine allows, and what a rig that was killed has left behind.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The programs rigs are built from, and their Debian packages; `scripts/test` installs them.
const PROGRAMS: [(&str, &str); 6] = [
    ("qemu-storage-daemon", "qemu-system-common"),
    ("fusermount3", "fuse3"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("losetup", "mount"),
    ("strace", "strace"),
];
const PREFIX: &str = "rig-";

/// The right to build rigs: one at a time, they are heavy. `None` where none can be built, which is said.
pub fn permit() -> Option<MutexGuard<'static, ()>> {
    static ONE: Mutex<()> = Mutex::new(());
    let permit = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(lacking) = lacking() {
        say(&format!("no rig can be built here: {lacking}"));
        return None;
    }
    for (program, package) in PROGRAMS {
        let found = Command::new(program).arg("--version").output();
        assert!(found.is_ok(), "'{program}' is missing: on Debian 'apt-get install {package}'");
    }
    sweep();
    Some(permit)
}

fn lacking() -> Option<&'static str> {
    // SAFETY: has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Some("not root");
    }
    let device = |path: &str| Path::new(path).exists();
    match (device("/dev/loop-control"), device("/dev/fuse")) {
        (false, _) => Some("no loop devices"),
        (_, false) => Some("no FUSE"),
        _ => (!may_mount()).then_some("not allowed to mount"),
    }
}

fn may_mount() -> bool {
    let place = folder("probe");
    let mounted = try_run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&place));
    try_run(Command::new("umount").arg(&place));
    let _ = fs::remove_dir(&place);
    mounted
}

/// A line that the test harness does not swallow.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "rigs: {line}");
}

/// Where a rig of this process is built.
pub fn folder(name: &str) -> PathBuf {
    let path = root().join(format!("{PREFIX}{}-{name}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

/// What shall outlive the rig: the evidence of a failure.
pub fn keep(file: &Path, name: &str) {
    let kept = root().join(format!("kept-{}-{name}", std::process::id()));
    run(Command::new("cp").arg("--sparse=always").arg(file).arg(&kept));
    say(&format!("kept: {}", kept.display()));
}

pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    output
}

/// Like [`run`], for the ends of things, where nothing is to be done about a failure.
pub fn try_run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Takes down what rigs of dead processes left standing: a rig takes itself down unless it is killed.
fn sweep() {
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
            continue;
        };
        if !Path::new("/proc").join(process).exists() {
            take_down(&path);
            say(&format!("took down {}", path.display()));
        }
    }
}

/// Everything mounted, attached or running in a rig's folder, and the folder.
fn take_down(rig: &Path) {
    for mount in mounts_below(rig).iter().rev().filter(|mount| *mount != rig) {
        try_run(Command::new("umount").arg("-l").arg(mount));
    }
    for device in fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap()) {
        let backing = fs::read_to_string(device.path().join("loop/backing_file")).unwrap_or_default();
        if Path::new(&backing).starts_with(rig) {
            try_run(Command::new("losetup").arg("-d").arg(Path::new("/dev").join(device.file_name())));
        }
    }
    if let Ok(id) = fs::read_to_string(rig.join("daemon.pid")) {
        try_run(Command::new("kill").arg(id.trim()));
    }
    try_run(Command::new("umount").arg("-l").arg(rig));
    let _ = fs::remove_dir(rig);
}

/// In the order of mounting.
fn mounts_below(rig: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    points.filter(|point| point.starts_with(rig)).collect()
}
