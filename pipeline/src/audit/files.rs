//! I2: data files. Each is live once, and holds the rows that manifest and entry say. Whether it exists is I9's question.

use std::collections::HashMap;

use super::facts::Facts;
use super::{Faults, Verdict};

/// No file twice; rows by the file's own footer.
pub(super) async fn check(facts: &Facts) -> Verdict {
    let (mut faults, mut checked) = (Faults::default(), 0);
    let mut entry_rows: HashMap<&str, u64> = HashMap::new();
    for (key, start, entry) in facts.entries() {
        for file in entry.tables().values().flat_map(|t| &t.files) {
            if entry_rows.insert(&file.location, file.rows).is_some() {
                faults.add(|| format!("{}: two entries name it, {key} {start} is one", file.location));
            }
        }
    }
    for table in &facts.tables {
        let mut times: HashMap<&str, usize> = HashMap::new();
        for file in table.files.iter().flatten() {
            let n = times.entry(&file.location).or_default();
            *n += 1;
            if *n == 2 {
                faults.add(|| format!("{}: {} is live twice", table.table, file.location));
            }
            let said = entry_rows.get(file.location.as_str()).copied().unwrap_or(file.rows);
            let input = table.loaded.file_io().new_input(&file.location);
            let Ok(input) = input else { continue };
            if let Ok(Some((_, rows))) = sinks::parquet::footer_rows(&input).await {
                checked += 1;
                if rows != file.rows || rows != said {
                    let (manifest, location) = (file.rows, &file.location);
                    faults.add(|| {
                        format!("{location}: holds {rows} rows; its manifest says {manifest}, its entry {said}")
                    });
                }
            }
        }
    }
    if let Some(table) = facts.tables.iter().find(|t| t.files.is_none()) {
        return Verdict::not_checked(format!("the manifests of {} cannot be read, see I9", table.table));
    }
    faults.verdict(format!("{checked} data files"))
}
