//! The end of the process at once, without any order: after a failed write, or when somebody insists.
//!
//! What was logged last says why, so it is written first, if that goes quickly. Meanwhile other shards go on: they acknowledge
//! only what writes of their own have made durable.

use std::sync::Arc;

#[derive(Clone)]
pub struct Ending {
    last_lines: Arc<dyn Fn() + Send + Sync>,
}

impl Ending {
    /// `last_lines` writes out what has been logged, and does not wait long.
    #[must_use]
    pub fn new(last_lines: impl Fn() + Send + Sync + 'static) -> Ending {
        Ending { last_lines: Arc::new(last_lines) }
    }

    pub fn end(&self, exit_code: u8) -> ! {
        (self.last_lines)();
        std::process::exit(i32::from(exit_code))
    }
}
