//! Keeps an executor awake before its driver exists: opening files and joining the mesh wait for events too, and an
//! executor of glommio 0.9 may park although they have come (see [`super::driver`]).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::clock::Clock;
use super::nudge;

const PERIOD: Duration = Duration::from_millis(5);

/// Two timers half a period apart run until this is dropped. Their tasks then end by themselves.
#[derive(Debug)]
pub struct Awake {
    over: Rc<Cell<bool>>,
}

impl Awake {
    /// Begins to keep the executor awake that this runs on.
    #[must_use]
    pub fn begin() -> Awake {
        let over = Rc::new(Cell::new(false));
        let clock = Clock::start();
        for offset in [Duration::ZERO, PERIOD / 2] {
            let over = Rc::clone(&over);
            glommio::spawn_local(async move {
                while !over.get() {
                    tick(clock, PERIOD, offset).await;
                }
            })
            .detach();
        }
        Awake { over }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.over.set(true);
    }
}

/// Waits for a keep-alive timer's next time, of those that are an offset past a multiple of the period: timers that counted from
/// when their tasks run would come together once their thread was held up, and stay together.
pub(super) async fn tick(clock: Clock, period: Duration, offset: Duration) {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let past = (clock.mono().0 + nanos(period) - nanos(offset)) % nanos(period);
    glommio::timer::sleep(period - Duration::from_nanos(past)).await;
    nudge::beat();
}
