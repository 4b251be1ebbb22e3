//! coordinators

use crate::config::setting::Setting;

pub(super) const ROWS: &[Setting] = &[];
