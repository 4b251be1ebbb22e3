//! What may become of topics: validation of creations, deletions and growth, in Kafka's order and Kafka's words.
//!
//! Owns the checks of names, partitions, replication, assignments and configs against a state, and the limits on them.
//! Does not know records, ids to come, nor what is durable: it changes nothing but its own count of what a request has
//! been granted so far. The tests ask through the controller, for a refusal must also leave nothing to append.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{PartitionIndex, ServerId, TopicId};
use crate::config::topic::{TopicDefaults, TopicSettings};

use super::assignment::{check_added, check_assignments};
use super::names;
use super::own::ControllerConfig;
use super::place::Places;
use super::request::{ControllerError, NewPartitions, NewTopic, TopicName};
use super::state::{Fold, State};

/// Bytes of configs set on one topic, names and values: its record stays far below what the metadata log takes.
const OVERRIDES_BYTES_MAX: usize = 64 << 10;

/// Partitions that one request may add, over all its topics.
const REQUEST_PARTITIONS_MAX: i64 = 10_000;

/// A creation that may go ahead.
#[derive(Clone, Debug)]
pub(super) struct AcceptedTopic {
    pub partitions: i32,
    pub layout: Layout,
    pub overrides: BTreeMap<String, String>,
}

/// Who keeps new partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// So many servers each, of the controller's choice.
    Chosen(usize),
    /// Servers named by the client, of each partition.
    Named(Vec<Vec<ServerId>>),
}

impl Layout {
    /// How often the partitions are kept.
    pub fn factor(&self) -> usize {
        match self {
            Layout::Chosen(factor) => *factor,
            Layout::Named(assigned) => assigned.first().map_or(0, Vec::len),
        }
    }
}

/// # Errors
/// When a topic's configs are more than its records should carry.
pub(super) fn check_overrides_size(overrides: &BTreeMap<String, String>) -> Result<(), ControllerError> {
    let bytes: usize = overrides.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > OVERRIDES_BYTES_MAX {
        let message = format!("The topic's configs take {bytes} bytes; {OVERRIDES_BYTES_MAX} are allowed.");
        return Err(ControllerError::InvalidConfig(message));
    }
    Ok(())
}

/// The state a request is judged against: what is decided, plus what the request's earlier topics add even when it
/// only asks to be validated.
pub(super) struct Judge<'a> {
    config: &'a ControllerConfig,
    state: &'a State,
    defaults: &'a TopicDefaults,
    /// Collision key → name, of topics accepted earlier in this request.
    accepted: BTreeMap<String, String>,
    /// Partitions accepted earlier in this request.
    partitions: usize,
}

impl<'a> Judge<'a> {
    pub fn new(config: &'a ControllerConfig, decided: &'a Fold) -> Judge<'a> {
        let (state, defaults) = (&decided.state, &decided.here.topic_defaults);
        Judge { config, state, defaults, accepted: BTreeMap::new(), partitions: 0 }
    }

    /// # Errors
    /// Why Kafka would refuse the topic.
    pub fn creation(&mut self, topic: &NewTopic) -> Result<AcceptedTopic, ControllerError> {
        self.check_name(&topic.name)?;
        let overrides = self.check_configs(&topic.configs)?;
        let (partitions, layout) = self.check_placement(topic)?;
        self.check_room(0, partitions)?;
        self.accepted.insert(names::collision_key(&topic.name), topic.name.clone());
        Ok(AcceptedTopic { partitions, layout, overrides })
    }

    /// How many partitions growth adds to which topic, and from where.
    ///
    /// # Errors
    /// Why Kafka would refuse the growth.
    pub fn growth(&mut self, wanted: &NewPartitions) -> Result<Growth, ControllerError> {
        let topic = self.state.cluster.topic(&wanted.name).ok_or(ControllerError::UnknownTopic)?;
        let existing = i32::try_from(topic.partitions.len()).expect("partition counts fit i32");
        if wanted.count == existing {
            return Err(ControllerError::InvalidPartitions(format!(
                "Topic already has {existing} partition(s)."
            )));
        }
        if wanted.count < existing {
            return Err(ControllerError::InvalidPartitions(format!(
                "The topic {} currently has {existing} partition(s); {} would not be an increase.",
                wanted.name, wanted.count
            )));
        }
        let added = wanted.count - existing;
        let factor = topic.partitions.first().map_or(1, |first| first.replicas().len());
        let layout = match &wanted.assignments {
            Some(assignments) => {
                let assigned = check_added(added, assignments, factor, |server| self.is_known(server))?;
                self.check_leaders(&assigned)?;
                Layout::Named(assigned)
            }
            None => {
                self.places().check(factor)?;
                Layout::Chosen(factor)
            }
        };
        self.check_room(existing, added)?;
        Ok(Growth { topic: topic.id, first: PartitionIndex(existing), count: added, layout })
    }

    fn check_name(&self, name: &str) -> Result<(), ControllerError> {
        if name == names::METADATA_TOPIC {
            let message = format!("Creation of internal topic {name} is prohibited.");
            return Err(ControllerError::InvalidRequest(message));
        }
        names::check_topic_name(name).map_err(ControllerError::InvalidTopicName)?;
        if self.state.cluster.topic(name).is_some() {
            return Err(ControllerError::TopicExists(name.to_owned()));
        }
        let earlier = self.accepted.get(&names::collision_key(name)).map(String::as_str);
        match self.state.colliding(name).map(|holder| &**holder).or(earlier) {
            Some(holder) => Err(ControllerError::InvalidTopicName(format!(
                "Topic '{name}' collides with existing topic: {holder}"
            ))),
            None => Ok(()),
        }
    }

    fn check_configs(
        &self,
        configs: &BTreeMap<String, Option<String>>,
    ) -> Result<BTreeMap<String, String>, ControllerError> {
        let mut overrides = BTreeMap::new();
        for (name, value) in configs {
            let Some(value) = value else {
                let message = format!("Null value not supported for topic configs: {name}");
                return Err(ControllerError::InvalidConfig(message));
            };
            overrides.insert(name.clone(), value.clone());
        }
        check_overrides_size(&overrides)?;
        TopicSettings::resolve(&overrides, self.defaults)
            .map_err(|error| ControllerError::InvalidConfig(error.to_string()))?;
        Ok(overrides)
    }

    /// The number of partitions and who keeps them, from the numbers given or from a manual assignment.
    fn check_placement(&self, topic: &NewTopic) -> Result<(i32, Layout), ControllerError> {
        if !topic.assignments.is_empty() {
            let assigned = check_assignments(topic, |server| self.is_known(server))?;
            self.check_leaders(&assigned)?;
            let count = i32::try_from(assigned.len()).unwrap_or(i32::MAX);
            return Ok((count, Layout::Named(assigned)));
        }
        let places = self.places();
        let by_default = || self.config.topics.replication_factor.map_or(places.factor(), count_of);
        let factor = match topic.replication_factor {
            -1 => by_default(),
            factor if factor < 1 => {
                return Err(ControllerError::InvalidReplicationFactor(
                    "Replication factor must be larger than 0, or -1 to use the default value.".into(),
                ));
            }
            factor => count_of(factor),
        };
        places.check(factor)?;
        match topic.partitions {
            -1 => Ok((self.config.topics.partitions, Layout::Chosen(factor))),
            count if count < 1 => Err(ControllerError::InvalidPartitions(
                "Number of partitions must be larger than 0, or -1 to use the default value.".into(),
            )),
            count => Ok((count, Layout::Chosen(factor))),
        }
    }

    fn places(&self) -> Places {
        Places::new(&self.state.cluster, self.config.server)
    }

    /// Before any server has registered, this one is all there is.
    fn is_known(&self, server: ServerId) -> bool {
        let servers = &self.state.cluster.servers;
        servers.contains_key(&server) || servers.is_empty() && server == self.config.server
    }

    /// Each partition that is named has a replica that can lead it.
    fn check_leaders(&self, assigned: &[Vec<ServerId>]) -> Result<(), ControllerError> {
        let places = self.places();
        let led = |replicas: &Vec<ServerId>| replicas.iter().any(|server| places.is_unfenced(*server));
        match assigned.iter().position(|replicas| !led(replicas)) {
            Some(partition) => Err(ControllerError::InvalidReplicaAssignment(format!(
                "All brokers specified in the manual partition assignment for partition {partition} are fenced or in \
                 controlled shutdown."
            ))),
            None => Ok(()),
        }
    }

    /// Whether a topic of `existing` partitions may have `added` more; if so they count from now on.
    fn check_room(&mut self, existing: i32, added: i32) -> Result<(), ControllerError> {
        let limits = &self.config.topics;
        let total = i64::from(existing) + i64::from(added);
        if total > i64::from(limits.topic_partitions_max) {
            return Err(ControllerError::PolicyViolation(format!(
                "A topic may have up to {} partitions; {total} were asked for.",
                limits.topic_partitions_max
            )));
        }
        let added = usize::try_from(added).expect("checked to be positive");
        let server_total = self.state.partitions + self.partitions + added;
        if server_total > usize::try_from(limits.partitions_max).unwrap_or(usize::MAX) {
            return Err(ControllerError::PolicyViolation(format!(
                "This server may have up to {} partitions; this would make it {server_total}.",
                limits.partitions_max
            )));
        }
        self.partitions += added;
        Ok(())
    }
}

/// How many partitions a creation asks for, before anybody looks whether it may.
pub(super) fn asked(topic: &NewTopic, config: &ControllerConfig) -> i64 {
    match topic.partitions {
        -1 if topic.assignments.is_empty() => config.topics.partitions.into(),
        -1 => i64::try_from(topic.assignments.len()).unwrap_or(i64::MAX),
        count => count.max(0).into(),
    }
}

/// How many partitions a growth asks for.
pub(super) fn added(wanted: &NewPartitions, state: &State) -> i64 {
    let Some(topic) = state.cluster.topic(&wanted.name) else { return 0 };
    (i64::from(wanted.count) - i64::try_from(topic.partitions.len()).unwrap_or(i64::MAX)).max(0)
}

/// As in Kafka, a request for too many partitions gets none of them.
///
/// # Errors
/// POLICY_VIOLATION, for each of its topics; `what` is what there are too many of.
pub(super) fn check_request(counts: impl Iterator<Item = i64>, what: &str) -> Result<(), ControllerError> {
    if counts.fold(0i64, i64::saturating_add) <= REQUEST_PARTITIONS_MAX {
        return Ok(());
    }
    Err(ControllerError::PolicyViolation(format!("Excessively large number of {what} per request.")))
}

fn count_of(factor: i16) -> usize {
    usize::try_from(factor).unwrap_or(0)
}

/// Partitions to add to a topic.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    pub topic: TopicId,
    pub first: PartitionIndex,
    pub count: i32,
    pub layout: Layout,
}

/// The topics a deletion names, in its order. One named twice, in whatever way, is refused each time: nothing of it is
/// deleted.
pub(super) fn deletions(
    state: &State,
    topics: &[TopicName],
) -> Vec<Result<(TopicId, String), ControllerError>> {
    let find = |topic: &TopicName| match topic {
        TopicName::Name(name) => state.cluster.topic(name).ok_or(ControllerError::UnknownTopic),
        TopicName::Id(id) => state.cluster.topic_by_id(*id).ok_or(ControllerError::UnknownTopicId),
    };
    let mut once = BTreeSet::new();
    let found = topics.iter().filter_map(|wanted| find(wanted).ok()).map(|topic| topic.id);
    let repeated: BTreeSet<TopicId> = found.filter(|id| !once.insert(*id)).collect();
    topics
        .iter()
        .map(|wanted| {
            let topic = find(wanted)?;
            if repeated.contains(&topic.id) {
                return Err(ControllerError::InvalidRequest(match wanted {
                    TopicName::Name(_) => "Duplicate topic name.".into(),
                    TopicName::Id(_) => "Duplicate topic id.".into(),
                }));
            }
            Ok((topic.id, topic.name.to_string()))
        })
        .collect()
}

/// Names that occur more than once: each of these topics is refused, for no order among them is right.
pub(super) fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut once = BTreeSet::new();
    names.filter(|name| !once.insert(*name)).collect()
}

/// The refusal for a topic that [`repeated`] named.
pub(super) fn duplicate() -> ControllerError {
    ControllerError::InvalidRequest("Duplicate topic name.".into())
}

#[cfg(test)]
mod tests {
    use super::super::request::{ControllerRequest, DeletedTopic};
    use super::super::testing::{
        assigned, controller, create, creations, deletions, growths, perform, topic,
    };
    use super::*;

    fn with_config(name: &str, key: &str, value: Option<&str>) -> NewTopic {
        let configs = BTreeMap::from([(key.to_owned(), value.map(str::to_owned))]);
        NewTopic { configs, ..topic(name, 1) }
    }

    #[test]
    fn creations_are_refused_as_kafka_does() {
        use ControllerError as E;
        let factor = |replication_factor| NewTopic { replication_factor, ..topic("x", 1) };
        let both = NewTopic { partitions: 1, ..assigned("x", &[(0, &[1000])]) };
        let both_factor = NewTopic { replication_factor: 1, ..assigned("x", &[(0, &[1000])]) };
        type Expected = fn(&E) -> bool;
        let cases: Vec<(NewTopic, Expected)> = vec![
            (topic("taken.name", 1), |e| matches!(e, E::TopicExists(_))),
            (topic("taken_name", 1), |e| {
                e.to_string() == "Topic 'taken_name' collides with existing topic: taken.name"
            }),
            (topic("b ad", 1), |e| matches!(e, E::InvalidTopicName(_))),
            (topic("__cluster_metadata", 1), |e| matches!(e, E::InvalidRequest(_))),
            (topic("x", 0), |e| matches!(e, E::InvalidPartitions(_))),
            (topic("x", -2), |e| matches!(e, E::InvalidPartitions(_))),
            (topic("x", 11), |e| matches!(e, E::PolicyViolation(_))),
            (factor(0), |e| matches!(e, E::InvalidReplicationFactor(_))),
            (factor(2), |e| matches!(e, E::InvalidReplicationFactor(_))),
            (both, |e| matches!(e, E::InvalidRequest(_))),
            (both_factor, |e| matches!(e, E::InvalidRequest(_))),
            (assigned("x", &[(1, &[1000])]), |e| matches!(e, E::InvalidReplicaAssignment(_))),
            (assigned("x", &[(0, &[1000]), (0, &[1000])]), |e| matches!(e, E::InvalidReplicaAssignment(_))),
            (assigned("x", &[(0, &[])]), |e| matches!(e, E::InvalidReplicaAssignment(_))),
            (assigned("x", &[(0, &[2000])]), |e| matches!(e, E::InvalidReplicaAssignment(_))),
            (assigned("x", &[(0, &[-1])]), |e| matches!(e, E::InvalidReplicaAssignment(_))),
            (assigned("x", &[(0, &[1000, 1001])]), |e| matches!(e, E::InvalidReplicaAssignment(_))),
            (with_config("x", "no_such", Some("1")), |e| matches!(e, E::InvalidConfig(_))),
            (with_config("x", "retention.ms", None), |e| matches!(e, E::InvalidConfig(_))),
        ];
        for (wanted, expected) in cases {
            for validate_only in [true, false] {
                let (mut controller, mut rng) = controller();
                perform(&mut controller, &mut rng, &create(vec![topic("taken.name", 1)]));
                let request = ControllerRequest::CreateTopics { topics: vec![wanted.clone()], validate_only };
                let decision = controller.decide(&request, &mut rng);
                assert_eq!(decision.records, Vec::<Vec<u8>>::new());
                let error = creations(decision.reply).remove(0).expect_err("must be refused");
                assert!(expected(&error), "{wanted:?}: {error:?}");
            }
        }
    }

    #[test]
    fn the_servers_partition_limit_holds_within_one_request() {
        for validate_only in [true, false] {
            let (mut controller, mut rng) = controller();
            let topics = vec![topic("a", 10), topic("b", 9), topic("c", 2), topic("d", 1)];
            let request = ControllerRequest::CreateTopics { topics, validate_only };
            let results = creations(controller.decide(&request, &mut rng).reply);
            let accepted: Vec<bool> = results.iter().map(Result::is_ok).collect();
            assert_eq!(accepted, [true, true, false, true]);
        }
    }

    #[test]
    fn one_request_cannot_create_a_name_twice() {
        for validate_only in [true, false] {
            let (mut controller, mut rng) = controller();
            let topics = vec![topic("a", 1), topic("b.c", 1), topic("a", 2), topic("b_c", 1)];
            let request = ControllerRequest::CreateTopics { topics, validate_only };
            let results = creations(controller.decide(&request, &mut rng).reply);
            assert_eq!(results[0], Err(duplicate()));
            assert!(results[1].is_ok());
            assert_eq!(results[2], Err(duplicate()));
            assert!(matches!(results[3], Err(ControllerError::InvalidTopicName(_))));
        }
    }

    #[test]
    fn partitions_only_grow() {
        type Assignments = Option<Vec<Vec<i32>>>;
        let cases: Vec<(i32, Assignments, &str)> = vec![
            (2, None, "Topic already has 2 partition(s)."),
            (1, None, "The topic a currently has 2 partition(s); 1 would not be an increase."),
            (11, None, "A topic may have up to 10 partitions; 11 were asked for."),
            (
                4,
                Some(vec![vec![1000]]),
                "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
            ),
            (
                3,
                Some(vec![vec![7]]),
                "The manual partition assignment includes broker 7, but no such broker is registered.",
            ),
            (4, None, ""),
            (4, Some(vec![vec![1000], vec![1001]]), ""),
        ];
        for (count, assignments, message) in cases {
            for validate_only in [true, false] {
                let (mut controller, mut rng) = controller();
                perform(&mut controller, &mut rng, &create(vec![topic("a", 2)]));
                let topics =
                    vec![NewPartitions { name: "a".into(), count, assignments: assignments.clone() }];
                let request = ControllerRequest::CreatePartitions { topics, validate_only };
                let result = growths(perform(&mut controller, &mut rng, &request)).remove(0);
                assert_eq!(result.as_ref().map_err(ToString::to_string).err().unwrap_or_default(), message);
                let want = if result.is_ok() && !validate_only { count } else { 2 };
                assert_eq!(
                    controller.image().topics["a"].partitions.len(),
                    usize::try_from(want).expect("small")
                );
            }
        }
    }

    #[test]
    fn growth_names_topics_that_exist_once() {
        let (mut controller, mut rng) = controller();
        perform(&mut controller, &mut rng, &create(vec![topic("a", 2)]));
        let topics =
            ["a", "b", "a"].map(|name| NewPartitions { name: name.into(), count: 3, assignments: None });
        let request = ControllerRequest::CreatePartitions { topics: topics.to_vec(), validate_only: false };
        let results = growths(perform(&mut controller, &mut rng, &request));
        assert_eq!(results, [Err(duplicate()), Err(ControllerError::UnknownTopic), Err(duplicate())]);
    }

    #[test]
    fn deletion_goes_by_name_and_by_id_once() {
        let (mut controller, mut rng) = controller();
        let made = creations(perform(&mut controller, &mut rng, &create(vec![topic("a", 1), topic("b", 1)])));
        let id = made[1].as_ref().expect("created").id;
        let named = |name: &str| TopicName::Name(name.into());
        let mut delete = |topics: Vec<TopicName>| {
            deletions(perform(&mut controller, &mut rng, &ControllerRequest::DeleteTopics { topics }))
        };
        let refused = |result: &Result<_, _>| matches!(result, Err(ControllerError::InvalidRequest(_)));
        for twice in [[named("a"), named("a")], [TopicName::Id(id), named("b")]] {
            assert!(delete(twice.to_vec()).iter().all(refused), "nothing is deleted");
        }
        let results =
            delete(vec![named("a"), TopicName::Id(id), named("x"), TopicName::Id(TopicId([9; 16]))]);
        assert_eq!(results[0].as_ref().map(|deleted| deleted.name.as_str()), Ok("a"));
        assert_eq!(results[1], Ok(DeletedTopic { id, name: "b".into() }));
        assert_eq!(results[2], Err(ControllerError::UnknownTopic));
        assert_eq!(results[3], Err(ControllerError::UnknownTopicId));
        assert!(controller.image().topics.is_empty());
    }

    #[test]
    fn a_request_adds_ten_thousand_partitions_at_most() {
        let mut roomy = super::super::testing::config();
        (roomy.topics.partitions_max, roomy.topics.topic_partitions_max) = (100_000, 100_000);
        let mut controller = super::super::decide::Controller::new(roomy);
        let mut rng = crate::base::rng::Rng::seeded(1);
        let mut made = |topics: Vec<NewTopic>| {
            creations(perform(&mut controller, &mut rng, &create(topics)))
                .iter()
                .map(Result::is_ok)
                .collect::<Vec<_>>()
        };
        assert_eq!(made(vec![topic("a", 10_000), topic("b", 1)]), [false, false]);
        assert_eq!(made(vec![topic("c", 10_001), topic("c", 1), topic("a", 2)]), [false, false, true]);
        assert_eq!(made(vec![topic("b", 10_000)]), [true]);
        let mut grown = |counts: &[(&str, i32)]| {
            let topics = counts
                .iter()
                .map(|(name, count)| NewPartitions { name: (*name).into(), count: *count, assignments: None })
                .collect();
            let request = ControllerRequest::CreatePartitions { topics, validate_only: false };
            growths(perform(&mut controller, &mut rng, &request))
        };
        let many = ControllerError::PolicyViolation(
            "Excessively large number of additional partitions per request.".into(),
        );
        assert_eq!(grown(&[("a", 10_002), ("b", 10_001)]), [Err(many.clone()), Err(many.clone())]);
        assert_eq!(grown(&[("x", 2), ("a", 10_003)]), [Err(many.clone()), Err(many)]);
        assert_eq!(grown(&[("a", 10_001), ("b", 10_001)]), [Ok(()), Ok(())]);
    }
}
