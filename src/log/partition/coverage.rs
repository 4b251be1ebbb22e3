//! Which commit files a partition still needs, and what a release of them still awaits.

/// Which commit files the partition still needs. Ages are the commit log's; opaque but ordered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Coverage {
    /// The oldest file with bytes that are in no synced segment.
    pub(super) oldest: Option<u64>,
    /// The oldest file with bytes that went into the commit log since the release under way began.
    since_release: Option<u64>,
    pub(super) release: Release,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Release {
    #[default]
    None,
    /// What must still happen: the active segment's sync, and the commit log's write of the last block's rest.
    Running { sync: bool, remainder: bool },
}

impl Coverage {
    /// Bytes went into the commit file `serial`; serials ascend.
    pub(super) fn entered(&mut self, serial: u64) {
        let known = self.since_release.or(self.oldest);
        assert!(known.is_none_or(|known| known <= serial), "commit files are filled in order");
        match self.release {
            Release::None => _ = self.oldest.get_or_insert(serial),
            Release::Running { .. } => _ = self.since_release.get_or_insert(serial),
        }
    }

    /// The part of a release that is awaited ends, if it is awaited.
    pub(super) fn sync_ended(&mut self) {
        if let Release::Running { remainder, .. } = self.release {
            self.release = Release::Running { sync: false, remainder };
        }
    }

    pub(super) fn remainder_ended(&mut self) {
        if let Release::Running { sync, .. } = self.release {
            self.release = Release::Running { sync, remainder: false };
        }
    }

    /// Nothing is awaited any more: only files filled since the release began are needed.
    pub(super) fn end_release(&mut self) {
        assert!(
            self.since_release.is_none_or(|since| self.oldest.is_some_and(|oldest| oldest <= since)),
            "a release leaves later commit files than it began with"
        );
        *self = Coverage { oldest: self.since_release, since_release: None, release: Release::None };
    }
}
