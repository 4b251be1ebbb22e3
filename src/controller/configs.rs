//! What may become of a topic's configs: the whole set replaced, or single ones set, removed, added to (KIP-339).

use std::collections::{BTreeMap, BTreeSet};

use crate::config::setting::{Kind, list};
use crate::config::topic::{self, TopicDefaults, TopicSettings};

use super::image::TopicImage;
use super::record::MetadataRecord;
use super::request::{ConfigChange, ConfigOp, ControllerError};

/// The records that carry a change out; none when it changes nothing.
///
/// # Errors
/// Why Kafka would refuse the change, in its words.
pub(super) fn judge(
    image: &TopicImage,
    change: &ConfigChange,
    defaults: &TopicDefaults,
) -> Result<Vec<MetadataRecord>, ControllerError> {
    let wanted = match change {
        ConfigChange::Replace(configs) => replaced(configs)?,
        ConfigChange::Edit(edits) => edited(image, edits, defaults)?,
    };
    super::topics::check_overrides_size(&wanted)?;
    for (name, value) in &wanted {
        // What is there already was valid once: a tightened rule must not stand in the way of other changes.
        if image.overrides.get(name) != Some(value) {
            topic::validate(name, value)
                .map_err(|error| ControllerError::InvalidConfig(error.to_string()))?;
        }
    }
    TopicSettings::resolve(&wanted, defaults)
        .map_err(|error| ControllerError::InvalidConfig(error.to_string()))?;
    let record = |name: &String, value: Option<&String>| MetadataRecord::Config {
        topic: image.id,
        name: name.clone(),
        value: value.cloned(),
    };
    let set = wanted.iter().filter(|(name, value)| image.overrides.get(*name) != Some(value));
    let removed = image.overrides.keys().filter(|name| !wanted.contains_key(*name));
    Ok(set
        .map(|(name, value)| record(name, Some(value)))
        .chain(removed.map(|name| record(name, None)))
        .collect())
}

fn replaced(configs: &[(String, Option<String>)]) -> Result<BTreeMap<String, String>, ControllerError> {
    check_repeated(configs.iter().map(|(name, _)| name.as_str()))?;
    configs.iter().map(|(name, value)| Ok((name.clone(), present(name, value.as_ref())?.clone()))).collect()
}

fn edited(
    image: &TopicImage,
    edits: &[(String, ConfigOp, Option<String>)],
    defaults: &TopicDefaults,
) -> Result<BTreeMap<String, String>, ControllerError> {
    check_repeated(edits.iter().map(|(name, _, _)| name.as_str()))?;
    let mut wanted = image.overrides.clone();
    for (name, op, value) in edits {
        match op {
            ConfigOp::Delete => {
                check_known(name)?;
                wanted.remove(name);
            }
            ConfigOp::Set => {
                wanted.insert(name.clone(), present(name, value.as_ref())?.clone());
            }
            ConfigOp::Append | ConfigOp::Subtract => {
                let value = present(name, value.as_ref())?;
                let now = listed(image, name, *op, defaults)?;
                wanted.insert(name.clone(), joined(&now, value, *op));
            }
        }
    }
    Ok(wanted)
}

/// The list a config has now, its own or inherited.
fn listed(
    image: &TopicImage,
    name: &str,
    op: ConfigOp,
    defaults: &TopicDefaults,
) -> Result<String, ControllerError> {
    let setting = check_known(name)?;
    if setting.kind != Kind::List {
        let op = if op == ConfigOp::Append { "APPEND" } else { "SUBTRACT" };
        let message = format!("Can't {op} to key {name} because its type is not LIST.");
        return Err(ControllerError::InvalidConfig(message));
    }
    let described = topic::describe(&image.overrides, defaults).into_iter();
    let found = described.into_iter().find(|entry| entry.setting.name == name);
    Ok(found.and_then(|entry| entry.value).unwrap_or_default())
}

fn joined(now: &str, value: &str, op: ConfigOp) -> String {
    let mut items: Vec<&str> = list(now).collect();
    match op {
        ConfigOp::Subtract => items.retain(|item| !list(value).any(|gone| gone == *item)),
        _ => {
            for item in list(value) {
                if !items.contains(&item) {
                    items.push(item);
                }
            }
        }
    }
    items.join(",")
}

fn check_known(name: &str) -> Result<&'static crate::config::setting::Setting, ControllerError> {
    topic::find(name)
        .ok_or_else(|| ControllerError::InvalidConfig(format!("Unknown topic config name: {name}")))
}

fn check_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), ControllerError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            let message = format!("Error due to duplicate config keys: {name}");
            return Err(ControllerError::InvalidRequest(message));
        }
    }
    Ok(())
}

fn present<'a>(name: &str, value: Option<&'a String>) -> Result<&'a String, ControllerError> {
    value.ok_or_else(|| ControllerError::InvalidRequest(format!("Null value not supported for : {name}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::base::TopicId;

    use super::*;

    fn image(overrides: &[(&str, &str)]) -> TopicImage {
        TopicImage {
            id: TopicId([1; 16]),
            name: Arc::from("t"),
            ordinal: 0,
            partitions: Vec::new(),
            overrides: overrides.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            settings: TopicSettings::default(),
            internal: false,
        }
    }

    /// What the change makes of these overrides.
    fn check(before: &[(&str, &str)], change: &ConfigChange, after: &[(&str, &str)]) {
        let image = image(before);
        let mut overrides = image.overrides.clone();
        for record in judge(&image, change, &TopicDefaults::default()).expect("allowed") {
            match record {
                MetadataRecord::Config { name, value: Some(value), .. } => overrides.insert(name, value),
                MetadataRecord::Config { name, value: None, .. } => overrides.remove(&name),
                other => panic!("{other:?}"),
            };
        }
        assert_eq!(overrides, super::tests::image(after).overrides, "{change:?}");
    }

    fn refused(change: &ConfigChange) -> ControllerError {
        judge(&image(&[]), change, &TopicDefaults::default()).expect_err("refused")
    }

    fn edit(name: &str, op: ConfigOp, value: Option<&str>) -> ConfigChange {
        ConfigChange::Edit(vec![(name.into(), op, value.map(Into::into))])
    }

    fn replace(configs: &[(&str, Option<&str>)]) -> ConfigChange {
        let configs = configs.iter().map(|(name, value)| ((*name).into(), value.map(Into::into)));
        ConfigChange::Replace(configs.collect())
    }

    #[test]
    fn changes_do_what_they_say() {
        let set = [("retention.ms", "5"), ("segment.ms", "6")];
        check(&set, &edit("retention.ms", ConfigOp::Set, Some("7")), &[("retention.ms", "7"), set[1]]);
        check(&set, &edit("retention.ms", ConfigOp::Delete, None), &set[1..]);
        check(&set, &edit("max.message.bytes", ConfigOp::Delete, None), &set);
        check(&set, &replace(&[("retention.ms", Some("8"))]), &[("retention.ms", "8")]);
        check(&set, &replace(&[]), &[]);
        let policy = |value| [("cleanup.policy", value)];
        check(&[], &edit("cleanup.policy", ConfigOp::Append, Some("compact")), &policy("delete,compact"));
        check(
            &policy("compact"),
            &edit("cleanup.policy", ConfigOp::Append, Some("compact")),
            &policy("compact"),
        );
        check(
            &policy("compact,delete"),
            &edit("cleanup.policy", ConfigOp::Subtract, Some("compact")),
            &policy("delete"),
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let invalid = |change: &ConfigChange| matches!(refused(change), ControllerError::InvalidConfig(_));
        let request = |change: &ConfigChange| matches!(refused(change), ControllerError::InvalidRequest(_));
        assert!(invalid(&edit("no.such.config", ConfigOp::Set, Some("1"))));
        assert!(invalid(&edit("no.such.config", ConfigOp::Delete, None)));
        assert!(invalid(&edit("retention.ms", ConfigOp::Set, Some("soon"))));
        assert!(invalid(&edit("retention.ms", ConfigOp::Append, Some("1"))));
        assert!(invalid(&edit("cleanup.policy", ConfigOp::Append, Some("shrink"))));
        assert!(invalid(&replace(&[("no.such.config", Some("1"))])));
        assert!(request(&edit("retention.ms", ConfigOp::Set, None)));
        assert!(request(&replace(&[("retention.ms", None)])));
        assert!(request(&replace(&[("retention.ms", Some("1")), ("retention.ms", Some("2"))])));
    }
}
