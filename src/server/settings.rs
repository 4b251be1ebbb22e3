//! The settings in force on a shard: as read at start, with what was changed since.
//!
//! Changed settings are records of the metadata log. They are resolved anew when somebody asks for them and the image has
//! another version than the last time; the shard is told then, too.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::config::{Changes, Config};
use crate::runtime::Driver;

use super::budgets;
use super::moving::Moving;

pub(super) struct Settings {
    at_start: Config,
    in_force: RefCell<Rc<Config>>,
    /// Version of the image from which the settings in force were resolved.
    version: Cell<i64>,
}

impl Settings {
    pub(super) fn new(at_start: Config) -> Settings {
        Settings { in_force: RefCell::new(Rc::new(at_start.clone())), version: Cell::new(-1), at_start }
    }

    /// Settings that only a start can change are the same here as in [`Settings::in_force`].
    pub(super) fn at_start(&self) -> &Config {
        &self.at_start
    }

    pub(super) fn in_force(&self, host: &Driver<Moving>) -> Rc<Config> {
        let image = host.image();
        if self.version.replace(image.version) != image.version {
            self.change(host, &image.changes());
        }
        Rc::clone(&self.in_force.borrow())
    }

    fn change(&self, host: &Driver<Moving>, changes: &Changes) {
        if *changes == *self.in_force.borrow().changes() {
            return;
        }
        match self.at_start.with_changes(changes) {
            Ok(changed) => {
                host.reconfigure(budgets::retention(&changed), budgets::compaction(&changed));
                *self.in_force.borrow_mut() = Rc::new(changed);
            }
            // The controller has tried the same.
            Err(error) => tracing::error!(%error, "changed settings are not in force"),
        }
    }
}
