//! What a worker does, while it does it: panels on a terminal, a line now and then in a pipe.
//!
//! Stages tell what a counter cannot say through [`Feed`]; [`sample`] makes of that, and of the telemetry, a [`View`], which is
//! plain data, and [`fleet`] does so of what other processes answer; [`draw`] makes widgets of a view and knows nothing else; [`screen`]
//! alone touches the terminal.

mod detections;
mod draw;
mod feed;
mod fleet;
mod sample;
mod screen;
mod view;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::flight::Flight;
use crate::logging;
use crate::summary::grouped;
use crate::telemetry::Telemetry;
use sample::Sampler;
use screen::{Pressed, Screen};
use view::View;

pub(crate) use detections::Planted;
pub(crate) use feed::{Announced, Feed, Progress, RECENT_MAX, Recent};
pub(crate) use fleet::Fleet;
pub(crate) use screen::log_writer;

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(250);
/// Before the first line in a pipe: a rate takes a second.
const FIRST_LINE: Duration = Duration::from_secs(1);
/// Between two lines in a pipe.
const LINE: Duration = Duration::from_secs(10);

/// What is watched.
pub(crate) struct Watched {
    /// The command, for the header.
    pub(crate) title: &'static str,
    pub(crate) telemetry: Telemetry,
    pub(crate) flight: Flight,
    /// How many events will come, if that is known.
    pub(crate) total: Option<u64>,
    /// What a synthetic fleet planted.
    pub(crate) planted: Option<Planted>,
    /// What the queues of shards, together, and of the merge stage hold at most.
    pub(crate) queue_rows: [(&'static str, u64); 2],
}

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Panels,
    Lines,
}

/// Panels need a terminal on both ends that can do more than print, and somebody who wants them.
fn mode(plain: bool, terminal: bool, no_color: bool, term: Option<&str>) -> Mode {
    let able = terminal && !no_color && term.is_none_or(|t| t != "dumb");
    if able && !plain { Mode::Panels } else { Mode::Lines }
}

/// Shows until dropped; the terminal is then as it was.
pub(crate) struct Live {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// True if nothing is shown any more: nobody reads it.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// What is shown, moment by moment.
trait Moments: Send + 'static {
    fn view(&mut self) -> View;

    /// The end was asked for.
    fn stopping(&mut self) {}
}

impl Moments for Sampler {
    fn view(&mut self) -> View {
        self.sample()
    }

    fn stopping(&mut self) {
        self.stop();
    }
}

/// Others tell the fleet of their answers meanwhile.
impl Moments for Arc<Mutex<Fleet>> {
    fn view(&mut self) -> View {
        self.lock().unwrap_or_else(PoisonError::into_inner).view(clock::instant(), clock::now_us())
    }
}

/// Starts to show a worker from within; `plain` asks for lines, whatever the terminal can do.
///
/// # Errors
/// If the system has no thread to give.
pub(crate) fn start(watched: Watched, plain: bool) -> std::io::Result<Live> {
    if logging::is_for_machines() {
        return Ok(Live { stop: Arc::default(), thread: None });
    }
    show(Sampler::new(watched), plain, std::io::stderr())
}

/// Starts to show workers from outside.
///
/// # Errors
/// If the system has no thread to give.
pub(crate) fn watch(fleet: Arc<Mutex<Fleet>>, plain: bool) -> std::io::Result<Live> {
    show(fleet, plain, std::io::stdout())
}

/// Lines go to `out`: beside what a worker prints, or as what is asked for.
fn show(mut moments: impl Moments, plain: bool, out: impl Write + Send + 'static) -> std::io::Result<Live> {
    let terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let mode = mode(plain, terminal, no_color, std::env::var("TERM").ok().as_deref());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::Builder::new().name("live".to_owned()).spawn(move || {
        let shown = match mode {
            Mode::Panels => panels(&mut moments, &stopped),
            Mode::Lines => Ok(()),
        };
        // A terminal that cannot be drawn on, or no longer, still gets lines.
        if mode == Mode::Lines || shown.is_err() {
            lines(&mut moments, &stopped, out);
        }
    })?;
    Ok(Live { stop, thread: Some(thread) })
}

fn panels(moments: &mut impl Moments, stopped: &AtomicBool) -> std::io::Result<()> {
    let mut screen = Screen::open()?;
    while !stopped.load(Ordering::Acquire) {
        let mut view = moments.view();
        view.log = screen::held();
        screen.draw(&view)?;
        if screen.wait(FRAME)? == Pressed::Stop {
            moments.stopping();
            screen::interrupt();
        }
    }
    Ok(())
}

/// Until it is stopped, or nobody reads any more.
fn lines(moments: &mut impl Moments, stopped: &AtomicBool, mut out: impl Write) {
    moments.view();
    let mut pause = FIRST_LINE;
    loop {
        std::thread::park_timeout(std::mem::replace(&mut pause, LINE));
        if stopped.load(Ordering::Acquire) || writeln!(out, "{}", line(&moments.view())).is_err() {
            return;
        }
    }
}

/// A moment in one line.
fn line(view: &View) -> String {
    format!(
        "{} events, {} events/s, {} in flight, queryable p99 {:.1} s, {} alerts, {} dead letters",
        grouped(view.received),
        grouped(view.rate),
        grouped(view.in_flight),
        view.queryable.p99 / 1000.0,
        view.alerts,
        view.dead_letters,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_need_a_terminal_and_nobody_against_them() {
        assert_eq!(mode(false, true, false, Some("xterm")), Mode::Panels);
        for (plain, terminal, no_color, term) in [
            (true, true, false, Some("xterm")),
            (false, false, false, Some("xterm")),
            (false, true, true, Some("xterm")),
            (false, true, false, Some("dumb")),
        ] {
            assert_eq!(mode(plain, terminal, no_color, term), Mode::Lines, "{plain} {terminal} {no_color} {term:?}");
        }
    }

    #[test]
    fn a_pipe_gets_a_line() {
        let view = View { received: 1_234, rate: 567, in_flight: 89, alerts: 2, dead_letters: 1, ..View::default() };
        let want = "1,234 events, 567 events/s, 89 in flight, queryable p99 0.0 s, 2 alerts, 1 dead letters";
        assert_eq!(line(&view), want);
    }
}
