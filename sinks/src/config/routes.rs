//! Which tenants have tables of their own, and how those are called.

use std::collections::BTreeSet;

use dataflow::Table;
use uuid::Uuid;

use crate::{Destination, Error, Namespace, Result};

/// Names of tenants that are longer are not taken as they are.
const PLAIN_MAX: usize = 64;

/// What stands for the tenant in a template.
const TENANT: &str = "{tenant}";

/// The routes of a warehouse: the first that fits decides; rows that none fits are in the tables that all share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    /// In order.
    pub routes: Vec<Route>,
    /// Tables that may be made in namespaces of their own; beyond that, rows are in those that all share.
    pub tables_max: usize,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Whose rows; None for everybody's.
    pub tenants: Option<BTreeSet<String>>,
    /// Which classes; None for all.
    pub classes: Option<BTreeSet<Table>>,
    /// The namespace's name, in which `{tenant}` stands for the tenant's.
    pub namespace: String,
}

impl Default for Routes {
    fn default() -> Self {
        Self { routes: Vec::new(), tables_max: 1000 }
    }
}

impl Route {
    fn fits(&self, tenant: &str, table: Table) -> bool {
        self.tenants.as_ref().is_none_or(|all| all.contains(tenant))
            && self.classes.as_ref().is_none_or(|all| all.contains(&table))
    }
}

impl Routes {
    /// Where rows of a tenant and class go. `shared` is the namespace of the tables that all share, which no route leads to.
    pub(crate) fn destination(&self, shared: &str, tenant: &str, table: Table) -> Destination {
        let route = self.routes.iter().find(|route| route.fits(tenant, table));
        let name = route.map(|route| route.namespace.replace(TENANT, &plain(tenant)));
        match name.filter(|name| name != shared).and_then(|name| Namespace::named(&name)) {
            Some(namespace) => Destination::own(namespace, table),
            None => table.into(),
        }
    }

    /// # Errors
    /// [`Error::Config`] names the route that cannot be used.
    pub(super) fn check(&self, shared: &str) -> Result<()> {
        for (index, Route { tenants, classes, namespace }) in self.routes.iter().enumerate() {
            let fail = |what: String| Err(Error::Config(format!("routes[{index}].{what}")));
            let example = namespace.replace(TENANT, "t");
            if Namespace::named(&example).is_none() || namespace.len() > PLAIN_MAX || example.starts_with('_') {
                return fail(format!(
                    "namespace: {namespace:?} is not at most {PLAIN_MAX} of a-z, 0-9, -, _ and {TENANT}, with no _ first"
                ));
            }
            if namespace == shared {
                return fail(format!("namespace: {namespace:?} is that of the tables that all tenants share"));
            }
            if tenants.as_ref().is_some_and(BTreeSet::is_empty) {
                return fail("tenants: names nobody".to_owned());
            }
            if classes.as_ref().is_some_and(BTreeSet::is_empty) {
                return fail("classes: names none".to_owned());
            }
        }
        Ok(())
    }
}

/// A tenant's name in characters that every catalog takes. Two tenants never have the same: a name that is not taken as it is
/// ends in what only it hashes to, and one that ends so by itself is not taken as it is.
fn plain(tenant: &str) -> String {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if tenant.len() <= PLAIN_MAX && tenant.chars().all(fine) && !is_hashed(tenant) {
        return tenant.to_owned();
    }
    let replace = |c: char| Some(c.to_ascii_lowercase()).filter(|c| fine(*c)).unwrap_or('_');
    let start: String = tenant.chars().take(PLAIN_MAX / 2).map(replace).collect();
    format!("{start}_{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, tenant.as_bytes()).simple())
}

fn is_hashed(name: &str) -> bool {
    name.rsplit_once('_').is_some_and(|(_, end)| end.len() == 32 && end.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(tenants: &[&str], classes: &[Table], namespace: &str) -> Route {
        let some = |empty: bool| (!empty).then_some(());
        Route {
            tenants: some(tenants.is_empty()).map(|()| tenants.iter().map(|t| (*t).to_owned()).collect()),
            classes: some(classes.is_empty()).map(|()| classes.iter().copied().collect()),
            namespace: namespace.to_owned(),
        }
    }

    #[test]
    fn the_first_route_that_fits_decides() {
        let routes = Routes {
            routes: vec![
                route(&["acme", "globex"], &[Table::DnsActivity], "names"),
                route(&["acme"], &[], "soc_{tenant}"),
                route(&["palisade"], &[], "{tenant}"),
            ],
            ..Routes::default()
        };
        for (tenant, table, want) in [
            ("acme", Table::DnsActivity, "names.dns_activity"),
            ("globex", Table::DnsActivity, "names.dns_activity"),
            ("acme", Table::DeadLetter, "soc_acme.dead_letter"),
            ("globex", Table::DeadLetter, "dead_letter"),
            ("palisade", Table::BaseEvent, "base_event"),
        ] {
            assert_eq!(routes.destination("palisade", tenant, table).to_string(), want, "{tenant}");
        }
        assert!(routes.check("palisade").is_ok());
    }

    #[test]
    fn tenants_never_share_a_namespace_by_their_names() {
        let hashed = plain("Acme.EU");
        assert!(hashed.starts_with("acme_eu_") && Namespace::named(&hashed).is_some(), "{hashed}");
        let names =
            ["acme", "Acme", "ACME", "acme.eu", "acme_eu", "a/../b", &"n".repeat(65), &"n".repeat(66), &hashed, "é"];
        let plains: BTreeSet<String> = names.iter().map(|name| plain(name)).collect();
        assert_eq!(plains.len(), names.len(), "{plains:?}");
        let longest =
            Routes { routes: vec![route(&[], &[], &format!("{}{TENANT}", "p".repeat(56)))], ..Routes::default() };
        assert!(longest.check("palisade").is_ok());
        let all_fit = |name: &&str| longest.destination("palisade", name, Table::BaseEvent).namespace().is_some();
        assert!(names.iter().all(all_fit), "no tenant's name is too long");
    }

    #[test]
    fn a_route_that_cannot_be_used_is_named() {
        for (bad, want) in [
            (route(&[], &[], "Acme"), "routes[0].namespace"),
            (route(&[], &[], ""), "routes[0].namespace"),
            (route(&[], &[], "_shared"), "no _ first"),
            (route(&[], &[], "palisade"), "all tenants share"),
            (Route { tenants: Some(BTreeSet::new()), ..route(&[], &[], "x") }, "tenants: names nobody"),
            (Route { classes: Some(BTreeSet::new()), ..route(&[], &[], "x") }, "classes: names none"),
        ] {
            let error = Routes { routes: vec![bad], ..Routes::default() }.check("palisade").expect_err("refused");
            assert!(error.to_string().contains(want), "{error}");
        }
    }
}
