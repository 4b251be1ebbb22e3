use std::ffi::c_long;
use std::process::ExitCode;

/// Chunks are block-aligned, of many sizes, and live long: glibc's heap takes up to twice their bytes and keeps what is freed
/// between them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Request frames and chunks come and go by the megabyte: given back at once, each would be faulted in anew page by page.
/// What nobody has used for so long goes back.
const FREED_KEPT_MS: c_long = 1000;
/// `mi_option_purge_delay`, for which the binding has no name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    // SAFETY: sets one number, before other threads start; what the environment says of it goes before.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, FREED_KEPT_MS) };
    ringmain::cli::run()
}
