//! Address or host name -> threat indicator, from CSV lists and STIX 2.1 bundles.
//!
//! Of several indicators that name an address or a host, the one with the highest confidence counts; of equal ones the
//! most specific, then the first read. That is decided when the lists are loaded: a look-up takes the most specific one.

mod domains;
mod pattern;
mod stix;

use std::sync::Arc;

use hashbrown::HashMap;

use crate::csv::{self, Fault, Row, Spec};
use crate::error::{EnrichError, Skipped};
use crate::files::{Format, Input};
use crate::network::{Address, Network};
use crate::prefixes::Prefixes;
use crate::table::{Column, Content, Index, Keywords, Lookup, NULL, Validity, Values};
use domains::{Domains, Reach};

/// Feeds have columns of their own, so others are let pass.
const COLUMNS: Spec = Spec {
    columns: &["category", "confidence", "ip", "domain"],
    required: 2,
    one_of: &["ip", "domain"],
    strict: false,
};
const CATEGORY: usize = 0;
const CONFIDENCE: usize = 1;
const IP: usize = 2;
const DOMAIN: usize = 3;

/// More would mean that another column is taken for the category.
const CATEGORIES_MAX: i32 = 65_536;

/// Reads the lists.
///
/// # Errors
/// With file and place: a line that is no indicator, or a file that is no bundle. Indicators of a bundle that are not
/// understood are no error: [`Content::skipped`].
pub(crate) fn load(inputs: Vec<Input>, now_us: i64) -> Result<Content, EnrichError> {
    let mut intel = Builder::default();
    for input in &inputs {
        match input.format {
            Format::Stix => stix::read(input, now_us, &mut intel)?,
            _ => csv::read(input, &COLUMNS, |row| add_row(row, &mut intel))?,
        }
    }
    Ok(intel.finish())
}

fn add_row(row: &Row<'_>, intel: &mut Builder) -> Result<(), Fault> {
    let category = row.need(CATEGORY)?;
    let text = row.need(CONFIDENCE)?;
    let confidence = text.parse().ok().filter(|n| *n <= 100);
    let confidence = confidence
        .ok_or_else(|| row.fault(CONFIDENCE, format!("confidence {text:?} is not a number from 0 to 100")))?;
    let claim = intel.claim(category, confidence).map_err(|what| row.fault(CATEGORY, what))?;
    let (ip, domain) = (row.get(IP), row.get(DOMAIN));
    if ip.is_empty() && domain.is_empty() {
        let column = if row.has(IP) { IP } else { DOMAIN };
        return Err(row.fault(column, "the line has neither ip nor domain".to_owned()));
    }
    if !ip.is_empty() {
        let network = Network::parse(ip)
            .ok_or_else(|| row.fault(IP, format!("{ip:?} is not an address or a network such as 192.0.2.0/24")))?;
        intel.add_network(network, claim);
    }
    if !domain.is_empty() {
        intel.add_domain(domain, claim).map_err(|what| row.fault(DOMAIN, what))?;
    }
    Ok(())
}

/// Indicators as they are read. A record is a category with a confidence: the same claim about many keys.
#[derive(Default)]
struct Builder {
    categories: Keywords,
    confidences: Vec<i32>,
    claims: HashMap<(i32, u8), i32>,
    networks: Prefixes,
    domains: Domains,
    skipped: Skipped,
    validity: Validity,
}

impl Builder {
    /// The record of a category with a confidence.
    fn claim(&mut self, category: &str, confidence: u8) -> Result<i32, String> {
        let id = self.categories.id(category);
        if id >= CATEGORIES_MAX {
            return Err("more than 65,536 different categories; is another column named category?".to_owned());
        }
        let next = self.confidences.len() as i32;
        let record = *self.claims.entry((id, confidence)).or_insert(next);
        if record == next {
            self.categories.push_id(id);
            self.confidences.push(i32::from(confidence));
        }
        Ok(record)
    }

    fn add_network(&mut self, network: Network, claim: i32) {
        raise(self.networks.entry(network), claim, &self.confidences);
    }

    /// A name with all below it, or `*.name` for those below it alone.
    fn add_domain(&mut self, text: &str, claim: i32) -> Result<(), String> {
        let (name, reach) = domains::parse(text)?;
        self.add_name(&name, reach, claim);
        Ok(())
    }

    fn add_name(&mut self, name: &str, reach: Reach, claim: i32) {
        let confidences = &self.confidences;
        self.domains.each_place(name, reach, |known| raise(known, claim, confidences));
    }

    fn finish(mut self) -> Content {
        let confidences = &self.confidences;
        let is_better = |other: i32, own: i32| confidence(confidences, other) > confidence(confidences, own);
        self.networks.finish();
        self.networks.inherit(is_better);
        self.domains.inherit(is_better);
        let entries = self.networks.len() + self.domains.len();
        let (category, confidence) = (Arc::new(self.categories.finish()), Arc::new(Values::I32(self.confidences)));
        let column = |names, values: &Arc<Values>| Column { names, values: values.clone() };
        let networks = Arc::new(self.networks);
        let hosts = Hosts { networks: networks.clone(), domains: self.domains };
        Content {
            addresses: Some(Lookup {
                index: networks,
                columns: vec![
                    column(&["src_intel_category", "dst_intel_category"], &category),
                    column(&["src_intel_confidence", "dst_intel_confidence"], &confidence),
                ],
            }),
            hosts: Some(Lookup {
                index: Arc::new(hosts),
                columns: vec![
                    column(&["domain_intel_category"], &category),
                    column(&["domain_intel_confidence"], &confidence),
                ],
            }),
            entries,
            skipped: self.skipped,
            validity: self.validity,
            ..Content::default()
        }
    }
}

/// Takes the claim if there was none or it is surer.
fn raise(known: &mut i32, claim: i32, confidences: &[i32]) {
    if *known == NULL || confidence(confidences, claim) > confidence(confidences, *known) {
        *known = claim;
    }
}

fn confidence(confidences: &[i32], claim: i32) -> i32 {
    confidences[claim as usize]
}

impl Index<Address> for Prefixes {
    fn find(&self, _tenant: &str, address: &Address) -> i32 {
        Prefixes::find(self, *address)
    }
}

/// Indicators by what stands where a host name is expected, which may be an address.
struct Hosts {
    networks: Arc<Prefixes>,
    domains: Domains,
}

impl Index<str> for Hosts {
    fn find(&self, _tenant: &str, host: &str) -> i32 {
        match address(host) {
            Some(address) => self.networks.find(address),
            None => self.domains.find(host),
        }
    }
}

/// The address, where a host is one; a v6 address may stand in brackets.
fn address(host: &str) -> Option<Address> {
    let text = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if text.ends_with(|c: char| c.is_ascii_digit()) || text.contains(':') { Address::parse(text) } else { None }
}

#[cfg(test)]
mod tests;
