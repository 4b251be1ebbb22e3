//! The only glommio user: executors, files, sockets, timers, the mesh; performs what shards decide.

pub mod recovery;
