//! Whether the controller decides.

use crate::base::LeaderEpoch;

/// Where the controller stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// No quorum was formed: this server is the cluster, and decides.
    Alone,
    /// Another server decides, or nobody.
    Following,
    /// Elected in this epoch, whose first record is not folded yet.
    Elected(LeaderEpoch),
    Active {
        epoch: LeaderEpoch,
        begun: Begun,
    },
}

/// Whether an active controller has looked at the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begun {
    No,
    /// Nobody else has decided since it has looked at every partition.
    Yes,
}

impl Standing {
    pub fn decides(self) -> bool {
        matches!(self, Standing::Alone | Standing::Active { .. })
    }

    /// Whether an active controller knows the time.
    pub fn has_begun(self) -> bool {
        matches!(self, Standing::Active { begun: Begun::Yes, .. })
    }
}
