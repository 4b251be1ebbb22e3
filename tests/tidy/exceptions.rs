//! Lists of what is not as it should be yet: each entry has its reason, and none may stay that is not needed any more.

use std::collections::BTreeSet;

/// Fails with every problem that is not in the list, and with every entry of the list that is no problem. `problems` are
/// pairs of what the entry says and what is wrong.
pub fn check(list: &str, allowed: &[(&str, &str)], problems: impl IntoIterator<Item = (String, String)>) {
    let mut wrong = Vec::new();
    let mut needed = BTreeSet::new();
    for (entry, problem) in problems {
        match allowed.iter().find(|(name, _)| *name == entry) {
            Some((name, reason)) => {
                println!("allowed: {problem}\n  because {reason}");
                needed.insert(*name);
            }
            None => wrong.push(problem),
        }
    }
    let stale = allowed.iter().filter(|(name, _)| !needed.contains(name));
    wrong.extend(stale.map(|(name, _)| format!("{name} needs no exception any more: take it out of {list}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
