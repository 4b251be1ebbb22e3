//! Line charts as inline SVG, coloured by the page's style so that they follow light and dark. Pure.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 30.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0 on.
    Linear,
    Log,
    /// Quantiles, equally far apart for each further nine.
    Nines,
}

#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub scale: Scale,
    pub label: fn(f64) -> String,
}

#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    /// Which of the page's colours.
    pub color: usize,
    /// Drawn thin, behind the others: further runs of what another series shows.
    pub is_faint: bool,
    pub is_dashed: bool,
    pub points: Vec<(f64, f64)>,
}

#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

/// The span of an axis on its own scale, and its ticks.
struct Span {
    from: f64,
    to: f64,
    ticks: Vec<f64>,
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.max(1e-9).log10(),
            Scale::Nines => -(1.0 - value).max(1e-9).log10(),
        }
    }

    fn span(self, values: impl Iterator<Item = f64>) -> Option<Span> {
        let places: Vec<f64> = values.map(|value| self.place(value)).filter(|it| it.is_finite()).collect();
        let least = places.iter().copied().min_by(f64::total_cmp)?;
        let most = places.iter().copied().max_by(f64::total_cmp)?;
        Some(match self {
            Scale::Linear => {
                let step = nice(most.max(1e-9) / 4.0);
                let count = (most / step).ceil().max(1.0);
                Span { from: 0.0, to: count * step, ticks: steps(0.0, count, step) }
            }
            Scale::Log => {
                let (from, to) = (least.floor(), most.ceil().max(least.floor() + 1.0));
                Span {
                    from,
                    to,
                    ticks: steps(from, to - from, 1.0).into_iter().map(|it| 10f64.powf(it)).collect(),
                }
            }
            Scale::Nines => {
                let to = most.ceil().max(1.0);
                let nines = steps(1.0, to - 1.0, 1.0).into_iter().map(|it| 1.0 - 10f64.powf(-it));
                Span { from: 0.0, to, ticks: [0.0, 0.5].into_iter().chain(nines).collect() }
            }
        })
    }
}

/// A chart as an `svg` element; nothing without points.
pub fn render(chart: &Chart) -> Option<String> {
    let points = || chart.series.iter().flat_map(|series| series.points.iter());
    let x_span = chart.x.scale.span(points().map(|point| point.0))?;
    let y_span = chart.y.scale.span(points().map(|point| point.1))?;
    let x = |value: f64| {
        LEFT + (chart.x.scale.place(value) - x_span.from) / (x_span.to - x_span.from) * (WIDTH - LEFT - RIGHT)
    };
    let y = |value: f64| {
        let share = (chart.y.scale.place(value) - y_span.from) / (y_span.to - y_span.from);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    };
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(&chart.title)
    );
    for tick in &y_span.ticks {
        let at = y(*tick);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            escape(&(chart.y.label)(*tick))
        );
    }
    for tick in &x_span.ticks {
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(*tick),
            HEIGHT - BOTTOM + 18.0,
            escape(&(chart.x.label)(*tick))
        );
    }
    // Faint ones first, so that the others lie on top.
    for faint in [true, false] {
        for series in chart.series.iter().filter(|series| series.is_faint == faint) {
            let line: Vec<String> =
                series.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
            let faint = if series.is_faint { " faint" } else { "" };
            let dashed = if series.is_dashed { " dashed" } else { "" };
            let _ = write!(
                out,
                "<polyline class=\"line c{}{faint}{dashed}\" points=\"{}\"><title>{}</title></polyline>",
                series.color,
                line.join(" "),
                escape(&series.name)
            );
        }
    }
    out.push_str("</svg>");
    Some(out)
}

fn steps(from: f64, count: f64, step: f64) -> Vec<f64> {
    let mut ticks = Vec::new();
    let mut index = 0.0;
    // Bounded: an axis has a handful of ticks, whatever the values.
    while index <= count && ticks.len() < 16 {
        ticks.push(from + index * step);
        index += 1.0;
    }
    ticks
}

/// The next of 1, 2 and 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let found = [1.0, 2.0, 5.0, 10.0].into_iter().find(|it| it * power >= step * 0.999);
    found.unwrap_or(10.0) * power
}

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale) -> Axis {
        Axis { scale, label: |value| format!("{value}") }
    }

    fn chart(x: Scale, y: Scale, points: &[(f64, f64)]) -> Chart {
        let (is_faint, is_dashed) = (false, false);
        let series = Series { name: "<a>".into(), color: 1, is_faint, is_dashed, points: points.to_vec() };
        Chart { title: "t".into(), x: axis(x), y: axis(y), series: vec![series] }
    }

    #[test]
    fn lines_lie_within_the_frame() {
        for (x, y) in
            [(Scale::Linear, Scale::Linear), (Scale::Linear, Scale::Log), (Scale::Nines, Scale::Log)]
        {
            let text =
                render(&chart(x, y, &[(0.0, 1.0), (0.9, 120.0), (0.999, 3456.0)])).expect("has points");
            let line = text.split("points=\"").nth(1).expect("a line").split('"').next().expect("ends");
            for point in line.split(' ') {
                let (a, b) = point.split_once(',').expect("a pair");
                let (a, b): (f64, f64) = (a.parse().expect("number"), b.parse().expect("number"));
                assert!((LEFT..=WIDTH - RIGHT + 0.1).contains(&a), "{a}");
                assert!((TOP - 0.1..=HEIGHT - BOTTOM + 0.1).contains(&b), "{b}");
            }
            assert!(text.contains("&lt;a&gt;") && !text.contains("<a>"));
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |scale: Scale, values: &[f64]| scale.span(values.iter().copied()).expect("has").ticks;
        assert_eq!(ticks(Scale::Linear, &[0.0, 870.0]), [0.0, 500.0, 1000.0]);
        assert_eq!(ticks(Scale::Linear, &[7.0]), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(Scale::Log, &[30.0, 2500.0]), [10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(ticks(Scale::Nines, &[0.0, 0.99]).len(), 4);
        assert!(Scale::Linear.span(std::iter::empty()).is_none());
    }
}
