//! What the controller knows of the server it runs on.

use std::sync::Arc;

use crate::base::ServerId;
use crate::config::{Config, TopicCreation};

/// The server that the controller runs on.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Kafka's form: 22 characters of base64url.
    pub cluster_id: String,
    pub server: ServerId,
    pub shards: u16,
    /// The server's settings as read at its start.
    pub settings: Arc<Config>,
    /// Defaults and limits of creation.
    pub topics: TopicCreation,
}

impl ControllerConfig {
    /// What a server's settings say to its controller.
    #[must_use]
    pub fn new(cluster_id: String, config: &Config) -> ControllerConfig {
        ControllerConfig {
            cluster_id,
            server: config.server_id,
            shards: config.shards(),
            settings: Arc::new(config.clone()),
            topics: config.topics,
        }
    }
}
