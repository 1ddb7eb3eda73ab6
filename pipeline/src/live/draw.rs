//! A view as widgets. Pure: the same view draws the same.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Sparkline, Table};

use super::view::{Detection, Queue, State, TopicLine, View, WorkerLine, WorkerState};
use crate::summary::{Percentiles, grouped};

const DIM: Style = Style::new().fg(Color::DarkGray);
const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let [head, figures, stages, detections, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Min(4),
        Constraint::Length(1 + view.log.len() as u16),
    ])
    .areas(frame.area());
    let halves = |area: Rect| Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(area);
    header(frame, head, view);
    let [rates, latency] = halves(figures);
    draw_rates(frame, rates, view);
    draw_latency(frame, latency, view);
    let [queues, tables] = halves(stages);
    draw_queues(frame, queues, view);
    draw_tables(frame, tables, view);
    let [found, topics] =
        Layout::horizontal([Constraint::Percentage(64), Constraint::Percentage(36)]).areas(detections);
    match view.workers.is_empty() {
        true => draw_detections(frame, found, view),
        false => draw_workers(frame, found, view),
    }
    draw_topics(frame, topics, view);
    footer(frame, foot, view);
}

fn header(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let time = format!("{:02}:{:02}", view.elapsed_s / 60, view.elapsed_s % 60);
    let Some(total) = view.total.filter(|t| *t > 0) else {
        let text = format!("{}  {time}  {} events", view.title, grouped(view.received));
        return frame.render_widget(Paragraph::new(text).style(HEAD), area);
    };
    let ratio = (view.received as f64 / total as f64).clamp(0.0, 1.0);
    let label = format!("{}  {time}  {:.0}%", view.title, ratio * 100.0);
    let gauge = Gauge::default().ratio(ratio).label(label).gauge_style(Style::new().fg(Color::Cyan).bg(Color::Black));
    frame.render_widget(gauge, area);
}

/// A box with a title; what is inside it.
fn panel(frame: &mut Frame<'_>, area: Rect, title: Line<'_>) -> Rect {
    let block = Block::bordered().border_style(DIM).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let inner = panel(frame, area, Line::from(" Rates "));
    let [figures, bars] = Layout::vertical([Constraint::Length(3), Constraint::Min(1)]).areas(inner);
    let lines = vec![
        Line::from(vec![Span::styled(format!("{} events/s", grouped(view.rate)), HEAD)]),
        Line::from(format!("{} received, {} queryable", grouped(view.received), grouped(view.committed))),
        Line::from(format!("{} in flight, {} dead letters", grouped(view.in_flight), grouped(view.dead_letters))),
    ];
    frame.render_widget(Paragraph::new(lines), figures);
    let width = usize::from(bars.width);
    let shown = &view.rates[view.rates.len().saturating_sub(width)..];
    frame.render_widget(Sparkline::default().data(shown).style(Style::new().fg(Color::Cyan)), bars);
}

fn draw_latency(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let title =
        if view.workers.len() > 1 { " Latency from receipt, slowest worker " } else { " Latency from receipt " };
    let inner = panel(frame, area, Line::from(title));
    let row = |name: &'static str, p: &Percentiles| Row::new([name.to_owned(), time(p.p50), time(p.p99), time(p.max)]);
    let rows = [row("queryable", &view.queryable), row("alert", &view.alert)];
    let widths = [Constraint::Length(11), Constraint::Length(9), Constraint::Length(9), Constraint::Length(9)];
    let table = Table::new(rows, widths).header(Row::new(["", "p50", "p99", "max"]).style(DIM));
    frame.render_widget(table, inner);
}

fn draw_queues(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let inner = panel(frame, area, Line::from(" Stages "));
    let mut lines: Vec<Line<'_>> = view.queues.iter().map(|queue| fill(queue, inner.width)).collect();
    lines.push(Line::from(format!("window state {}", size(view.state_bytes))));
    lines.push(Line::from(format!("{} alerts", grouped(view.alerts))));
    frame.render_widget(Paragraph::new(lines), inner);
}

/// `to shard  [#####     ]  50%`, or how many rows wait if nobody knows how many may.
fn fill(queue: &Queue, width: u16) -> Line<'static> {
    let Some(rows_max) = queue.rows_max else {
        return Line::from(format!("to {:<7} {} rows", queue.name, grouped(queue.rows)));
    };
    let share = queue.rows as f64 / rows_max.max(1) as f64;
    let cells = usize::from(width.saturating_sub(20)).max(4);
    let full = ((share * cells as f64).ceil() as usize).min(cells);
    let color = if share > 0.9 { Color::Yellow } else { Color::Green };
    Line::from(vec![
        Span::raw(format!("to {:<7} ", queue.name)),
        Span::styled("█".repeat(full), Style::new().fg(color)),
        Span::styled("░".repeat(cells - full), DIM),
        Span::raw(format!(" {:>3.0}%", (share * 100.0).min(100.0))),
    ])
}

fn draw_tables(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let inner = panel(frame, area, Line::from(" Commits "));
    let mut tables: Vec<_> = view.tables.iter().collect();
    tables.sort_by_key(|t| std::cmp::Reverse(t.rows));
    let rows = tables.iter().map(|t| Row::new([t.name.clone(), right(t.commits, 7), right(t.rows, 12)]));
    let widths = [Constraint::Min(17), Constraint::Length(7), Constraint::Length(12)];
    let header = Row::new(["table".to_owned(), format!("{:>7}", "commits"), format!("{:>12}", "rows")]).style(DIM);
    frame.render_widget(Table::new(rows, widths).header(header), inner);
}

fn draw_detections(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let inner = panel(frame, area, detections_title(view));
    let row = |d: &Detection| {
        let (state, color) = state(d.state);
        let cells = [state, d.what.clone(), d.rule.clone(), d.tenant.clone(), d.key.clone()];
        Row::new(cells.map(Cell::from)).style(Style::new().fg(color))
    };
    let widths = [
        Constraint::Length(11),
        Constraint::Length(12),
        Constraint::Length(18),
        Constraint::Length(8),
        Constraint::Min(8),
    ];
    let header = Row::new(["", "what", "rule", "tenant", "about"]).style(DIM);
    frame.render_widget(Table::new(view.detections.iter().map(row), widths).header(header), inner);
}

fn detections_title(view: &View) -> Line<'static> {
    if !view.scored {
        return Line::from(" Alerts ");
    }
    let count = |is: fn(&State) -> bool| view.detections.iter().filter(|d| is(&d.state)).count();
    let wrong = count(|s| matches!(s, State::False));
    let found = count(|s| matches!(s, State::Detected { .. }));
    let planted = view.detections.len() - wrong;
    let color = if wrong > 0 { Color::Red } else { Color::Green };
    Line::from(vec![
        Span::raw(format!(" Detections {found} of {planted}, ")),
        Span::styled(format!("{wrong} false "), Style::new().fg(color)),
    ])
}

/// How a detection stands, and its color.
fn state(state: State) -> (String, Color) {
    match state {
        State::False => ("FALSE".to_owned(), Color::Red),
        State::Open { seconds } => (format!("open {}", time(seconds * 1000.0)), Color::Yellow),
        State::Detected { seconds } => (format!("in {}", time(seconds * 1000.0)), Color::Green),
        State::Alert { seconds } => (format!("{} ago", time(seconds * 1000.0)), Color::Reset),
        State::Coming => ("to come".to_owned(), Color::DarkGray),
    }
}

fn draw_workers(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let ready = view.workers.iter().filter(|worker| worker.state == WorkerState::Ready).count();
    let color = if ready == view.workers.len() { Color::Green } else { Color::Red };
    let title = format!(" Workers, {ready} of {} ready ", view.workers.len());
    let inner = panel(frame, area, Line::styled(title, Style::new().fg(color)));
    let row = |worker: &WorkerLine| {
        let (state, color) = match &worker.state {
            WorkerState::Unknown => ("asked", Color::DarkGray),
            WorkerState::Ready => ("ready", Color::Reset),
            WorkerState::Starting => ("starting", Color::Yellow),
            WorkerState::Silent(why) => (why.as_str(), Color::Red),
        };
        let (rate, lag) = (right(worker.rate, 9), right(worker.lag.unsigned_abs(), 9));
        let (waits, p99) = (time(worker.waits_us as f64 / 1000.0), time(worker.queryable_p99));
        let cells = [worker.address.clone(), worker.region.clone(), rate, lag, waits, p99, state.to_owned()];
        Row::new(cells.map(Cell::from)).style(Style::new().fg(color))
    };
    let fixed = [8, 9, 9, 7, 7].map(Constraint::Length);
    let widths = [&[Constraint::Min(15)], fixed.as_slice(), &[Constraint::Min(8)]].concat();
    let header = ["worker", "region", " events/s", "      lag", "oldest", "p99", "state"];
    frame.render_widget(Table::new(view.workers.iter().map(row), widths).header(Row::new(header).style(DIM)), inner);
}

fn draw_topics(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let inner = panel(frame, area, Line::from(" Watermarks "));
    let tells_lag = view.topics.iter().any(|t| t.lag.is_some());
    let row = |t: &TopicLine| {
        let at = t.watermark.map_or("-".to_owned(), clock_time);
        let (behind, age) = (time(t.behind_us as f64 / 1000.0), time(t.age_us as f64 / 1000.0));
        let lag = tells_lag.then(|| t.lag.map_or(String::new(), |lag| grouped(lag.unsigned_abs())));
        Row::new([t.name.clone(), at, behind, age].into_iter().chain(lag))
    };
    let lag = tells_lag.then_some(("lag", Constraint::Length(10)));
    let columns = [("topic", Constraint::Min(9)), ("at", Constraint::Length(8))];
    let columns =
        columns.into_iter().chain([("behind", Constraint::Length(7)), ("last", Constraint::Length(7))]).chain(lag);
    let (names, widths): (Vec<_>, Vec<_>) = columns.unzip();
    let header = Row::new(names).style(DIM);
    frame.render_widget(Table::new(view.topics.iter().map(row), widths).header(header), inner);
}

fn footer(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let mut lines: Vec<Line<'_>> =
        view.log.iter().map(|l| Line::styled(l.as_str(), Style::new().fg(Color::Yellow))).collect();
    let text = match (view.stopping, view.workers.is_empty()) {
        (true, _) => "stopping: what was received is finished first",
        (false, true) => "q or Ctrl-C stops",
        (false, false) => "q or Ctrl-C ends the view; the workers go on",
    };
    lines.push(Line::styled(text, DIM));
    frame.render_widget(Paragraph::new(lines), area);
}

/// `12:34:56` of a time of day, UTC.
fn clock_time(us: i64) -> String {
    dataflow::time::rfc3339(us).get(11..19).unwrap_or("-").to_owned()
}

fn right(n: u64, width: usize) -> String {
    format!("{:>width$}", grouped(n))
}

fn time(ms: f64) -> String {
    match ms {
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 60_000.0 => format!("{:.1} s", ms / 1_000.0),
        ms if ms < 3_600_000.0 => format!("{:.0} min", ms / 60_000.0),
        ms => format!("{:.1} h", ms / 3_600_000.0),
    }
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests;
