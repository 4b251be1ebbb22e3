//! A guide for strangers: pages that read the same here and on a forge, where they are the files of `src/guide`.
//!
//! - [`tour`]: one produce, one fetch, one heartbeat, file by file; what wakes what.
//! - [`words`]: the words that are ours, and Kafka's.
//! - [`formats`]: every file and frame, byte by byte, and what happens to older and newer ones.
//! - [`operating`]: settings, exit codes, metrics, alerts, backup, upgrade, full disks, damage, crashes.
//! - [`debugging`]: the log, a simulator's seed, one test, one rig, one bench, one request against Kafka.
//! - [`contributing`]: how a change is made, measured and handed in; how to add an API, a setting, a metric, a format.
//!
//! A page's links go to files, for a forge. The line before each page sends them to the modules of this documentation: of
//! two definitions of a link, the first counts.

/// A page, with its links sent to the modules beside it.
macro_rules! page {
    ($name:ident, $file:literal) => {
        #[doc = "[tour]: crate::guide::tour"]
        #[doc = "[words]: crate::guide::words"]
        #[doc = "[formats]: crate::guide::formats"]
        #[doc = "[operating]: crate::guide::operating"]
        #[doc = "[debugging]: crate::guide::debugging"]
        #[doc = "[contributing]: crate::guide::contributing"]
        #[doc = ""]
        #[doc = include_str!($file)]
        pub mod $name {}
    };
}

page!(tour, "tour.md");
page!(words, "words.md");
page!(formats, "formats.md");
page!(operating, "operating.md");
page!(debugging, "debugging.md");
page!(contributing, "contributing.md");
