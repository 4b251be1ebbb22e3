//! A topic beside the one under load: filled before, and then given the settings that make the broker busy with it
//! (compaction, retention) while the load is measured.

use std::time::Duration;

use ringmain::client::{Admin, Cluster, ConnectionOptions};
use ringmain::protocol::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, describe_log_dirs_request as dirs,
};
use ringmain::protocol::{ApiKey, decode_body};

use crate::broker::Broker;
use crate::distribution::to_f64;
use crate::error::BenchError;
use crate::load::Load;
use crate::outcome::Value;
use crate::scenario::{BesidePlan, Scenario};
use crate::topic::{self, Topic};

const PATIENCE: Duration = Duration::from_secs(30);

/// The topic, for as long as a run needs it.
pub struct Beside<'a> {
    plan: &'a BesidePlan,
    topic: Topic,
    bytes_before: u64,
}

impl<'a> Beside<'a> {
    /// Creates the topic anew and fills it.
    pub fn filled(broker: &mut Broker, name: &str, plan: &'a BesidePlan) -> Result<Beside<'a>, BenchError> {
        let configs: Vec<(String, String)> = plan.topic.configs.clone().into_iter().collect();
        if !topic::create(broker, name, plan.topic.partitions, plan.topic.replication_factor, &configs)? {
            return Err(BenchError::Needs(format!("topic {name} is there already; delete it first")));
        }
        let topic = topic::find(broker, name, plan.topic.partitions)?;
        let scenario = Scenario { fill: Some(plan.fill), topic: plan.topic.clone(), ..Scenario::default() };
        Load::new(&topic, &scenario)?.fill(&plan.fill)?;
        Ok(Beside { plan, bytes_before: bytes(broker, &topic)?, topic })
    }

    /// Sets what makes the broker begin.
    pub fn begin(&self, bootstrap_server: &str) -> Result<(), BenchError> {
        let cluster = Cluster::connect(bootstrap_server, ConnectionOptions::default())?;
        let then = self.plan.then.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        let changes: Vec<_> = then.collect();
        Ok(Admin::new(cluster, PATIENCE).alter_topic_configs(&self.topic.name, &changes)?)
    }

    /// How much it held before and holds now: the same means that the broker did nothing.
    pub fn values(&self, broker: &mut Broker) -> Result<Vec<Value>, BenchError> {
        let now = bytes(broker, &self.topic)?;
        let megabytes = |bytes| to_f64(bytes) / 1e6;
        Ok(vec![
            Value::new("topic beside, before", megabytes(self.bytes_before), "MB"),
            Value::new("topic beside, after", megabytes(now), "MB"),
        ])
    }
}

/// What the logs of a topic take.
fn bytes(broker: &mut Broker, topic: &Topic) -> Result<u64, BenchError> {
    let wanted = dirs::DescribableLogDirTopic {
        topic: topic.name.as_str().into(),
        partitions: topic.partitions.iter().map(|partition| partition.index).collect(),
    };
    let request = DescribeLogDirsRequest { topics: Some(vec![wanted]) };
    let (version, body) = broker.call(ApiKey::DescribeLogDirs, 4, &request)?;
    let answer: DescribeLogDirsResponse<'_> = decode_body(&body, version)?;
    let topics = answer.results.iter().flat_map(|result| &result.topics);
    let sizes = topics.flat_map(|topic| &topic.partitions).map(|partition| partition.partition_size);
    Ok(sizes.filter_map(|size| u64::try_from(size).ok()).sum())
}
