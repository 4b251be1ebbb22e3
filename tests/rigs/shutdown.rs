//! File systems that stop at once, as at a power cut: what they had not written to their log is gone.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ringmain::base::rng::Rng;

use crate::disk::{Device, FileSystem, Memory};
use crate::io_errors::ended_by_its_disk;
use crate::load::{Course, busy};
use crate::machine;
use crate::process::Launch;
use crate::{from_environment, seed};

/// XFS_IOC_GOINGDOWN, and ext4's of the same number.
const SHUT_DOWN: libc::c_ulong = 0x8004_587d;
const WITHOUT_FLUSHING_THE_LOG: u32 = 2;

#[test]
fn nothing_acknowledged_is_lost_to_a_file_system_that_stops() {
    let Some(_permit) = machine::permit() else { return };
    let cycles = from_environment("RINGMAIN_RIGS_SHUTDOWNS").unwrap_or(2);
    let seed = seed();
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let mut rng = Rng::seeded(seed);
        let memory = Memory::new("shutdown", 4096);
        let device = Device::of(&memory.file("raw", 4096));
        device.format(file_system);
        let place = memory.path.join("mount");
        let launch = busy(Launch::new(&place.join("data")).logs_in(&memory.path));
        let mut course = Course::new(seed, Arc::new(|| 0));
        for _ in 0..cycles {
            let mount = device.mount(&place);
            course.live(launch.start(), |server| {
                thread::sleep(Duration::from_millis(100 + rng.below(500)));
                shut_down(&File::open(&mount.path).unwrap());
                ended_by_its_disk(server)
            });
            mount.end();
        }
        let mount = device.mount(&place);
        let server = launch.start();
        course.finish(&server.address());
        server.kill();
        mount.end();
        machine::say(&format!("{file_system:?} stopped {cycles} times: {}", course.summary()));
    }
}

fn shut_down(root: &File) {
    // SAFETY: the descriptor is open, and the kernel reads one u32.
    let outcome = unsafe { libc::ioctl(root.as_raw_fd(), SHUT_DOWN, &WITHOUT_FLUSHING_THE_LOG) };
    assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
}
