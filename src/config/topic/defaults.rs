//! What topics inherit from the broker's settings, and how a topic's configs are described.

use std::collections::BTreeMap;

use crate::config::broker;
use crate::config::setting::{Described, Origin, Synonym};

use super::table::{ROWS, Row};

/// The values that topics inherit: the broker settings that somebody has set, by name. Each has all values that were set,
/// the one in force first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicDefaults {
    written: BTreeMap<&'static str, Vec<(String, Origin)>>,
}

impl TopicDefaults {
    /// Picks the settings that topics inherit from checked broker settings.
    #[must_use]
    pub fn from_broker(layers: impl Fn(&str) -> Vec<(String, Origin)>) -> TopicDefaults {
        let inherited = ROWS.iter().flat_map(|row| row.inherits.iter().map(|(name, _)| *name));
        let written = inherited.map(|name| (name, layers(name)));
        TopicDefaults { written: written.filter(|(_, layers)| !layers.is_empty()).collect() }
    }

    /// The value that a topic without configs of its own has, in the topic's units, and where it comes from.
    pub(super) fn value(&self, row: &Row) -> (String, Origin) {
        let inherited =
            row.inherits.iter().find_map(|(name, scale)| Some((self.written.get(name)?.first()?, *scale)));
        match inherited {
            Some(((value, origin), 1)) => (value.clone(), *origin),
            Some(((value, origin), scale)) => (scaled(value, scale), *origin),
            None => (row.setting.default.unwrap_or_default().to_owned(), Origin::Default),
        }
    }
}

/// Negative values mean "no limit" in every unit.
pub(super) fn scaled(value: &str, scale: i64) -> String {
    let number: i64 = value.trim().parse().expect("broker settings are checked before topics inherit them");
    if number < 0 { number.to_string() } else { number.saturating_mul(scale).to_string() }
}

/// Every topic config with its value, where that comes from, and all other places that give a value. As in Kafka, the
/// topic's values are shown as parsed, and those under the broker's names as written.
#[must_use]
pub fn describe(overrides: &BTreeMap<String, String>, defaults: &TopicDefaults) -> Vec<Described> {
    ROWS.iter().map(|row| describe_row(row, overrides.get(row.setting.name), defaults)).collect()
}

fn describe_row(row: &'static Row, own: Option<&String>, defaults: &TopicDefaults) -> Described {
    let (inherited, inherited_origin) = defaults.value(row);
    let own = own.map(|value| row.setting.shown(value));
    let own_synonym = own.as_ref().map(|value| Synonym {
        name: row.setting.name.into(),
        value: Some(value.clone()),
        origin: Origin::Topic,
    });
    let written = row.inherits.iter().flat_map(|(name, _)| {
        let layers = defaults.written.get(name).into_iter().flatten();
        layers.map(|(value, origin)| Synonym {
            name: (*name).into(),
            value: Some(value.clone()),
            origin: *origin,
        })
    });
    let fallback = row.inherits.iter().filter_map(|(name, _)| {
        let default = broker::find(name)?.default?;
        Some(Synonym { name: (*name).into(), value: Some(default.to_owned()), origin: Origin::Default })
    });
    let origin = if own.is_some() { Origin::Topic } else { inherited_origin };
    Described {
        name: row.setting.name.into(),
        setting: &row.setting,
        value: Some(own.unwrap_or_else(|| row.setting.shown(&inherited))),
        origin,
        synonyms: own_synonym.into_iter().chain(written).chain(fallback).collect(),
    }
}
