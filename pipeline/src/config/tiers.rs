//! Tiers of tenants: latency is told by tier, since tenants are no closed set.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::raw::confined;

/// More would make a label of many values.
const TIERS_MAX: usize = 16;

/// Which tier each tenant is of; whoever is named nowhere is `standard`.
#[derive(Debug, Clone)]
pub(crate) struct Tiers {
    named: HashMap<String, Arc<str>>,
    standard: Arc<str>,
}

impl Default for Tiers {
    fn default() -> Self {
        Self { named: HashMap::new(), standard: "standard".into() }
    }
}

impl Tiers {
    /// Tiers with their tenants.
    ///
    /// # Errors
    /// Too many tiers, names that are none, and a tenant of two tiers.
    pub(super) fn new(raw: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        if raw.len() > TIERS_MAX {
            return Err(format!("telemetry.tiers: {} tiers; at most {TIERS_MAX} can be told apart", raw.len()));
        }
        let mut tiers = Self::default();
        for (name, tenants) in raw {
            confined("telemetry.tiers", name)?;
            let tier: Arc<str> = name.as_str().into();
            for tenant in tenants {
                if let Some(other) = tiers.named.insert(tenant.clone(), tier.clone()) {
                    return Err(format!(
                        "telemetry.tiers: `{tenant}` is of `{other}` and of `{name}`; leave it in one"
                    ));
                }
            }
        }
        Ok(tiers)
    }

    /// The tenant's tier.
    pub(crate) fn of(&self, tenant: &str) -> &Arc<str> {
        self.named.get(tenant).unwrap_or(&self.standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(raw: &[(&str, &[&str])]) -> Result<Tiers, String> {
        let owned = |tenants: &[&str]| tenants.iter().map(|tenant| (*tenant).to_owned()).collect();
        Tiers::new(&raw.iter().map(|(name, tenants)| ((*name).to_owned(), owned(tenants))).collect())
    }

    #[test]
    fn a_tenant_is_of_one_tier() {
        let good = tiers(&[("gold", &["acme", "globex"]), ("trial", &["initech"])]).expect("good tiers");
        assert_eq!(["acme", "initech", "umbrella"].map(|tenant| &**good.of(tenant)), ["gold", "trial", "standard"]);
        let twice = tiers(&[("gold", &["acme"]), ("trial", &["acme"])]).expect_err("in two");
        assert_eq!(twice, "telemetry.tiers: `acme` is of `gold` and of `trial`; leave it in one");
        assert!(tiers(&[("a b", &["acme"])]).is_err_and(|why| why.contains("`a b` may hold only letters")));
        let names: Vec<String> = (0..=TIERS_MAX).map(|n| format!("t{n}")).collect();
        let many: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        assert!(tiers(&many).is_err_and(|why| why.contains("17 tiers; at most 16")));
        assert!(tiers(&many[1..]).is_ok());
    }
}
