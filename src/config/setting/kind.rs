//! Kafka's types of configuration values.

/// Kafka's types of configuration values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
    /// The type of a name that no table has.
    Unknown,
}

impl Kind {
    /// The type's number in DescribeConfigs.
    #[must_use]
    pub fn code(self) -> i8 {
        match self {
            Kind::Unknown => 0,
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}
