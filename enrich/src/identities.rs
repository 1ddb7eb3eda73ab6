//! User name -> identity, from CSV. With a `tenant` column an entry is its tenant's alone.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::assets::tenant;
use crate::csv::{self, Fault, Row, Spec};
use crate::error::EnrichError;
use crate::files::Input;
use crate::table::{Column, Content, Index, Keywords, Lookup, NULL, Tenanted, Values};

const COLUMNS: Spec = Spec {
    columns: &["user_name", "department", "title", "is_privileged", "tenant"],
    required: 1,
    one_of: &[],
    strict: true,
};
const USER_NAME: usize = 0;
const DEPARTMENT: usize = 1;
const TITLE: usize = 2;
const IS_PRIVILEGED: usize = 3;
const TENANT: usize = 4;

/// Records by user name, in lower case.
#[derive(Default)]
struct Users(HashMap<Box<str>, i32>);

#[derive(Default)]
struct Builder {
    users: Tenanted<Users>,
    departments: Keywords,
    titles: Keywords,
    privileged: Vec<i32>,
}

/// Reads the lists.
///
/// # Errors
/// With file, line and column: a column that is missing or unknown, a field that is wrong, a name that stands twice.
pub(crate) fn load(inputs: Vec<Input>, _now_us: i64) -> Result<Content, EnrichError> {
    let mut identities = Builder::default();
    for input in &inputs {
        csv::read(input, &COLUMNS, |row| identities.add(row))?;
    }
    let (tenants, entries) = (identities.users.tenants(), identities.privileged.len());
    let columns = vec![
        Column::new(&["user_department"], identities.departments.finish()),
        Column::new(&["user_title"], identities.titles.finish()),
        Column::new(&["user_is_privileged"], Values::Flags(identities.privileged)),
    ];
    let users = Some(Lookup { index: Arc::new(identities.users), columns } as Lookup<str>);
    Ok(Content { users, tenants, entries, ..Content::default() })
}

impl Builder {
    fn add(&mut self, row: &Row<'_>) -> Result<(), Fault> {
        let name = row.need(USER_NAME)?;
        let privileged = flag(row, IS_PRIVILEGED)?;
        let users = self.users.of(tenant(row, TENANT)?);
        let record = self.privileged.len() as i32;
        if users.0.insert(name.to_lowercase().into(), record).is_some() {
            return Err(row.fault(USER_NAME, format!("{name} stands twice; upper and lower case are the same")));
        }
        self.departments.push(row.get(DEPARTMENT));
        self.titles.push(row.get(TITLE));
        self.privileged.push(privileged);
        Ok(())
    }
}

fn flag(row: &Row<'_>, column: usize) -> Result<i32, Fault> {
    match row.get(column).to_ascii_lowercase().as_str() {
        "" => Ok(NULL),
        "true" | "yes" | "1" => Ok(1),
        "false" | "no" | "0" => Ok(0),
        other => Err(row.fault(column, format!("{other:?} is neither true nor false"))),
    }
}

impl Index<str> for Tenanted<Users> {
    fn find(&self, tenant: &str, name: &str) -> i32 {
        let is_lower = !name.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii());
        let lower = if is_lower { None } else { Some(name.to_lowercase()) };
        let name = lower.as_deref().unwrap_or(name);
        Tenanted::find(self, tenant, |users| users.0.get(name).copied().unwrap_or(NULL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Format;

    fn load_text(text: &str) -> Result<Content, String> {
        let input = Input { name: "users.csv".to_owned(), format: Format::Csv, bytes: text.as_bytes().to_vec() };
        load(vec![input], 0).map_err(|e| e.to_string())
    }

    #[test]
    fn a_user_is_found_in_any_case_and_in_the_own_tenant_only() {
        let text = "user_name,tenant,is_privileged\nAlice,acme,yes\nalice,globex,no\nJosé@x.example,acme,\n";
        let content = load_text(text).expect("valid");
        let lookup = content.users.expect("identities are found by user");
        for (tenant, name, want) in [
            ("acme", "alice", 0),
            ("acme", "ALICE", 0),
            ("globex", "Alice", 1),
            ("initech", "alice", NULL),
            ("acme", "JOSÉ@x.example", 2),
            ("globex", "josé@x.example", NULL),
            ("acme", "", NULL),
        ] {
            assert_eq!(lookup.index.find(tenant, name), want, "{tenant} {name}");
        }
    }

    #[test]
    fn without_tenants_a_user_is_everyones() {
        let content = load_text("user_name,department\nroot,it\n").expect("valid");
        let lookup = content.users.expect("identities are found by user");
        assert_eq!([lookup.index.find("acme", "root"), lookup.index.find("", "root")], [0, 0]);
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_the_way_out() {
        for (text, want) in [
            ("username,department\n", "users.csv:1:1: unknown column `username`; did you mean `user_name`?"),
            ("department\n", "users.csv:1:1: the first line has to be a header of the columns user_name"),
            ("user_name,privileged\n", "users.csv:1:11: unknown column `privileged`; did you mean `is_privileged`?"),
            ("user_name,is_privileged\na,maybe\n", "users.csv:2:3: \"maybe\" is neither true nor false"),
            ("user_name\na\nA\n", "users.csv:3:1: A stands twice; upper and lower case are the same"),
            ("user_name,tenant\na\n", "users.csv:2:1: the line has no tenant"),
        ] {
            let error = load_text(text).err().unwrap_or_else(|| panic!("{text:?} was taken"));
            assert!(error.starts_with(want), "{error}\nlacks {want}");
        }
    }
}
