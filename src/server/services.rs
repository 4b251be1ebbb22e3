//! What the connections and requests of one shard share: the shard's host, the settings in force, pools, counters, and what
//! APIs remember from one request to the next.
//!
//! Knows neither connections nor requests in progress; both are given this.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use crate::api::{ConnectionState, Context, DiskSpace, FetchSessions, Telemetry};
use crate::base::metrics::Metric;
use crate::config::Config;
use crate::runtime::Driver;

use super::budgets;
use super::holdings::Pools;
use super::metrics::Counters;
use super::moving::Moving;
use super::preflight;
use super::settings::Settings;

/// How often the free space is looked at: a fast disk takes less than the reserve in between.
const DISK_WATCH: Duration = Duration::from_millis(250);

pub(super) struct Services {
    pub(super) host: Rc<Driver<Moving>>,
    pub(super) settings: Settings,
    pub(super) pools: Pools,
    pub(super) counters: Counters,
    disk: Cell<DiskSpace>,
    pub(super) sessions: RefCell<FetchSessions>,
    pub(super) telemetry: RefCell<Telemetry>,
}

pub(super) static METRICS: [Metric<Services>; 3] = [
    Metric::gauge("ringmain_requests_in_flight", "Requests read and not yet answered.", |it| {
        it.host.in_progress.get() as u64
    }),
    Metric::memory("frames", |it| it.pools.frames.used() as u64),
    Metric::memory("answers", |it| it.pools.answers.used() as u64),
];

impl Services {
    pub(super) fn new(host: &Rc<Driver<Moving>>, config: Config) -> Services {
        Services {
            host: Rc::clone(host),
            pools: budgets::pools(&config),
            counters: Counters::default(),
            disk: Cell::new(preflight::disk_space(&config.data_dir)),
            sessions: RefCell::new(FetchSessions::new(budgets::fetch_sessions_max(&config), entropy())),
            telemetry: RefCell::new(Telemetry::new(entropy())),
            settings: Settings::new(config),
        }
    }

    /// The settings in force.
    pub(super) fn config(&self) -> Rc<Config> {
        self.settings.in_force(&self.host)
    }

    /// Runs an API for a connection while `fetching` fetches are in progress on the shard.
    pub(super) fn in_context<R>(
        &self,
        connection: &RefCell<ConnectionState>,
        fetching: usize,
        act: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        let (image, config) = (self.host.image(), self.config());
        let mut state = connection.borrow_mut();
        let mut sessions = self.sessions.borrow_mut();
        let mut telemetry = self.telemetry.borrow_mut();
        let mut context = Context {
            served: &crate::api::SERVED,
            now: self.host.clock.now(),
            shard: self.host.here,
            image: &image,
            config: &config,
            disk: self.disk.get(),
            answer_bytes_max: budgets::answer_bytes_max(&self.pools.answers, fetching),
            answers_are_full: !self.pools.answers.has_room(),
            sessions: &mut sessions,
            telemetry: &mut telemetry,
            connection: &mut state,
        };
        act(&mut context)
    }

    /// Requests are no longer in progress: their answers have left, or nobody is there to take them.
    pub(super) fn answered(&self, requests: usize) {
        self.host.in_progress.set(self.host.in_progress.get() - requests);
    }

    /// Looks at the free space again and again, for the shard and for DescribeLogDirs.
    pub(super) async fn watch_disk(self: Rc<Self>) {
        loop {
            let disk = preflight::disk_space(&self.settings.at_start().data_dir);
            self.disk.set(disk);
            if let Ok(free) = u64::try_from(disk.usable_bytes) {
                self.host.disk_space(free, budgets::reserve_bytes(self.settings.at_start(), disk));
            }
            glommio::timer::sleep(DISK_WATCH).await;
        }
    }
}

/// Eight bytes of the kernel's entropy: ids drawn from them must differ from those of every earlier life.
pub(super) fn entropy() -> u64 {
    let mut bytes = [0; 8];
    let drawn = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    drawn.expect("Linux always has /dev/urandom");
    u64::from_ne_bytes(bytes)
}
