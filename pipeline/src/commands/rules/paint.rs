//! Colour for a terminal: words in a style, plain elsewhere and where NO_COLOR is set.

use std::fmt::Display;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// Whether stdout shows colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    pub(super) is_on: bool,
}

impl Paint {
    /// As stdout and the environment have it.
    pub(super) fn of_stdout() -> Self {
        Self { is_on: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    pub(super) fn good(self, text: impl Display) -> String {
        self.styled(text, AnsiColor::Green.on_default())
    }

    pub(super) fn bad(self, text: impl Display) -> String {
        self.styled(text, AnsiColor::Red.on_default().bold())
    }

    pub(super) fn faint(self, text: impl Display) -> String {
        self.styled(text, Style::new().dimmed())
    }

    fn styled(self, text: impl Display, style: Style) -> String {
        if self.is_on { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_the_words_alone() {
        assert_eq!(Paint { is_on: false }.bad("FAILED"), "FAILED");
        let painted = Paint { is_on: true }.bad("FAILED");
        assert!(painted.starts_with('\u{1b}') && painted.contains("FAILED") && painted.ends_with("\u{1b}[0m"));
    }
}
