//! A setting's value as DescribeConfigs shows it: in the form that Kafka parses it to, however it was written. Tools compare
//! what they want with what they are shown, and would otherwise see a difference for ever.

use super::allowed::list;
use super::kind::Kind;

/// The value of a setting of this kind, in the one form that Kafka has for it.
#[must_use]
pub fn parsed(kind: Kind, written: &str) -> String {
    let written = written.trim();
    match kind {
        Kind::Boolean => written.to_ascii_lowercase(),
        Kind::Int | Kind::Short | Kind::Long => {
            written.parse::<i64>().map_or_else(|_| written.to_owned(), |number| number.to_string())
        }
        Kind::Double => written.parse().map_or_else(|_| written.to_owned(), java_double),
        Kind::List => list(written).collect::<Vec<_>>().join(","),
        Kind::String | Kind::Class | Kind::Password | Kind::Unknown => written.to_owned(),
    }
}

/// A real number as Java writes it: always with a point, and with an exponent when it is very small or large.
fn java_double(number: f64) -> String {
    let pointed = |digits: &str| match digits.contains('.') {
        true => digits.to_owned(),
        false => format!("{digits}.0"),
    };
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return pointed(&number.to_string());
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) => format!("{}E{exponent}", pointed(mantissa)),
        None => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_form_that_kafka_gives_them() {
        for (kind, written, shown) in [
            (Kind::List, " compact , delete ", "compact,delete"),
            (Kind::List, "", ""),
            (Kind::Boolean, " TRUE", "true"),
            (Kind::Long, " 0100 ", "100"),
            (Kind::Int, "+7", "7"),
            (Kind::Short, "-07", "-7"),
            (Kind::String, " gzip ", "gzip"),
            (Kind::Double, " 0.50 ", "0.5"),
            (Kind::Double, "1", "1.0"),
            (Kind::Double, "0", "0.0"),
            (Kind::Double, "0.0005", "5.0E-4"),
            (Kind::Double, "12345678", "1.2345678E7"),
            (Kind::Double, "1e9", "1.0E9"),
            (Kind::Double, "1.7976931348623157E308", "1.7976931348623157E308"),
        ] {
            assert_eq!(parsed(kind, written), shown, "{kind:?} {written:?}");
        }
    }
}
