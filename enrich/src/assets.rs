//! Address -> asset, from CSV: the longest prefix counts. With a `tenant` column an entry is its tenant's alone.

use std::sync::Arc;

use crate::csv::{self, Fault, Row, Spec};
use crate::error::EnrichError;
use crate::files::Input;
use crate::network::{Address, Network};
use crate::prefixes::Prefixes;
use crate::table::{Column, Content, Index, Keywords, Lookup, NULL, Tenanted};

const COLUMNS: Spec =
    Spec { columns: &["ip", "name", "criticality", "owner", "tenant"], required: 2, one_of: &[], strict: true };
const IP: usize = 0;
const NAME: usize = 1;
const CRITICALITY: usize = 2;
const OWNER: usize = 3;
pub(crate) const TENANT: usize = 4;

const CRITICALITIES: [&str; 4] = ["low", "medium", "high", "critical"];

#[derive(Default)]
struct Builder {
    networks: Tenanted<Prefixes>,
    names: Keywords,
    criticalities: Keywords,
    owners: Keywords,
    entries: i32,
}

/// Reads the lists.
///
/// # Errors
/// With file, line and column: a column that is missing or unknown, a field that is wrong, a network that stands twice.
pub(crate) fn load(inputs: Vec<Input>, _now_us: i64) -> Result<Content, EnrichError> {
    let mut assets = Builder::default();
    for input in &inputs {
        csv::read(input, &COLUMNS, |row| assets.add(row))?;
    }
    assets.networks.each().for_each(Prefixes::finish);
    let tenants = assets.networks.tenants();
    let columns = vec![
        Column::new(&["src_asset_name", "dst_asset_name"], assets.names.finish()),
        Column::new(&["src_asset_criticality", "dst_asset_criticality"], assets.criticalities.finish()),
        Column::new(&["src_asset_owner", "dst_asset_owner"], assets.owners.finish()),
    ];
    let addresses = Some(Lookup { index: Arc::new(assets.networks), columns } as Lookup<Address>);
    Ok(Content { addresses, tenants, entries: assets.entries as usize, ..Content::default() })
}

impl Builder {
    fn add(&mut self, row: &Row<'_>) -> Result<(), Fault> {
        let text = row.need(IP)?;
        let network = Network::parse(text)
            .ok_or_else(|| row.fault(IP, format!("{text:?} is not an address or a network such as 10.1.0.0/16")))?;
        let name = row.need(NAME)?;
        let criticality = criticality(row)?;
        let known = self.networks.of(tenant(row, TENANT)?).entry(network);
        if *known != NULL {
            return Err(row.fault(IP, format!("{text} stands twice")));
        }
        *known = self.entries;
        self.entries += 1;
        self.names.push(name);
        self.criticalities.push(criticality);
        self.owners.push(row.get(OWNER));
        Ok(())
    }
}

fn criticality(row: &Row<'_>) -> Result<&'static str, Fault> {
    let text = row.get(CRITICALITY);
    let known = CRITICALITIES.into_iter().find(|known| text.eq_ignore_ascii_case(known));
    match known {
        None if !text.is_empty() => {
            Err(row.fault(CRITICALITY, format!("criticality {text:?} is none of {}", CRITICALITIES.join(", "))))
        }
        known => Ok(known.unwrap_or_default()),
    }
}

/// The tenant of a row; none if the file has no such column. Once it has, every row needs one.
pub(crate) fn tenant<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a str>, Fault> {
    if row.has(column) { row.need(column).map(Some) } else { Ok(None) }
}

impl Index<Address> for Tenanted<Prefixes> {
    fn find(&self, tenant: &str, address: &Address) -> i32 {
        Tenanted::find(self, tenant, |networks| networks.find(*address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Format;

    fn load_text(text: &str) -> Result<Content, String> {
        let input = Input { name: "assets.csv".to_owned(), format: Format::Csv, bytes: text.as_bytes().to_vec() };
        load(vec![input], 0).map_err(|e| e.to_string())
    }

    fn find(content: &Content, tenant: &str, ip: &str) -> i32 {
        let lookup = content.addresses.as_ref().expect("assets are found by address");
        lookup.index.find(tenant, &Address::parse(ip).expect("an address"))
    }

    #[test]
    fn the_longest_prefix_of_the_own_tenant_counts() {
        let text = "tenant,ip,name\nacme,10.0.0.0/8,site\nacme,10.1.0.0/16,dc\nglobex,10.1.1.1,db\nacme,fd00::/8,six\n";
        let content = load_text(text).expect("valid");
        for (tenant, ip, want) in [
            ("acme", "10.2.0.1", 0),
            ("acme", "10.1.1.1", 1),
            ("globex", "10.1.1.1", 2),
            ("globex", "10.1.1.2", NULL),
            ("acme", "fd00::1", 3),
            ("globex", "fd00::1", NULL),
            ("", "10.1.1.1", NULL),
            ("Acme", "10.1.1.1", NULL),
        ] {
            assert_eq!(find(&content, tenant, ip), want, "{tenant} {ip}");
        }
        let mut tenants = content.tenants;
        tenants.sort();
        assert_eq!((tenants, content.entries), (vec!["acme".into(), "globex".into()], 4));
    }

    #[test]
    fn entries_of_all_tenants_stand_behind_those_of_one() {
        let file = |text: &str| Input { name: "a".to_owned(), format: Format::Csv, bytes: text.as_bytes().to_vec() };
        let content = load(vec![file("ip,name\n8.8.8.8,dns\n"), file("ip,name,tenant\n8.8.0.0/16,net,acme\n")], 0)
            .expect("valid");
        assert_eq!([find(&content, "acme", "8.8.8.8"), find(&content, "globex", "8.8.8.8")], [1, 0]);
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_the_way_out() {
        let head = "ip,name,criticality,owner,tenant\n";
        for (text, want) in [
            ("ip,name,tennant\n", "assets.csv:1:9: unknown column `tennant`; did you mean `tenant`?"),
            ("ip,nmae\n", "assets.csv:1:4: unknown column `nmae`; did you mean `name`?"),
            (
                "ip,name,remark\n",
                "assets.csv:1:9: unknown column `remark`; the columns are ip, name, criticality, owner",
            ),
            ("ip,owner\n", "assets.csv:1:1: the first line has to be a header of the columns ip, name"),
            ("ip,name,IP\n", "assets.csv:1:9: the column `IP` stands twice"),
            (&format!("{head}10.0.0.0/33,x,,,a\n"), "assets.csv:2:1: \"10.0.0.0/33\" is not an address"),
            (
                &format!("{head}10.0.0.1,x,urgent,,a\n"),
                "assets.csv:2:12: criticality \"urgent\" is none of low, medium",
            ),
            (&format!("{head}10.0.0.1,x,,,\n"), "assets.csv:2:14: the line has no tenant"),
            (&format!("{head}10.0.0.1\n"), "assets.csv:2:1: the line has no name"),
            (&format!("{head}10.0.0.1,\"ä\", Höch ,,a\n"), "assets.csv:2:15: criticality \"Höch\""),
            (&format!("{head}10.0.0.1,a,,b, c,d\n"), "assets.csv:2:18: the header has 5 columns; a field with a comma"),
            (&format!("{head}10.0.0.1,a,,,t\n10.0.0.1/32,b,,,t\n"), "assets.csv:3:1: 10.0.0.1/32 stands twice"),
        ] {
            let error = load_text(text).err().unwrap_or_else(|| panic!("{text:?} was taken"));
            assert!(error.starts_with(want), "{error}\nlacks {want}");
        }
    }
}
