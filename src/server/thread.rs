//! The life of one shard's thread: from its recovered state to its orderly end.
//!
//! Makes what the shard's tasks share and starts them; they end with the thread. Decides nothing about requests or
//! connections.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use glommio::channels::channel_mesh::FullMesh;

use crate::admin::ScrapeRequest;
use crate::base::ShardId;
use crate::config::Config;
use crate::runtime::awake::Awake;
use crate::runtime::clock::Clock;
use crate::runtime::mesh::{Mesh, Message};
use crate::runtime::{Driver, Ending, files};
use crate::shard::{ClusterConfig, Shard, ShardConfig, ShardRecovery};

use super::accept;
use super::budgets;
use super::listener::Bound;
use super::moving::Moving;
use super::registry::Registry;
use super::requests::Requests;
use super::scrapes;
use super::services::{Services, entropy};

/// How long an orderly stop waits for requests in progress.
const DRAIN: Duration = Duration::from_secs(5);
/// How long a stop waits between two looks at them.
const DRAIN_PAUSE: Duration = Duration::from_millis(5);
/// How long a start waits between two looks at whether the server takes part in its cluster.
const TAKES_PART_PAUSE: Duration = Duration::from_micros(200);
/// After this time the tasks of closed connections have had a turn, and have ended.
const LAST_TURNS: Duration = Duration::from_millis(10);

/// What a shard's thread is given.
pub(super) struct ShardThread {
    pub(super) here: ShardId,
    pub(super) config: Config,
    /// Who the server is among others.
    pub(super) cluster: Arc<ClusterConfig>,
    pub(super) data: PathBuf,
    pub(super) recovered: ShardRecovery,
    pub(super) socket: Bound,
    pub(super) mesh: Option<FullMesh<Message<Moving>>>,
    pub(super) scraped: flume::Receiver<ScrapeRequest>,
    pub(super) stopping: flume::Receiver<()>,
    pub(super) started: mpsc::Sender<Result<ShardId, (ShardId, String)>>,
    pub(super) ending: Ending,
}

impl ShardThread {
    /// The shard's whole life.
    pub(super) async fn run(self) {
        let awake = Awake::begin();
        if let Err(error) = files::probe(&self.data, self.here).await {
            let _ = self.started.send(Err((self.here, error.to_string())));
            return;
        }
        let (mesh, incoming) = Mesh::join(self.mesh, self.here, self.config.shards()).await;
        let shard = budgets::shard_config(self.here, &self.config, entropy());
        let config = ShardConfig { cluster: Some(self.cluster), ..shard };
        let handles = files::handles_max(self.config.shards());
        let host =
            Driver::new(config, self.recovered, &self.data, handles, Clock::start(), mesh, self.ending);
        let services = Rc::new(Services::new(&host, self.config));
        let requests = Requests::new(&services);
        let registry = Rc::new(Registry::new(&services, &requests));
        host.run();
        drop(awake);
        if let Some(incoming) = incoming {
            let (receiver, arrivals) = (Rc::clone(&host), Rc::clone(&registry));
            let receive: Rc<dyn Fn(ShardId, Message<Moving>)> = Rc::new(move |from, message| {
                if let Some(moving) = receiver.receive(from, message) {
                    arrivals.arrive(moving);
                }
            });
            // The mesh belongs to the host by now; its outgoing queues are reached through it.
            host.run_mesh(incoming, &receive);
        }
        // Before, a server leads nothing, and clients would hear just that.
        while !host.with_shard(Shard::takes_part) {
            glommio::timer::sleep(TAKES_PART_PAUSE).await;
        }
        glommio::spawn_local(accept::run(Rc::clone(&services), Rc::clone(&registry), self.socket)).detach();
        glommio::spawn_local(Rc::clone(&registry).sweep()).detach();
        glommio::spawn_local(Rc::clone(&services).watch_disk()).detach();
        glommio::spawn_local(scrapes::answer(services, Rc::clone(&registry), self.scraped)).detach();
        let _ = self.started.send(Ok(self.here));
        // An error means the main thread is gone: stop as well.
        let _ = self.stopping.recv_async().await;
        stop(&host, &requests, &registry).await;
    }
}

/// Takes no more requests, answers those in progress, and brings the shard to its orderly end.
async fn stop(host: &Rc<Driver<Moving>>, requests: &Requests, registry: &Registry) {
    for connection in registry.alive() {
        connection.finish();
    }
    host.resign();
    requests.end_fetches();
    let until = host.clock.mono().plus_ms(u64::try_from(DRAIN.as_millis()).unwrap_or(0));
    while host.in_progress.get() > 0 && host.clock.mono() < until {
        glommio::timer::sleep(DRAIN_PAUSE).await;
    }
    host.stop().await;
    for connection in registry.alive() {
        connection.close();
    }
    glommio::timer::sleep(LAST_TURNS).await;
}
