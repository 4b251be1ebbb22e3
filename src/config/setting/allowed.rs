//! Which values a setting takes.

/// The values a setting takes, within its kind.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Allowed {
    /// Whatever its kind can hold.
    Any,
    /// Whole numbers, both ends included.
    Range {
        min: i64,
        max: i64,
    },
    /// Real numbers, both ends included.
    Real {
        min: f64,
        max: f64,
    },
    OneOf(&'static [&'static str]),
    /// A list, each element one of these, none twice.
    EachOf(&'static [&'static str]),
    /// Where reading begins without a position: `earliest`, `latest`, or `by_duration:` and a duration of ISO 8601.
    OffsetReset,
    /// `*`, or a list of PARTITION:BROKER.
    ThrottledReplicas,
}

impl Allowed {
    pub(super) fn allows(self, value: &str) -> bool {
        match self {
            Allowed::Any => true,
            Allowed::Range { min, max } => {
                value.parse().is_ok_and(|number: i64| (min..=max).contains(&number))
            }
            Allowed::Real { min, max } => {
                value.parse().is_ok_and(|number: f64| (min..=max).contains(&number))
            }
            Allowed::OneOf(values) => values.contains(&value),
            Allowed::EachOf(values) => {
                let mut elements: Vec<&str> = list(value).collect();
                let count = elements.len();
                elements.sort_unstable();
                elements.dedup();
                elements.len() == count && elements.iter().all(|element| values.contains(element))
            }
            Allowed::OffsetReset => {
                let duration = value.strip_prefix("by_duration:");
                matches!(value, "earliest" | "latest") || duration.is_some_and(is_duration)
            }
            Allowed::ThrottledReplicas => value == "*" || list(value).all(is_replica),
        }
    }
}

/// PARTITION:BROKER.
fn is_replica(text: &str) -> bool {
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}

/// A duration of ISO 8601 as far as Java's reads it, not negative: days, then hours, minutes and seconds after a T.
fn is_duration(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix('P') else { return false };
    let (days, time) = match rest.split_once('T') {
        Some((_, "")) => return false,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    !(days.is_empty() && time.is_empty()) && are_amounts(days, "D") && are_amounts(time, "HMS")
}

/// Numbers, each with one of these units, in their order; a fraction only of the last unit, seconds.
fn are_amounts(text: &str, units: &str) -> bool {
    let (mut rest, mut units) = (text, units.chars());
    while !rest.is_empty() {
        let Some(end) = rest.find(|it: char| it.is_ascii_alphabetic()) else { return false };
        let (number, unit) = (&rest[..end], rest[end..].chars().next());
        if !units.any(|it| Some(it) == unit) {
            return false;
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = !whole.is_empty() && is_digits(whole) && fraction.len() <= 9 && is_digits(fraction);
        if !is_number || (number.contains('.') && unit != Some('S')) {
            return false;
        }
        rest = &rest[end + 1..];
    }
    true
}

/// The elements of a comma-separated list; an empty text is an empty list.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty())
}
