//! Plots as inline SVG: points, bars and lines on two axes. Colors and sizes are the page's style sheet's.
//!
//! Data in: numbers and names. Data out: one `<svg>` element, with a title and a description for those who do not see it.

use std::fmt::Write;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 280.0;
/// Room for tick labels and names: left, right, top, bottom.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;

/// From values to places on an axis.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
    name: &'static str,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to beyond the highest value, with round ticks.
    pub(super) fn linear(name: &'static str, high: f64) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let rough = high / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|s| *s >= rough).unwrap_or(rough);
        let count = (high / step).ceil().max(1.0) as u32;
        let ticks = (0..=count).map(|i| (f64::from(i) * step, short(f64::from(i) * step))).collect();
        Self { low: 0.0, high: f64::from(count) * step, is_log: false, name, ticks }
    }

    /// Around the values, with ticks at round numbers.
    pub(super) fn log(name: &'static str, values: impl Iterator<Item = f64> + Clone) -> Self {
        let positive = || values.clone().filter(|v| *v > 0.0);
        let low = positive().fold(f64::INFINITY, f64::min);
        let high = positive().fold(0.0, f64::max);
        let (low, high) = if low.is_finite() { (low * 0.8, high * 1.25) } else { (0.5, 2.0) };
        let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
        // Few ticks where there are many powers.
        let digits: &[f64] = match high / low {
            ..10.0 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            ..1000.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let all = powers.flat_map(|p| digits.iter().map(move |d| d * 10f64.powi(p)));
        let ticks = all.filter(|t| (low..=high).contains(t)).map(|t| (t, short(t))).collect();
        Self { low, high, is_log: true, name, ticks }
    }

    /// Positions 0 to `n`, with a few named ones.
    pub(super) fn positions(name: &'static str, n: usize, label: impl Fn(usize) -> String) -> Self {
        let step = n.div_ceil(5).max(1);
        let ticks = (0..n).step_by(step).map(|i| (i as f64, label(i))).collect();
        Self { low: -0.5, high: n.max(1) as f64 - 0.5, is_log: false, name, ticks }
    }

    /// 0 at the low end, 1 at the high end.
    fn share(&self, value: f64) -> f64 {
        let of = |v: f64| if self.is_log { v.max(self.low).ln() } else { v };
        ((of(value) - of(self.low)) / (of(self.high) - of(self.low))).clamp(0.0, 1.0)
    }
}

/// A plot being drawn.
pub(super) struct Plot {
    x: Axis,
    y: Axis,
    out: String,
}

impl Plot {
    /// Axes, ticks and names. `id` is unique in the page.
    pub(super) fn new(id: &str, title: &str, description: &str, x: Axis, y: Axis) -> Self {
        let mut plot = Self { x, y, out: String::new() };
        let _ = write!(
            plot.out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title>\
             <desc id=\"{id}-d\">{}</desc>",
            escaped(title),
            escaped(description)
        );
        plot.axes();
        plot
    }

    fn axes(&mut self) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, label) in self.y.ticks.clone() {
            let y = self.y_of(value);
            let _ = write!(
                self.out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (value, label) in self.x.ticks.clone() {
            let x = self.x_of(value);
            let _ = write!(
                self.out,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
                bottom + 4.0,
                bottom + 18.0
            );
        }
        let (middle, side) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
        let _ = write!(
            self.out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text class=\"name\" text-anchor=\"middle\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>\
             <text class=\"name\" text-anchor=\"middle\" transform=\"translate(14 {side:.1}) rotate(-90)\">{}</text>",
            HEIGHT - 8.0,
            escaped(self.x.name),
            escaped(self.y.name)
        );
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// A point that names itself; a square or a circle.
    pub(super) fn point(&mut self, x: f64, y: f64, is_square: bool, name: &str) {
        let (x, y, name) = (self.x_of(x), self.y_of(y), escaped(name));
        let _ = match is_square {
            true => write!(
                self.out,
                "<rect class=\"second\" x=\"{:.1}\" y=\"{:.1}\" width=\"9\" height=\"9\"><title>{name}</title></rect>",
                x - 4.5,
                y - 4.5
            ),
            false => {
                write!(
                    self.out,
                    "<circle class=\"first\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{name}</title></circle>"
                )
            }
        };
    }

    /// A bar over the position `at`.
    pub(super) fn bar(&mut self, at: usize, value: f64, name: &str) {
        let (left, right) = (self.x_of(at as f64 - 0.5), self.x_of(at as f64 + 0.5));
        let (top, bottom) = (self.y_of(value), HEIGHT - BOTTOM);
        let _ = write!(
            self.out,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            left + 1.0,
            (right - left - 2.0).max(1.0),
            bottom - top,
            escaped(name)
        );
    }

    /// A line through values at 0, 1, 2, ...
    pub(super) fn line(&mut self, class: &str, values: impl Iterator<Item = f64>) {
        let points: Vec<String> =
            values.enumerate().map(|(i, v)| format!("{:.1},{:.1}", self.x_of(i as f64), self.y_of(v))).collect();
        let _ = write!(self.out, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

/// `1500` -> `1.5k`: ticks have little room.
pub(super) fn short(n: f64) -> String {
    let (value, unit) = match n.abs() {
        a if a >= 1e9 => (n / 1e9, "G"),
        a if a >= 1e6 => (n / 1e6, "M"),
        a if a >= 1e3 => (n / 1e3, "k"),
        _ => (n, ""),
    };
    let text = if value.abs() >= 10.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// Text as HTML and SVG take it.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_around_the_values() {
        let labels = |axis: Axis| axis.ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ");
        assert_eq!(labels(Axis::linear("n", 37.0)), "0 10 20 30 40");
        assert_eq!(labels(Axis::linear("n", 0.0)), "0 0.5 1");
        assert_eq!(labels(Axis::log("n", [1.0, 20.0].into_iter())), "1 2 5 10 20");
        assert_eq!(labels(Axis::log("n", [0.0].into_iter())), "0.5 0.7 1 1.5 2");
        assert_eq!(labels(Axis::positions("n", 3, |i| i.to_string())), "0 1 2");
        assert_eq!(
            [short(1500.0), short(2e6), short(0.25), short(0.0), short(100.0)],
            ["1.5k", "2M", "0.25", "0", "100"]
        );
    }

    #[test]
    fn a_value_at_the_end_of_an_axis_stands_at_its_end() {
        for axis in [Axis::linear("n", 8.0), Axis::log("n", [1.0, 100.0].into_iter())] {
            assert!(
                axis.share(axis.high) > 0.999 && axis.share(axis.low) < 0.001 && axis.share(-5.0) < 0.001,
                "{axis:?}"
            );
        }
    }

    #[test]
    fn names_cannot_break_the_page() {
        let mut plot = Plot::new("p", "a<b", "c&d", Axis::linear("x", 1.0), Axis::linear("y", 1.0));
        plot.point(1.0, 1.0, true, "<script>\"");
        plot.bar(0, 1.0, "bar");
        plot.line("first", [0.0, 1.0].into_iter());
        let svg = plot.finish();
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;&quot;") && svg.contains("a&lt;b"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && svg.contains("<polyline"));
    }
}
