//! Several threads for what waits for the disk far longer than it computes: ten thousand partitions are opened, read and
//! written into one after the other in ten seconds, if nothing of them is in memory.

use std::thread;

use super::error::RecoveryError;
use super::files::SegmentFiles;

const THREADS: usize = 8;

/// Does `work` on all `items`, in as many runs of them as there are threads; the results in the order of the items.
pub(super) fn on_runs<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&[T]) -> Result<Vec<R>, RecoveryError> + Sync,
) -> Result<Vec<R>, RecoveryError> {
    let mut all = Vec::with_capacity(items.len());
    for (done, ()) in runs(items, || (), |run, ()| work(run)) {
        all.extend(done?);
    }
    Ok(all)
}

/// [`on_runs`] for work that writes into segments: each thread gets a part of `files`.
pub(super) fn on_runs_with<T: Sync, R: Send>(
    items: &[T],
    files: &mut SegmentFiles,
    work: impl Fn(&[T], &mut SegmentFiles) -> Result<Vec<R>, RecoveryError> + Sync,
) -> Result<Vec<R>, RecoveryError> {
    let results = runs(items, || files.part(THREADS), work);
    let mut all = Vec::with_capacity(items.len());
    for (done, part) in results {
        // Also of those that failed: what they have written must not be forgotten.
        files.absorb(part);
        all.extend(done?);
    }
    Ok(all)
}

fn runs<T: Sync, C: Send, R: Send>(
    items: &[T],
    context: impl Fn() -> C,
    work: impl Fn(&[T], &mut C) -> R + Sync,
) -> Vec<(R, C)> {
    let runs = items.chunks(items.len().div_ceil(THREADS).max(1));
    thread::scope(|scope| {
        let begin = |run| {
            let (mut context, work) = (context(), &work);
            scope.spawn(move || (work(run, &mut context), context))
        };
        let threads: Vec<_> = runs.map(begin).collect();
        threads.into_iter().map(|thread| thread.join().expect("a panic ends the process")).collect()
    })
}
