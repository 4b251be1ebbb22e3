//! Ringmain's folders `src/base` and `src/protocol`, compiled apart from the rest of src.
//!
//! The generated messages are a third of all code, and an edit elsewhere in src need not compile them again. The crate
//! `ringmain` shows both folders under their own names, so nobody needs to know this crate.

#[path = "../../src/base/mod.rs"]
pub mod base;
#[path = "../../src/protocol/mod.rs"]
pub mod protocol;
