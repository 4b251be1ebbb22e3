//! Whether what a scenario asks for was reached. Pure.

use serde::{Deserialize, Serialize};

use crate::model::Prediction;
use crate::scenario::Goal;

/// Medians of figures, as far as they were measured: by scenario, peer and figure.
pub trait Measured {
    fn median(&self, scenario: &str, peer: &str, figure: &str) -> Option<f64>;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub goal: String,
    pub figure: String,
    /// The value that was judged: a ratio, unless the goal is an absolute one.
    pub value: f64,
    pub met: bool,
}

/// Judges a scenario's goal for a peer; nothing where what it compares with was not measured.
pub fn judge(
    goal: &Goal,
    scenario: &str,
    peer: &str,
    predictions: &[Prediction],
    measured: &impl Measured,
) -> Option<Verdict> {
    let ours = measured.median(scenario, peer, &goal.figure)?;
    let figure_of = goal.figure_of.as_deref().unwrap_or(&goal.figure);
    let value = match goal.of.as_deref() {
        None => ours,
        Some("floor") => ours / predictions.iter().find(|it| it.figure == figure_of)?.value,
        // A peer under the same scenario, or else another scenario on the same peer.
        Some(of) => {
            let theirs = measured.median(scenario, of, figure_of);
            ours / theirs.or_else(|| measured.median(of, peer, figure_of))?
        }
    };
    Some(Verdict { goal: goal.to_string(), figure: goal.figure.clone(), value, met: goal.is_met(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table;

    impl Measured for Table {
        fn median(&self, scenario: &str, peer: &str, figure: &str) -> Option<f64> {
            match (scenario, peer, figure) {
                ("a", "ringmain", "throughput") => Some(300.0),
                ("a", "kafka", "throughput") => Some(100.0),
                ("b", "ringmain", "throughput") => Some(400.0),
                _ => None,
            }
        }
    }

    fn check(of: Option<&str>, least: f64) -> Option<(f64, bool)> {
        let goal = Goal {
            figure: "throughput".into(),
            of: of.map(str::to_owned),
            figure_of: None,
            at_least: Some(least),
            at_most: None,
        };
        let floor = [Prediction { figure: "throughput".into(), value: 600.0, because: "disk".into() }];
        judge(&goal, "a", "ringmain", &floor, &Table).map(|verdict| (verdict.value, verdict.met))
    }

    #[test]
    fn goals_compare_with_floor_peer_scenario_and_number() {
        assert_eq!(check(Some("kafka"), 2.5), Some((3.0, true)));
        assert_eq!(check(Some("b"), 0.9), Some((0.75, false)));
        assert_eq!(check(Some("floor"), 0.5), Some((0.5, true)));
        assert_eq!(check(None, 299.0), Some((300.0, true)));
        assert_eq!(check(Some("redpanda"), 1.0), None);
    }
}
