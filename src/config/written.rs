//! Checked settings by name: as they were written, and as they were changed since.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::setting::{self, ConfigError, Described, Origin, Setting, Synonym};
use super::{Changes, broker};

/// Checked settings by name, each with the place where it was written. Other settings have the table's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerSettings {
    written: BTreeMap<&'static str, Written>,
    pub(super) changes: Changes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    value: String,
    source: setting::Source,
}

impl BrokerSettings {
    /// Takes a setting unless a stronger source wrote it already; of two equally strong the later counts.
    ///
    /// # Errors
    /// For a name the table does not have, or a value it does not allow.
    pub fn write(&mut self, key: &str, value: &str, source: setting::Source) -> Result<(), ConfigError> {
        let setting = broker::find(key)
            .ok_or_else(|| ConfigError::UnknownKey { key: key.to_owned(), nearest: broker::nearest(key) })?;
        setting.check(value)?;
        let written = Written { value: value.trim().to_owned(), source };
        match self.written.get(setting.name) {
            Some(stronger) if stronger.source > source => {}
            _ => drop(self.written.insert(setting.name, written)),
        }
        Ok(())
    }

    /// Settings that were written and that this version does not act on.
    pub fn ineffective(&self) -> impl Iterator<Item = &'static str> + '_ {
        let listed =
            |name: &&&str| broker::find(name).is_some_and(|row| row.support == setting::Support::Listed);
        self.written.keys().filter(listed).copied()
    }

    /// Adds the protocol to a listener that was written without one, because Kafka's tools expect it.
    pub(super) fn name_protocol(&mut self) {
        if let Some(written) =
            self.written.get_mut("listeners").filter(|written| !written.value.contains("://"))
        {
            written.value.insert_str(0, "PLAINTEXT://");
        }
    }

    /// All values that a setting was given, the one in force first.
    pub(super) fn layers(&self, key: &str) -> Vec<(String, Origin)> {
        let layer = |value: Option<&String>, origin| value.map(|value| (value.clone(), origin));
        let layers = [
            layer(self.changes.own.get(key), Origin::Broker),
            layer(self.changes.all.get(key), Origin::AllBrokers),
            layer(self.written.get(key).map(|written| &written.value), Origin::StaticBroker),
        ];
        layers.into_iter().flatten().collect()
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        let changed = self.changes.own.get(key).or_else(|| self.changes.all.get(key));
        match changed.or_else(|| self.written.get(key).map(|written| &written.value)) {
            Some(value) => Some(value.trim()),
            None => broker::find(key).expect("a setting of the table").default,
        }
    }

    pub(super) fn required(&self, key: &str) -> &str {
        self.text(key).expect("a setting that has a default")
    }

    pub(super) fn signed(&self, key: &str) -> i64 {
        self.required(key).parse().expect("a checked number")
    }

    pub(super) fn number<N: TryFrom<i64>>(&self, key: &str) -> N {
        N::try_from(self.signed(key)).ok().expect("the table's range fits the field")
    }

    /// The number of a setting whose -1 means "no limit"; `None` for no limit.
    pub(super) fn limit<N: TryFrom<i64>>(&self, key: &str) -> Option<N> {
        (self.signed(key) >= 0).then(|| self.number(key))
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.required(key).eq_ignore_ascii_case("true")
    }

    /// Every setting of the table, and every other name that was changed.
    pub(super) fn describe(&self) -> Vec<Described> {
        let known = broker::settings().map(|setting| self.describe_one(setting.name.into(), setting));
        let changed: BTreeSet<&String> = self.changes.own.keys().chain(self.changes.all.keys()).collect();
        let unknown = changed.into_iter().filter(|name| broker::find(name).is_none());
        let unknown = unknown.map(|name| self.describe_one(name.clone().into(), &setting::UNKNOWN));
        known.chain(unknown).filter(|one| one.setting.is_shown(one.origin)).collect()
    }

    /// One setting. As in Kafka, the value in force is shown as parsed, and its synonyms as written.
    pub(super) fn describe_one(&self, name: Cow<'static, str>, setting: &'static Setting) -> Described {
        let told = |value: String| (!setting.is_sensitive()).then_some(value);
        let default = setting.default.map(|value| (value.to_owned(), Origin::Default));
        let layers = self.layers(&name).into_iter().chain(default);
        let synonyms: Vec<Synonym> = layers
            .map(|(value, origin)| Synonym { name: name.clone(), value: told(value), origin })
            .collect();
        let first = synonyms.first();
        let (value, origin) = (
            first.and_then(|synonym| synonym.value.as_ref()).map(|value| setting.shown(value)),
            first.map_or(Origin::Default, |synonym| synonym.origin),
        );
        Described { name, setting, value, origin, synonyms }
    }
}
