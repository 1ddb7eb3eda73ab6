//! OCSF 1.8's own values of the columns that are enums, by column: id and caption. Made of `ocsf.enums`.

use std::sync::LazyLock;

use dataflow::Table;

/// An enum value's id and caption.
pub(crate) type Caption = (i32, &'static str);

/// The value of an enum that says nothing.
pub(crate) const UNKNOWN: Caption = (0, "Unknown");

/// The id of a value that OCSF does not know: its caption is the source's own word.
pub(crate) const OTHER: i32 = 99;

struct Entry {
    tables: Vec<Table>,
    path: &'static str,
    values: Vec<Caption>,
}

static ENTRIES: LazyLock<Vec<Entry>> =
    LazyLock::new(|| include_str!("ocsf.enums").lines().filter(|l| !l.starts_with('#')).filter_map(entry).collect());

fn entry(line: &'static str) -> Option<Entry> {
    let (tables, rest) = line.split_once(' ')?;
    let (path, values) = rest.split_once(' ')?;
    let value = |text: &'static str| {
        let (id, caption) = text.split_once('=')?;
        Some((id.parse().ok()?, caption))
    };
    Some(Entry {
        tables: tables.split(',').filter_map(Table::by_name).collect(),
        path,
        values: values.split("; ").filter_map(value).collect(),
    })
}

/// The values of an enum column (`severity_id`, `user.type_id`), in the order of their ids; none if it is no enum.
pub(crate) fn values(table: Table, path: &str) -> Option<&'static [Caption]> {
    let found = ENTRIES.iter().find(|e| e.path == path && e.tables.contains(&table));
    found.map(|e| e.values.as_slice())
}

/// The value of that caption, whatever its case.
pub(crate) fn by_caption(values: &[Caption], caption: &str) -> Option<Caption> {
    values.iter().copied().find(|(_, c)| c.eq_ignore_ascii_case(caption))
}

/// The value of that id.
pub(crate) fn by_id(values: &[Caption], id: i32) -> Option<Caption> {
    values.iter().copied().find(|(i, _)| *i == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_enum_is_a_column_of_its_tables_and_has_its_caption_beside_it() {
        assert!(ENTRIES.len() > 25);
        for entry in ENTRIES.iter() {
            assert!(!entry.tables.is_empty() && entry.values.len() > 1, "{}", entry.path);
            for table in &entry.tables {
                assert!(table.leaf(entry.path).is_some(), "{table} {}", entry.path);
            }
        }
    }

    #[test]
    fn values_by_caption_and_by_id() {
        let severity = values(Table::NetworkActivity, "severity_id").expect("an enum");
        assert_eq!(by_caption(severity, "informational"), Some((1, "Informational")));
        assert_eq!((by_id(severity, 6), by_id(severity, 7)), (Some((6, "Fatal")), None));
        let status = values(Table::DetectionFinding, "status_id").expect("an enum");
        assert_eq!(by_caption(status, "Success"), None, "a finding's status is another enum");
        assert!(values(Table::NetworkActivity, "app_name").is_none());
    }
}
