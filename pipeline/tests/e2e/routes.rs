//! Tenants with tables of their own: made while the worker runs, whatever kills it, and read by others.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::crash::{Calm, run};
use crate::kit::{number, palisade, python, sql, stdout};
use crate::upkeep::audit;

/// `acme` has every table of its own, all the others' network activity is in one of theirs.
const ROUTES: &str = "  sort_rows: true\n  routes:\n    - {tenants: [acme], namespace: 'own_{tenant}'}\n    \
                      - {classes: [network_activity], namespace: others}\n";

fn routed(config: &Path) -> PathBuf {
    let text = std::fs::read_to_string(config).expect("a configuration");
    let path = config.with_extension("routed.yaml");
    std::fs::write(&path, text.replacen("sources:\n", &format!("{ROUTES}sources:\n"), 1)).expect("writes");
    path
}

/// Rows of each table and tenant, as PyIceberg reads them.
const READ: &str = r"
import sys, collections
from pyiceberg.catalog.sql import SqlCatalog
root = sys.argv[1]
catalog = SqlCatalog('palisade', uri=f'sqlite:///{root}/catalog.db', warehouse=root)
for namespace in sorted(catalog.list_namespaces()):
    for ident in sorted(catalog.list_tables(namespace)):
        rows = catalog.load_table(ident).scan(selected_fields=('tenant_uid',)).to_arrow()
        for tenant, n in sorted(collections.Counter(rows['tenant_uid'].to_pylist()).items()):
            print('.'.join(ident), tenant, n)
";

#[test]
fn tenants_with_tables_of_their_own_are_there_once_whatever_dies() {
    let calm = Calm::new(12);
    let (warehouse, config) = calm.warehouse("routed");
    let config = routed(&config);
    for step in
        ["file_staged:2", "source_entry_after:4", "merge_entry_after:2", "table_commit_after:3", "between_tables:20"]
    {
        let mut worker = run(&config);
        let status = worker.env("PALISADE_KILL_AT", step).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(!status.expect("the binary starts").success(), "killed at {step}");
    }
    stdout(&mut run(&config));
    calm.verify(&warehouse).expect("each event and each alert is there once");
    let audit = audit(&calm, &warehouse, &config);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));

    let read = stdout(python().args(["-c", READ]).arg(&warehouse));
    let line = |table: &str, tenant: &str| read.lines().find(|l| l.starts_with(&format!("{table} {tenant} ")));
    for table in ["own_acme.network_activity", "own_acme.detection_finding", "own_acme.http_activity"] {
        assert!(line(table, "acme").is_some(), "{table}: {read}");
    }
    assert!(
        line("others.network_activity", "globex").is_some() && line("palisade.http_activity", "globex").is_some(),
        "{read}"
    );
    let is_right = |line: &str| {
        let (table, tenant) = line.split_once(' ').expect("a table and a tenant");
        let own = table.starts_with("own_acme.");
        own == tenant.starts_with("acme ") && (table != "palisade.network_activity")
    };
    assert!(read.lines().all(is_right), "{read}");

    let all = number(&warehouse, "SELECT count(*) FROM network_activity");
    let parts = number(
        &warehouse,
        "SELECT (SELECT count(*) FROM own_acme.network_activity) + (SELECT count(*) FROM others.network_activity)",
    );
    assert_eq!(all, parts);
    let listed = stdout(palisade().args(["tables", "list", "--warehouse"]).arg(&warehouse));
    assert!(listed.contains("own_acme.network_activity") && listed.contains("others.network_activity"), "{listed}");
    let tenants = sql(&warehouse, "SELECT DISTINCT tenant_uid FROM own_acme.network_activity");
    assert_eq!(tenants.len(), 1, "{tenants:?}");
}
