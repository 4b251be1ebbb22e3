//! Mixed load beside CPU hogs while the server is stopped and continued at random: no request is outstanding for longer
//! than the pauses explain. This is what finds a wake-up that gets lost, which hangs a server without killing it.
//!
//! RINGMAIN_SOAK_SECONDS and RINGMAIN_SOAK_SEED change length and course; `scripts/soak` runs five minutes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod load;
#[path = "../process/mod.rs"]
mod process;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ringmain::base::rng::Rng;
use ringmain::client::{Admin, Cluster, ConnectionOptions, NewTopic};

use process::{Launch, PATIENCE, scratch};

pub const TOPIC: &str = "soak";
pub const PARTITIONS: i32 = 8;
/// What a busy machine with twice as many hogs as cores may add to a request. A lost wake-up adds far more.
const UNEXPLAINED_MAX: Duration = Duration::from_secs(3);
const HOGS: usize = 2;

/// When the server was not running, and whether the test goes on.
#[derive(Debug, Default)]
pub struct Course {
    pauses: Mutex<Vec<(Instant, Option<Instant>)>>,
    over: AtomicBool,
}

impl Course {
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn pause(&self) {
        self.pauses.lock().unwrap().push((Instant::now(), None));
    }

    fn go_on(&self) {
        self.pauses.lock().unwrap().last_mut().unwrap().1 = Some(Instant::now());
    }

    /// How much of the time since then the server was running.
    pub fn served_since(&self, begun: Instant) -> Duration {
        let now = Instant::now();
        let pauses = self.pauses.lock().unwrap();
        let overlap = |(from, to): &(Instant, Option<Instant>)| {
            to.unwrap_or(now).min(now).saturating_duration_since((*from).max(begun))
        };
        (now - begun).saturating_sub(pauses.iter().map(overlap).sum())
    }

    /// One answer has come: it must not have been late. `waited` is what the request itself asked the server to wait.
    pub fn answered(&self, what: &str, begun: Instant, waited: Duration) {
        let unexplained = self.served_since(begun).saturating_sub(waited);
        assert!(
            unexplained <= UNEXPLAINED_MAX,
            "{what} was outstanding for {unexplained:?} beyond all pauses"
        );
    }
}

#[test]
fn no_request_is_outstanding_for_longer_than_the_pauses_explain() {
    let seconds = from_environment("RINGMAIN_SOAK_SECONDS").unwrap_or(30);
    let seed = from_environment("RINGMAIN_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("RINGMAIN_SOAK_SEED={seed} RINGMAIN_SOAK_SECONDS={seconds}");
    let scratch = scratch();
    let server = Launch::new(&scratch.path().join("data")).start();
    let address = server.address();
    let cluster = Cluster::connect(&address, ConnectionOptions::default()).unwrap();
    // Small segments and little kept: what the load writes must fit the disk of any machine that runs the tests.
    let configs = [("segment.bytes", "16777216"), ("retention.bytes", "67108864")];
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(PARTITIONS),
        replication_factor: Some(1),
        configs,
    };
    let mut admin = Admin::new(cluster, PATIENCE);
    admin.create_topic(&topic).unwrap();
    admin.ready_topic(TOPIC, PATIENCE).unwrap();

    let course = Arc::new(Course::default());
    let begin = |name: &'static str, number: u64, load: fn(&str, Rng, &Course) -> u64| {
        let (address, course) = (address.clone(), Arc::clone(&course));
        let rng = Rng::seeded(seed.wrapping_mul(31) ^ number);
        (name, thread::spawn(move || load(&address, rng, &course)))
    };
    let loads = [
        begin("pipelined writes", 1, load::write_pipelined),
        begin("pipelined writes", 2, load::write_pipelined),
        begin("large writes", 3, load::write_large),
        begin("lonely writes", 4, load::write_now_and_then),
        begin("lonely writes", 5, load::write_now_and_then),
        begin("reads at the tail", 6, load::read_the_tail),
        begin("reads from the start", 7, load::read_from_the_start),
        begin("questions", 8, load::ask),
        begin("connections", 9, load::connect_anew),
    ];
    let hogs: Vec<_> = (0..HOGS)
        .map(|_| {
            let course = Arc::clone(&course);
            thread::spawn(move || {
                while !course.is_over() {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();

    let mut rng = Rng::seeded(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end && loads.iter().all(|(_, load)| !load.is_finished()) {
        // The moments are what is random here; nothing is waited for.
        thread::sleep(Duration::from_millis(rng.below(700)));
        course.pause();
        server.signal(libc::SIGSTOP);
        thread::sleep(Duration::from_millis(rng.below(400)));
        server.signal(libc::SIGCONT);
        course.go_on();
    }
    course.over.store(true, Ordering::Relaxed);
    for (name, load) in loads {
        let answers = load.join().unwrap();
        println!("{name}: {answers} answers");
        assert!(answers > seconds, "{name}: only {answers} answers");
    }
    hogs.into_iter().for_each(|hog| hog.join().unwrap());
    assert_eq!(server.stop(), Some(0));
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
