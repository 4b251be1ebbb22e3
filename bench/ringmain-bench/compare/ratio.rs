//! Figures of interleaved runs side by side: medians, and ratios within each round, with their spread. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::goals::Measured;
use crate::outcome::Outcome;

/// The middle of several values and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    pub count: usize,
}

impl Spread {
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted.get(sorted.len() / 2)?;
        let lower = sorted.get((sorted.len() - 1) / 2)?;
        Some(Spread { median: f64::midpoint(*lower, *upper), least, most, count: sorted.len() })
    }
}

/// One figure of one scenario over all peers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub scenario: String,
    pub figure: String,
    pub unit: String,
    pub peers: Vec<(String, Option<Spread>)>,
    /// The first peer's value over each other one's, round by round: what drifts from round to round hits both.
    pub ratios: Vec<(String, Option<Spread>)>,
}

/// All runs of a comparison.
#[derive(Debug, Default)]
pub struct Table {
    /// By scenario, peer and round.
    values: BTreeMap<(String, String), BTreeMap<usize, BTreeMap<String, f64>>>,
    units: BTreeMap<String, String>,
}

impl Table {
    pub fn add(&mut self, round: usize, outcome: &Outcome) {
        let values = outcome.values();
        self.units.extend(values.iter().map(|value| (value.name.clone(), value.unit.clone())));
        let values = values.into_iter().map(|value| (value.name, value.value)).collect();
        let key = (outcome.name.clone(), outcome.peer.clone());
        self.values.entry(key).or_default().insert(round, values);
    }

    fn rounds(&self, scenario: &str, peer: &str, figure: &str) -> BTreeMap<usize, f64> {
        let found = self.values.get(&(scenario.to_owned(), peer.to_owned()));
        let rounds = found.into_iter().flatten();
        rounds.filter_map(|(round, values)| Some((*round, *values.get(figure)?))).collect()
    }

    pub fn spread(&self, scenario: &str, peer: &str, figure: &str) -> Option<Spread> {
        Spread::of(&self.rounds(scenario, peer, figure).into_values().collect::<Vec<_>>())
    }

    /// A row for each of these figures.
    pub fn rows(&self, scenario: &str, figures: &[String], peers: &[String]) -> Vec<Row> {
        let row = |figure: &String| {
            let base = peers.first().map(|peer| self.rounds(scenario, peer, figure)).unwrap_or_default();
            let ratio = |peer: &String| {
                let theirs = self.rounds(scenario, peer, figure);
                let paired = base.iter().filter_map(|(round, ours)| Some(ours / theirs.get(round)?));
                (peer.clone(), Spread::of(&paired.collect::<Vec<_>>()))
            };
            Row {
                scenario: scenario.to_owned(),
                figure: figure.clone(),
                unit: self.units.get(figure).cloned().unwrap_or_default(),
                peers: peers.iter().map(|peer| (peer.clone(), self.spread(scenario, peer, figure))).collect(),
                ratios: peers.iter().skip(1).map(ratio).collect(),
            }
        };
        figures.iter().map(row).collect()
    }
}

impl Measured for Table {
    fn median(&self, scenario: &str, peer: &str, figure: &str) -> Option<f64> {
        self.spread(scenario, peer, figure).map(|spread| spread.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_and_extremes() {
        let of = |values: &[f64]| Spread::of(values).map(|it| (it.least, it.median, it.most, it.count));
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some((1.0, 2.0, 3.0, 3)));
        assert_eq!(of(&[4.0, 1.0]), Some((1.0, 2.5, 4.0, 2)));
        assert_eq!(of(&[f64::NAN]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let mut table = Table::default();
        for (peer, values) in [("a", [10.0, 40.0, 90.0]), ("b", [5.0, 10.0, 30.0])] {
            for (round, value) in values.into_iter().enumerate() {
                let values = BTreeMap::from([("x".to_owned(), value)]);
                let key = ("s".to_owned(), peer.to_owned());
                table.values.entry(key).or_default().insert(round, values);
            }
        }
        // A round that one of them did not finish counts for neither.
        table
            .values
            .entry(("s".into(), "a".into()))
            .or_default()
            .insert(3, BTreeMap::from([("x".into(), 1e9)]));
        let rows = table.rows("s", &["x".to_owned()], &["a".to_owned(), "b".to_owned()]);
        let ratio = rows[0].ratios[0].1.expect("three rounds");
        assert_eq!((ratio.least, ratio.median, ratio.most, ratio.count), (2.0, 3.0, 4.0, 3));
        assert_eq!(table.median("s", "b", "x"), Some(10.0));
    }
}
