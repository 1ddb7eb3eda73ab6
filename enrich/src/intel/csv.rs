//! Indicator lists: CSV (RFC 4180, without line breaks in fields) with a header; `#` lines and empty lines are skipped.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use crate::error::EnrichError;
use crate::network::Network;

/// Bytes of a line; feeds stay far below.
const LINE_LIMIT: u64 = 64 * 1024;

const COLUMNS: [&str; 3] = ["ip", "category", "confidence"];

/// Calls `add` with each indicator. The checksum takes every byte of the input.
///
/// # Errors
/// With the line: a header without the three columns, a line that is not an indicator, or what `add` refuses.
pub(super) fn read(
    name: &str,
    input: &mut dyn BufRead,
    crc: &mut crc32fast::Hasher,
    mut add: impl FnMut(Network, &str, u8) -> Result<(), String>,
) -> Result<(), EnrichError> {
    let (mut buffer, mut fields, mut header) = (Vec::new(), Fields::default(), None);
    let mut line = 0;
    while read_line(input, &mut buffer).map_err(|source| EnrichError::Read { path: PathBuf::from(name), source })? {
        line += 1;
        crc.update(&buffer);
        let wrong = |what| EnrichError::Indicator { name: name.to_owned(), line, what };
        let Some(text) = content(&buffer).map_err(wrong)? else { continue };
        fields.split(text).map_err(wrong)?;
        match &header {
            None => header = Some(find_columns(&fields).map_err(wrong)?),
            Some(columns) => {
                let (network, category, confidence) = indicator(&fields, columns).map_err(wrong)?;
                add(network, category, confidence).map_err(wrong)?;
            }
        }
    }
    match header {
        Some(_) => Ok(()),
        None => Err(EnrichError::Indicator { name: name.to_owned(), line: line + 1, what: missing_header() }),
    }
}

fn read_line(input: &mut dyn BufRead, buffer: &mut Vec<u8>) -> std::io::Result<bool> {
    buffer.clear();
    Ok(input.take(LINE_LIMIT + 1).read_until(b'\n', buffer)? > 0)
}

/// The line's text; none if there is nothing to read in it.
fn content(line: &[u8]) -> Result<Option<&str>, String> {
    if line.len() as u64 > LINE_LIMIT {
        return Err(format!("the line is longer than {LINE_LIMIT} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    Ok((!text.is_empty() && !text.starts_with('#')).then_some(text))
}

fn find_columns(fields: &Fields) -> Result<[usize; 3], String> {
    let mut columns = [0; 3];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        *column = fields.iter().position(|f| f.eq_ignore_ascii_case(name)).ok_or_else(missing_header)?;
    }
    Ok(columns)
}

fn missing_header() -> String {
    format!("the first line has to be a header that names the columns {}", COLUMNS.join(", "))
}

fn indicator<'a>(fields: &'a Fields, columns: &[usize; 3]) -> Result<(Network, &'a str, u8), String> {
    let [ip, category, confidence] = columns.map(|c| fields.get(c));
    let missing = |name| format!("the line has no {name}");
    let ip = ip.ok_or_else(|| missing("ip"))?;
    let network =
        Network::parse(ip).ok_or_else(|| format!("{ip:?} is not an address or a network such as 192.0.2.0/24"))?;
    let category = category.filter(|c| !c.is_empty()).ok_or_else(|| missing("category"))?;
    let confidence = confidence.ok_or_else(|| missing("confidence"))?;
    let number = confidence.parse().ok().filter(|n| *n <= 100);
    let number = number.ok_or_else(|| format!("confidence {confidence:?} is not a number from 0 to 100"))?;
    Ok((network, category, number))
}

/// One line's fields, unquoted and trimmed, in one buffer that is used again.
#[derive(Debug, Default)]
struct Fields {
    text: String,
    ends: Vec<usize>,
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

    fn split(&mut self, line: &str) -> Result<(), String> {
        self.text.clear();
        self.ends.clear();
        let mut rest = Some(line);
        while let Some(line) = rest {
            let line = line.trim_start();
            rest = match line.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted)?,
                None => self.plain(line),
            };
            self.ends.push(self.text.len());
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
