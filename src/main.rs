use std::process::ExitCode;

/// Chunks are block-aligned, of many sizes, and live long: glibc's heap takes up to twice their bytes and keeps what is freed
/// between them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ringmain::cli::run()
}
