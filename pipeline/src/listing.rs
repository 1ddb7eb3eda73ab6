//! Rows for people and for pipes: a drawn table on a terminal, tab-separated lines elsewhere.

use std::io::Write;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table as TextTable, presets};

/// A table of text; columns are named once.
pub(crate) struct Listing {
    header: Vec<&'static str>,
    /// Columns of numbers: aligned to the right on a terminal.
    numbers: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Listing {
    /// An empty listing; `numbers` are the columns that hold figures.
    pub(crate) fn new(header: &[&'static str], numbers: &[usize]) -> Self {
        Self { header: header.to_vec(), numbers: numbers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, a cell a column.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.header.len(), "a cell a column");
        self.rows.push(row);
    }

    /// Writes the rows; nothing if there are none.
    pub(crate) fn write(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        match (self.rows.is_empty(), terminal) {
            (true, _) => Ok(()),
            (false, true) => self.write_table(out),
            (false, false) => self.write_lines(out),
        }
    }

    fn write_table(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut table = TextTable::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(self.header.clone());
        for row in &self.rows {
            let cells = row.iter().enumerate().map(|(i, text)| match self.numbers.contains(&i) {
                true => Cell::new(text).set_alignment(CellAlignment::Right),
                false => Cell::new(text),
            });
            table.add_row(cells.collect::<Vec<_>>());
        }
        writeln!(out, "{table}")
    }

    /// A line a row; what would break the columns becomes a space.
    fn write_lines(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "{}", self.header.join("\t"))?;
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace(['\t', '\n', '\r'], " ")).collect();
            writeln!(out, "{}", cells.join("\t"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(terminal: bool) -> String {
        let mut listing = Listing::new(&["table", "rows"], &[1]);
        listing.push(vec!["network\tactivity".to_owned(), "7".to_owned()]);
        let mut out = Vec::new();
        listing.write(&mut out, terminal).expect("a buffer takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_pipe_gets_a_line_a_row_and_a_terminal_a_table() {
        assert_eq!(written(false), "table\trows\nnetwork activity\t7\n");
        assert!(written(true).contains("│") && written(true).contains("table"), "{}", written(true));
    }

    #[test]
    fn no_rows_are_no_table() {
        let mut out = Vec::new();
        Listing::new(&["a"], &[]).write(&mut out, false).expect("a buffer takes all");
        assert!(out.is_empty());
    }
}
