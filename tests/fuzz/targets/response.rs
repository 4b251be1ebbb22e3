//! Any bytes as the body of any message, answers and data inside records included: the first two bytes choose the
//! message and its version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringmain_fuzz::TARGETS;

fuzz_target!(|bytes: &[u8]| {
    let [message, version, body @ ..] = bytes else { return };
    let target = &TARGETS[usize::from(*message) % TARGETS.len()];
    let versions: Vec<i16> = target.versions.clone().collect();
    target.exercise(body, versions[usize::from(*version) % versions.len()]);
});
