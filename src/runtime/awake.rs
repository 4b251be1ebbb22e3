//! Keeps an executor awake before its host exists: opening files and joining the mesh wait for events too, and an
//! executor of glommio 0.9 may park although they have come (see [`super::host`]).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(5);

/// Two timers half a period apart, until dropped. Their tasks then end by themselves.
#[derive(Debug)]
pub struct Awake {
    over: Rc<Cell<bool>>,
}

impl Awake {
    /// On the executor to be kept awake.
    #[must_use]
    pub fn begin() -> Awake {
        let over = Rc::new(Cell::new(false));
        for delay in [Duration::ZERO, PERIOD / 2] {
            let over = Rc::clone(&over);
            glommio::spawn_local(async move {
                glommio::timer::sleep(delay).await;
                while !over.get() {
                    glommio::timer::sleep(PERIOD).await;
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
