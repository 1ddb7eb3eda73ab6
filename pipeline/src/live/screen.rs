//! The terminal: taken on opening, given back on closing, on an error and on a panic. Log lines wait while it is taken.
//!
//! The alternate screen keeps what stood there before. Keys are read raw, so Ctrl-C is a key here; it is handed on as the
//! signal that it would have been.

use std::io::{self, BufWriter, Stderr, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use rustix::process::{Signal, getpid, kill_process};

use super::draw::draw;
use super::view::View;

/// Bytes of log that wait at most; what is older is lost to the terminal.
const HELD_MAX: usize = 64 << 10;

/// True while the terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Log lines that wait for the terminal.
static HELD: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static PANIC_HOOK: Once = Once::new();

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressed {
    Nothing,
    Stop,
}

/// The taken terminal.
pub(super) struct Screen(Terminal<CrosstermBackend<BufWriter<Stderr>>>);

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If it cannot be; it is then as it was.
    pub(super) fn open() -> io::Result<Self> {
        PANIC_HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::Release);
        let opened = execute!(io::stderr(), EnterAlternateScreen, Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(BufWriter::new(io::stderr()))));
        opened.map(Self).inspect_err(|_| give_back())
    }

    /// Draws what changed.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        // A panic elsewhere has given the terminal back: what is drawn now would stand among its message.
        if TAKEN.load(Ordering::Acquire) {
            self.0.draw(|frame| draw(frame, view))?;
        }
        Ok(())
    }

    /// Waits for a key, at most so long.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub(super) fn wait(&self, at_most: Duration) -> io::Result<Pressed> {
        if !event::poll(at_most)? {
            return Ok(Pressed::Nothing);
        }
        Ok(meaning(&event::read()?))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn meaning(event: &Event) -> Pressed {
    match event {
        Event::Key(KeyEvent { code: KeyCode::Char('c'), modifiers, kind: KeyEventKind::Press, .. })
            if modifiers.contains(KeyModifiers::CONTROL) =>
        {
            Pressed::Stop
        }
        Event::Key(KeyEvent { code: KeyCode::Char('q'), kind: KeyEventKind::Press, .. }) => Pressed::Stop,
        _ => Pressed::Nothing,
    }
}

/// Leaves the terminal as it was found, once, and prints the log lines that waited.
fn give_back() {
    if TAKEN.swap(false, Ordering::AcqRel) {
        let _ = disable_raw_mode();
        let _ = execute!(io::stderr(), LeaveAlternateScreen, Show);
        let held = std::mem::take(&mut *HELD.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = io::stderr().write_all(&held);
    }
}

/// What Ctrl-C would have sent.
pub(super) fn interrupt() {
    let _ = kill_process(getpid(), Signal::INT);
}

/// The last log lines that wait.
pub(super) fn held() -> Vec<String> {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    last_lines(&held, 3)
}

fn last_lines(bytes: &[u8], most: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<String> = text.lines().rev().take(most).map(plain).collect();
    lines.reverse();
    lines
}

/// Without escape sequences: their colours are for another place.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => drop(rest.find(char::is_ascii_alphabetic)),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Where the log goes: stderr, or a buffer while the terminal is taken.
pub(crate) fn log_writer() -> LogWriter {
    LogWriter
}

/// See [`log_writer`].
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !TAKEN.load(Ordering::Acquire) {
            return io::stderr().write(bytes);
        }
        hold(&mut HELD.lock().unwrap_or_else(PoisonError::into_inner), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn hold(held: &mut Vec<u8>, bytes: &[u8]) {
    held.extend_from_slice(bytes);
    if held.len() > HELD_MAX {
        held.drain(..held.len() - HELD_MAX / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_and_q_stop_and_other_keys_do_nothing() {
        let key = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        assert_eq!(meaning(&key(KeyCode::Char('c'), KeyModifiers::CONTROL)), Pressed::Stop);
        assert_eq!(meaning(&key(KeyCode::Char('q'), KeyModifiers::NONE)), Pressed::Stop);
        assert_eq!(meaning(&key(KeyCode::Char('c'), KeyModifiers::NONE)), Pressed::Nothing);
        assert_eq!(meaning(&Event::FocusGained), Pressed::Nothing);
    }

    #[test]
    fn held_lines_are_plain_and_bounded() {
        assert_eq!(last_lines(b"a\nb\n\x1b[33m WARN\x1b[0m c\td\n", 2), ["b", " WARN cd"]);
        let mut held = Vec::new();
        (0..100).for_each(|_| hold(&mut held, &[b'x'; 1024]));
        assert!(held.len() <= HELD_MAX);
    }
}
