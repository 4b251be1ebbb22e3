//! What clients push: OpenTelemetry's `MetricsData` (opentelemetry-proto, metrics/v1), as far as numbers go.
//!
//! Gauges and sums are read, of histograms the sum and the count. Bytes come from clients: they yield points or an error.

use std::sync::Arc;

use prost::Message;

/// Longest name, label or label value, in bytes; points that have longer ones are left out.
const TEXT_BYTES_MAX: usize = 256;
/// Most labels of a point.
const LABELS_MAX: usize = 8;

/// One number of a push.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Point {
    pub name: Arc<str>,
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    pub value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct MetricsData {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, repeated, tag = "2")]
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(oneof = "Data", tags = "5, 7, 9")]
    data: Option<Data>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Data {
    #[prost(message, tag = "5")]
    Gauge(Numbers),
    #[prost(message, tag = "7")]
    Sum(Numbers),
    #[prost(message, tag = "9")]
    Histogram(Histograms),
}

/// `Gauge` and `Sum`: a sum's other fields say how to read it over time.
#[derive(Clone, PartialEq, Message)]
struct Numbers {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<NumberDataPoint>,
}

#[derive(Clone, PartialEq, Message)]
struct Histograms {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<HistogramDataPoint>,
}

#[derive(Clone, PartialEq, Message)]
struct NumberDataPoint {
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
    #[prost(oneof = "Number", tags = "4, 6")]
    value: Option<Number>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Number {
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

#[derive(Clone, PartialEq, Message)]
struct HistogramDataPoint {
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(fixed64, tag = "4")]
    count: u64,
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Scalar", tags = "1, 2, 3, 4")]
    value: Option<Scalar>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Scalar {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
}

/// All numbers in a push.
///
/// # Errors
/// When the bytes are no `MetricsData`.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Point>, prost::DecodeError> {
    let data = MetricsData::decode(bytes)?;
    let scopes = data.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    Ok(scopes.flat_map(|scope| scope.metrics).flat_map(points).collect())
}

fn points(metric: Metric) -> Vec<Point> {
    let name = metric.name;
    match metric.data {
        Some(Data::Gauge(numbers) | Data::Sum(numbers)) => {
            let points = numbers.data_points.into_iter();
            points.filter_map(|point| self::point(&name, point.attributes, number(point.value?))).collect()
        }
        Some(Data::Histogram(histograms)) => {
            let points = histograms.data_points.into_iter();
            let both = points.flat_map(|point| {
                #[expect(clippy::cast_precision_loss, reason = "a count above 2^53 is no client's")]
                let count =
                    self::point(&format!("{name}.count"), point.attributes.clone(), point.count as f64);
                let sum =
                    point.sum.and_then(|sum| self::point(&format!("{name}.sum"), point.attributes, sum));
                [count, sum].into_iter().flatten()
            });
            both.collect()
        }
        None => Vec::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are read as 64-bit floats everywhere")]
fn number(number: Number) -> f64 {
    match number {
        Number::Double(value) => value,
        Number::Int(value) => value as f64,
    }
}

fn point(name: &str, attributes: Vec<KeyValue>, value: f64) -> Option<Point> {
    let is_short = |text: &str| !text.is_empty() && text.len() <= TEXT_BYTES_MAX;
    let labels = attributes.into_iter().map(|attribute| {
        let value = match attribute.value?.value? {
            Scalar::Text(text) => text,
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Double(value) => value.to_string(),
        };
        (is_short(&attribute.key) && value.len() <= TEXT_BYTES_MAX)
            .then(|| (attribute.key.as_str().into(), value.as_str().into()))
    });
    let labels: Vec<(Arc<str>, Arc<str>)> = labels.collect::<Option<_>>()?;
    (is_short(name) && labels.len() <= LABELS_MAX).then(|| Point { name: name.into(), labels, value })
}

/// A push of one gauge, as a client would encode it.
#[cfg(test)]
pub(in crate::api) fn sample(name: &str, value: f64, labels: &[(&str, &str)]) -> Vec<u8> {
    let attributes = labels.iter().map(|(key, value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(Scalar::Text((*value).to_owned())) }),
    });
    let point = NumberDataPoint { attributes: attributes.collect(), value: Some(Number::Double(value)) };
    let metric =
        Metric { name: name.to_owned(), data: Some(Data::Gauge(Numbers { data_points: vec![point] })) };
    let scope = ScopeMetrics { metrics: vec![metric] };
    let resource = ResourceMetrics { scope_metrics: vec![scope] };
    MetricsData { resource_metrics: vec![resource] }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_kind_are_read() {
        let labelled =
            KeyValue { key: "topic".into(), value: Some(AnyValue { value: Some(Scalar::Text("t".into())) }) };
        let sum = NumberDataPoint { attributes: vec![labelled.clone()], value: Some(Number::Int(-7)) };
        let histogram = HistogramDataPoint { attributes: vec![labelled], count: 3, sum: Some(1.5) };
        let metric = |name: &str, data| Metric { name: name.into(), data: Some(data) };
        let metrics = vec![
            metric("a", Data::Sum(Numbers { data_points: vec![sum] })),
            metric("h", Data::Histogram(Histograms { data_points: vec![histogram] })),
            metric(&"x".repeat(TEXT_BYTES_MAX + 1), Data::Gauge(Numbers::default())),
        ];
        let scope = ScopeMetrics { metrics };
        let data = MetricsData { resource_metrics: vec![ResourceMetrics { scope_metrics: vec![scope] }] };
        let points = read(&data.encode_to_vec()).expect("metrics");
        let flat: Vec<_> = points.iter().map(|it| (&*it.name, it.value, it.labels.len())).collect();
        assert_eq!(flat, [("a", -7.0, 1), ("h.count", 3.0, 1), ("h.sum", 1.5, 1)]);
    }

    #[test]
    fn damage_never_panics() {
        let good = sample("org.apache.kafka.producer.connection.creation.rate", 1.5, &[("node", "1")]);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let _ = read(&bad);
            }
            let _ = read(&good[..at]);
        }
    }
}
