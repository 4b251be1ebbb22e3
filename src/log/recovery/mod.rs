//! What recovery concludes from what it finds of one partition on the disk: evidence in, verdict out.
//!
//! Recovery asks a few questions, always in this order. Each has a struct of evidence, whose function `verdict` answers; all
//! answers are arms of one enum, [`Verdict`], which tells with each how the disk got there.
//!
//! | evidence | question |
//! |---|---|
//! | [`TopicFolder`] | Does anybody know the topic? |
//! | [`CutsNoted`] | Was the log cut, or is it to be cut before anything is read of it? |
//! | [`Folder`] | Where does the log begin, and where does the scan of its segments begin? |
//! | [`Place`] | Is this segment file the log's next one? |
//! | [`IndexEvidence`] | Does the index of a part that was whole before lead to where it says? |
//! | [`CheckpointedPart`] | Is the part below the checkpoint's position as the checkpoint found it? |
//! | [`Interruption`] | No batch stands where the next one was expected: is something durable damaged? |
//! | [`SegmentEnd`] | No further batch of the segment was found: was that its end? |
//! | [`LogEnd`] | All segments are seen: where does the log end, and in which segment does it go on? |
//! | [`KnownWatermark`] | How much of the log was committed? |
//!
//! *Durable* is what a checkpoint or the commit log names as being on stable storage: an offset, and all records below it.
//! No offset that was acknowledged is ever given to another record.
//!
//! Pure; knows no file, and nothing of how the evidence is gathered or a verdict carried out (the runtime's part). A question
//! that is dear to ask has a function that says beforehand whether it must be asked.
//!
//! A segment's file may hold what an older segment of the same log left in it ([`super::suits`]). All of that has offsets below
//! the segment's base, so none of it is ever the batch that is expected next, and looking behind damage passes it over: it
//! neither makes the log longer nor is damage. Only the batch that ends what was durable may have such bytes behind it.

mod cuts;
mod evidence;
mod recovered;
#[cfg(test)]
mod tests;
mod verdict;

pub use cuts::{CutsNoted, KnownWatermark};
pub use evidence::{
    CheckpointedPart, Folder, IndexEvidence, Interruption, LogEnd, Place, Reach, SegmentEnd, Stands,
    TopicFolder,
};
pub use recovered::{Beginning, RecoveredLog, RecoveredSegment};
pub use verdict::Verdict;
