//! This server among others.

use crate::config::setting::{Kind, Setting};

pub(super) const ROWS: &[Setting] = &[
    Setting::int("node.id", "1", 0, "Server id; clients see node ids server id × 1000 (+ shard).")
        .within(0, 2_147_482)
        .acts(),
    Setting::int("broker.id", "-1", -1, "Older name of node.id; -1 when unused."),
    Setting::unset(
        "broker.rack",
        Kind::String,
        "Where the server stands, for placing replicas and reading nearby.",
    )
    .acts(),
];
