//! Tables as text: CSV (RFC 4180, without line breaks in fields) with a header; `#` lines and empty lines are skipped.
//!
//! The header names the columns, in any order and case. A table that people write by hand refuses columns it does not
//! know: a misspelled `tenant` would otherwise show one tenant's entries to all.

use crate::error::EnrichError;
use crate::files::Input;

/// Bytes of a line; feeds stay far below.
const LINE_LIMIT: usize = 64 * 1024;

/// Names at least this alike are taken for typing errors of one another.
const ALIKE: f64 = 0.7;

/// The columns of a table.
pub(crate) struct Spec {
    /// A row is given its fields in this order; the first `required` have to be in the header.
    pub(crate) columns: &'static [&'static str],
    pub(crate) required: usize,
    /// Of these, at least one has to be there too.
    pub(crate) one_of: &'static [&'static str],
    /// Refuse other columns.
    pub(crate) strict: bool,
}

/// What is wrong, and where in the line (in bytes).
pub(crate) struct Fault {
    at: usize,
    what: String,
}

/// A line's fields by the table's columns.
pub(crate) struct Row<'a> {
    fields: &'a Fields,
    places: &'a [Option<usize>],
    spec: &'a Spec,
}

impl Row<'_> {
    /// The field of the column with this index in [`Spec::columns`]; empty if the line or the file has none.
    pub(crate) fn get(&self, column: usize) -> &str {
        self.places[column].and_then(|place| self.fields.get(place)).unwrap_or_default()
    }

    /// As [`Row::get`], of a field that must not be empty.
    pub(crate) fn need(&self, column: usize) -> Result<&str, Fault> {
        let text = self.get(column);
        if text.is_empty() { Err(self.fault(column, self.lacks(column))) } else { Ok(text) }
    }

    /// True if the file has the column.
    pub(crate) fn has(&self, column: usize) -> bool {
        self.places[column].is_some()
    }

    /// Something is wrong with this field.
    pub(crate) fn fault(&self, column: usize, what: String) -> Fault {
        let at = self.places[column].and_then(|place| self.fields.starts.get(place));
        Fault { at: at.copied().unwrap_or_default(), what }
    }

    fn lacks(&self, column: usize) -> String {
        format!("the line has no {}", self.spec.columns[column])
    }
}

/// Calls `add` with each row.
///
/// # Errors
/// With line and column: a header that does not fit, a line that is no CSV, or what `add` refuses.
pub(crate) fn read(
    input: &Input,
    spec: &Spec,
    mut add: impl FnMut(&Row<'_>) -> Result<(), Fault>,
) -> Result<(), EnrichError> {
    let (mut fields, mut header) = (Fields::default(), None);
    let mut line = 0;
    for bytes in input.bytes.split(|byte| *byte == b'\n') {
        line += 1;
        let wrong = |fault: Fault| place(input, line, bytes, fault);
        let Some((text, indent)) = content(bytes).map_err(wrong)? else { continue };
        fields.split(text, indent).map_err(wrong)?;
        match &header {
            None => header = Some(places(&fields, spec).map_err(wrong)?),
            Some(places) => {
                if spec.strict && fields.ends.len() > fields.header {
                    return Err(wrong(fields.surplus()));
                }
                add(&Row { fields: &fields, places, spec }).map_err(wrong)?;
            }
        }
    }
    match header {
        Some(_) => Ok(()),
        None => Err(place(input, line, b"", Fault { at: 0, what: no_header(spec) })),
    }
}

fn place(input: &Input, line: u64, bytes: &[u8], fault: Fault) -> EnrichError {
    let before = &bytes[..fault.at.min(bytes.len())];
    let column = String::from_utf8_lossy(before).chars().count() as u64 + 1;
    EnrichError::Text { name: input.name.clone(), line, column, what: fault.what }
}

/// The line's text and where it begins; none if there is nothing to read in it.
fn content(line: &[u8]) -> Result<Option<(&str, usize)>, Fault> {
    if line.len() > LINE_LIMIT {
        return Err(Fault { at: LINE_LIMIT, what: format!("the line is longer than {LINE_LIMIT} bytes") });
    }
    let text = std::str::from_utf8(line)
        .map_err(|e| Fault { at: e.valid_up_to(), what: "not UTF-8; is it a text file?".to_owned() })?;
    let begun = text.trim_start_matches('\u{feff}').trim_start();
    let indent = text.len() - begun.len();
    let text = begun.trim_end();
    Ok((!text.is_empty() && !text.starts_with('#')).then_some((text, indent)))
}

/// Where the header has each column of the table.
fn places(fields: &Fields, spec: &Spec) -> Result<Vec<Option<usize>>, Fault> {
    let position = |name: &str| fields.iter().position(|field| field.eq_ignore_ascii_case(name));
    let places: Vec<Option<usize>> = spec.columns.iter().map(|name| position(name)).collect();
    let unknown = |field: &&str| !spec.columns.iter().any(|name| field.eq_ignore_ascii_case(name));
    let strays: Vec<(usize, &str)> = fields.iter().enumerate().filter(|(_, field)| unknown(field)).collect();
    let lacking = spec.columns[..spec.required].iter().zip(&places).find(|(_, place)| place.is_none());
    let at = |place: usize| fields.starts.get(place).copied().unwrap_or_default();
    if let Some((name, _)) = lacking {
        let near = strays.iter().find(|(_, stray)| strsim::jaro_winkler(stray, name) > ALIKE);
        return Err(match near {
            Some((place, stray)) => Fault { at: at(*place), what: unknown_column(stray, Some(name), spec) },
            None => Fault { at: 0, what: format!("{}; it lacks the column `{name}`", no_header(spec)) },
        });
    }
    let named = |name: &&&str| spec.columns.iter().zip(&places).any(|(n, place)| n == *name && place.is_some());
    if !spec.one_of.is_empty() && !spec.one_of.iter().any(|name| named(&name)) {
        let what = format!("{}; it lacks {}", no_header(spec), spec.one_of.join(" or "));
        return Err(Fault { at: 0, what });
    }
    if let (true, Some((place, stray))) = (spec.strict, strays.first()) {
        let alike = |name: &&&str| strsim::jaro_winkler(stray, name);
        let near = spec.columns.iter().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|n| alike(n) > ALIKE);
        return Err(Fault { at: at(*place), what: unknown_column(stray, near, spec) });
    }
    let twice = |(i, field): &(usize, &str)| fields.iter().take(*i).any(|f| f.eq_ignore_ascii_case(field));
    match fields.iter().enumerate().find(|field| !unknown(&field.1) && twice(field)) {
        Some((place, field)) => Err(Fault { at: at(place), what: format!("the column `{field}` stands twice") }),
        None => Ok(places),
    }
}

fn unknown_column(stray: &str, near: Option<&&str>, spec: &Spec) -> String {
    match near {
        Some(near) => format!("unknown column `{stray}`; did you mean `{near}`?"),
        None => format!("unknown column `{stray}`; the columns are {}", spec.columns.join(", ")),
    }
}

fn no_header(spec: &Spec) -> String {
    format!("the first line has to be a header of the columns {}", spec.columns.join(", "))
}

/// One line's fields, unquoted and trimmed, in one buffer that is used again.
#[derive(Debug, Default)]
struct Fields {
    text: String,
    ends: Vec<usize>,
    /// Where each field begins in the line.
    starts: Vec<usize>,
    /// Fields of the first line that was split.
    header: usize,
}

impl Fields {
    fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(self.text[start..end].trim())
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|i| self.get(i))
    }

    /// More fields than the header has.
    fn surplus(&self) -> Fault {
        let what = format!("the header has {} columns; a field with a comma needs quotes", self.header);
        Fault { at: self.starts[self.header], what }
    }

    fn split(&mut self, text: &str, indent: usize) -> Result<(), Fault> {
        self.text.clear();
        self.ends.clear();
        self.starts.clear();
        let mut rest = Some(text);
        while let Some(line) = rest {
            let line = line.trim_start();
            let start = indent + text.len() - line.len();
            rest = match line.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted).map_err(|what| Fault { at: start, what })?,
                None => self.plain(line),
            };
            self.ends.push(self.text.len());
            self.starts.push(start);
        }
        if self.header == 0 {
            self.header = self.ends.len();
        }
        Ok(())
    }

    /// Takes a field up to the next comma; gives what follows the comma.
    fn plain<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let (field, rest) = line.split_once(',').map_or((line, None), |(field, rest)| (field, Some(rest)));
        self.text.push_str(field);
        rest
    }

    fn quoted<'a>(&mut self, mut line: &'a str) -> Result<Option<&'a str>, String> {
        loop {
            let (part, rest) = line.split_once('"').ok_or("a quoted field does not end on its line")?;
            self.text.push_str(part);
            match rest.strip_prefix('"') {
                Some(more) => {
                    self.text.push('"');
                    line = more;
                }
                None => return after_quote(rest),
            }
        }
    }
}

fn after_quote(rest: &str) -> Result<Option<&str>, String> {
    let rest = rest.trim_start();
    match rest.strip_prefix(',') {
        Some(next) => Ok(Some(next)),
        None if rest.is_empty() => Ok(None),
        None => Err(format!("{rest:?} follows a quoted field; expected a comma")),
    }
}
