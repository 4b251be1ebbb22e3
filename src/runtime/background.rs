//! Work that takes long: a thread on the shard's core, mostly at the lowest priority, begun with its first job. It does one job
//! after the other. For most of them nobody waits: compaction, scrubbing, deleting. Readers do wait for an index that is made
//! anew, and replicas for a cut, so these have threads to themselves.

use std::io;
use std::sync::Arc;

/// A job, and where its answer goes.
type Asked<J, A> = (J, flume::Sender<io::Result<A>>);

/// How a thread shares its core with the shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Priority {
    /// What the shard leaves.
    Lowest,
    /// As the shard itself: somebody waits.
    Usual,
}

#[derive(Debug)]
pub(super) struct Background<C, J, A> {
    name: &'static str,
    priority: Priority,
    /// Shared with the thread.
    pub(super) context: Arc<C>,
    work: fn(&C, J) -> io::Result<A>,
    jobs: Option<flume::Sender<Asked<J, A>>>,
}

impl<C, J, A> Background<C, J, A>
where
    C: Send + Sync + 'static,
    J: Send + 'static,
    A: Send + 'static,
{
    /// `work` does one job.
    pub(super) fn new(
        name: &'static str,
        priority: Priority,
        context: C,
        work: fn(&C, J) -> io::Result<A>,
    ) -> Background<C, J, A> {
        Background { name, priority, context: Arc::new(context), work, jobs: None }
    }

    /// Hands over a job; its answer comes by the channel.
    pub(super) fn begin(&mut self, job: J) -> io::Result<flume::Receiver<io::Result<A>>> {
        let jobs = match &self.jobs {
            Some(jobs) => jobs.clone(),
            None => {
                let (jobs, asked) = flume::unbounded::<Asked<J, A>>();
                let (context, work, priority) = (Arc::clone(&self.context), self.work, self.priority);
                let thread = std::thread::Builder::new().name(self.name.to_owned());
                thread.spawn(move || {
                    if priority == Priority::Lowest {
                        // SAFETY: three numbers; 0 is the calling thread. Failing leaves the priority as it is.
                        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
                    }
                    while let Ok((job, answer)) = asked.recv() {
                        // The shard may have stopped.
                        let _ = answer.send(work(&context, job));
                    }
                })?;
                self.jobs.insert(jobs).clone()
            }
        };
        let (answer, answered) = flume::bounded(1);
        jobs.send((job, answer)).map_err(|_| io::Error::other(format!("the {} has ended", self.name)))?;
        Ok(answered)
    }
}

/// The answer to a job, once there is one.
pub(super) async fn answer<A>(answered: flume::Receiver<io::Result<A>>) -> io::Result<A> {
    let ended = |_| io::Error::other("the thread that had the job has ended");
    answered.recv_async().await.map_err(ended)?
}
