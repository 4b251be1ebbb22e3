//! What an operator wants to be taken off a server: the broker config `ringmain.drain`.

/// What is to leave a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drain {
    Nothing,
    /// The server leads only what nobody else can: maintenance.
    Leaderships,
    /// The server gets no replicas any more, and gives away those it has: it is to be removed.
    Replicas,
}

impl Drain {
    pub const CONFIG: &'static str = "ringmain.drain";

    pub fn of(value: Option<&str>) -> Drain {
        match value.map(str::trim) {
            Some("leaderships") => Drain::Leaderships,
            Some("replicas") => Drain::Replicas,
            _ => Drain::Nothing,
        }
    }
}
