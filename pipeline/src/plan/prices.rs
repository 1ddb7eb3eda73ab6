//! What things cost: the user's figures. None is built in.

use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What a price file may say; `palisade plan` prints this where there is none.
pub(crate) const EXAMPLE: &str = "\
currency: EUR
core_hour: 0.00            # a core of a worker, an hour
memory_gib_hour: 0.00      # a GiB of a worker's memory, an hour
object_gib_month: 0.00     # a GiB in the object store, a month
object_writes_million: 0.00
object_reads_million: 0.00
topic_gib_month: 0.00      # a GiB on the brokers' disks, a month
network_gib: 0.00          # a GiB from the brokers to the workers
";

/// Prices of one currency. What is left out costs nothing and is said not to be counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    pub(crate) currency: String,
    pub(crate) core_hour: Option<f64>,
    pub(crate) memory_gib_hour: Option<f64>,
    pub(crate) object_gib_month: Option<f64>,
    pub(crate) object_writes_million: Option<f64>,
    pub(crate) object_reads_million: Option<f64>,
    pub(crate) topic_gib_month: Option<f64>,
    pub(crate) network_gib: Option<f64>,
}

impl Prices {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the flag, the file and what is wrong with it.
    pub(crate) fn load(file: &Path) -> anyhow::Result<Self> {
        let at = || format!("--prices {}", file.display());
        let text = std::fs::read_to_string(file).with_context(at)?;
        let prices: Self = serde_saphyr::from_str(&text)
            .map_err(|e| anyhow::anyhow!(super::first_line(&e.without_snippet())))
            .with_context(at)?;
        let given: Vec<(&str, f64)> = prices.named().into_iter().filter_map(|(name, p)| Some((name, p?))).collect();
        if given.is_empty() {
            bail!("{}: no price in it; it may say\n{EXAMPLE}", at());
        }
        if let Some((name, price)) = given.iter().find(|(_, price)| !(price.is_finite() && *price >= 0.0)) {
            bail!("{}: {name} is {price}; a price is a number from 0 on", at());
        }
        Ok(prices)
    }

    /// Each price by its key.
    pub(crate) fn named(&self) -> [(&'static str, Option<f64>); 7] {
        [
            ("core_hour", self.core_hour),
            ("memory_gib_hour", self.memory_gib_hour),
            ("object_gib_month", self.object_gib_month),
            ("object_writes_million", self.object_writes_million),
            ("object_reads_million", self.object_reads_million),
            ("topic_gib_month", self.topic_gib_month),
            ("network_gib", self.network_gib),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Prices, String> {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("prices.yaml");
        std::fs::write(&file, text).expect("a file");
        Prices::load(&file).map_err(|e| format!("{e:#}"))
    }

    #[test]
    fn the_example_that_is_printed_is_a_price_file() {
        let prices = load(EXAMPLE).expect("valid");
        assert_eq!(prices.currency, "EUR");
        assert!(prices.named().iter().all(|(_, price)| *price == Some(0.0)));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_flag() {
        for (text, want) in [
            ("currency: EUR", "no price in it"),
            ("currency: EUR\ncore_hour: -1", "core_hour is -1"),
            ("currency: EUR\ncore_houre: 1", "core_houre"),
            ("core_hour: 1", "currency"),
        ] {
            let error = load(text).expect_err(text);
            assert!(error.contains(want) && error.starts_with("--prices"), "{text}: {error}");
        }
    }
}
