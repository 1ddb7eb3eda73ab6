//! The rules that run together.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::file::{self, RuleText};
use super::{NAMESPACE, Rule, RuleFiles, of_sigma};
use crate::error::{RuleError, RuleErrors};
use crate::sigma;

/// The loaded rules, in the order of their uid.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    version: String,
}

impl RuleSet {
    /// Loads rule files, SQL and Sigma; a folder means the `*.yaml` and `*.yml` files in it and below, in the order of their names.
    ///
    /// # Errors
    /// Every mistake in every file.
    pub fn load(paths: &[PathBuf]) -> Result<Arc<RuleSet>, RuleErrors> {
        RuleSet::load_beside(&[], paths)
    }

    /// As [`RuleSet::load`], beside rules that are given by name and text.
    ///
    /// # Errors
    /// Every mistake in every file and text.
    pub fn load_beside(given: &[(&str, &str)], paths: &[PathBuf]) -> Result<Arc<RuleSet>, RuleErrors> {
        let (files, mut errors) = RuleFiles::survey(paths);
        let (rules, more) = assemble(&beside(given, &files));
        errors.extend(more);
        if errors.is_empty() { Ok(RuleSet::of(rules)) } else { Err(RuleErrors(errors)) }
    }

    /// The rules of files that were read, beside rules that are given by name and text.
    ///
    /// # Errors
    /// Every mistake in every file and text.
    pub fn of_files(given: &[(&str, &str)], files: &RuleFiles) -> Result<Arc<RuleSet>, RuleErrors> {
        RuleSet::from_texts(&beside(given, files))
    }

    /// Rules from their names and texts, e.g. embedded with `include_str!`.
    ///
    /// # Errors
    /// Every mistake in every text.
    pub fn from_texts(texts: &[(&str, &str)]) -> Result<Arc<RuleSet>, RuleErrors> {
        let (rules, errors) = assemble(texts);
        if errors.is_empty() { Ok(RuleSet::of(rules)) } else { Err(RuleErrors(errors)) }
    }

    /// The rules of these files and folders that can run, and what is wrong with the others.
    pub fn survey(paths: &[PathBuf]) -> (Arc<RuleSet>, RuleErrors) {
        let (files, mut errors) = RuleFiles::survey(paths);
        let (rules, more) = assemble(&beside(&[], &files));
        errors.extend(more);
        (RuleSet::of(rules), RuleErrors(errors))
    }

    fn of(mut rules: Vec<Rule>) -> Arc<RuleSet> {
        rules.sort_by(|a, b| a.uid.cmp(&b.uid));
        RuleSet::of_sorted(rules.into_iter().map(Arc::new).collect())
    }

    fn of_sorted(rules: Vec<Arc<Rule>>) -> Arc<RuleSet> {
        let all: Vec<&str> = rules.iter().map(|r| r.fingerprint.as_str()).collect();
        let version = Uuid::new_v5(&NAMESPACE, all.join(",").as_bytes()).simple().to_string();
        Arc::new(RuleSet { rules, version })
    }

    /// Those of the rules that are to be kept, as a set of their own.
    pub fn only(&self, keep: impl Fn(&Rule) -> bool) -> Arc<RuleSet> {
        RuleSet::of_sorted(self.rules.iter().filter(|rule| keep(rule)).cloned().collect())
    }

    /// The rules.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// A hash over everything that decides what the rules find; for ledger entries.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the rule stands that is this one to the last sign of what it finds.
    pub(crate) fn position(&self, fingerprint: &str) -> Option<usize> {
        self.rules.iter().position(|rule| rule.fingerprint == fingerprint)
    }
}

/// Each text's rules: our own one by one, those in Sigma together, since filters are for rules of other files.
fn assemble(texts: &[(&str, &str)]) -> (Vec<Rule>, Vec<RuleError>) {
    let (sigma, own): (Vec<_>, Vec<_>) = texts.iter().partition(|(_, text)| sigma::is_sigma(text));
    let (found, mut errors) = sigma::load(&sigma);
    let own = own.into_iter().map(|(name, text)| {
        let file = RuleText { name, text };
        Rule::build(file).map(|rule| (rule, file.key_place("id")))
    });
    let (mut rules, mut seen): (Vec<Rule>, _) = (Vec::new(), HashSet::new());
    let texts: BTreeMap<&str, &str> = sigma.iter().copied().collect();
    let found = found.into_iter().map(|rule| {
        let text = texts.get(rule.file.as_str()).copied().unwrap_or_default();
        let name = rule.file.clone();
        let file = RuleText { name: &name, text };
        let (rule, place) = of_sigma::build(rule, file::tests_of_sigma(&file)?)?;
        rule.check_tests(file)?;
        Ok((rule, place))
    });
    for built in own.chain(found) {
        match built {
            Ok((rule, _)) if seen.insert(rule.uid.clone()) => rules.push(rule),
            Ok((rule, (line, column))) => {
                let what = format!("a rule with id {} is loaded already", rule.uid);
                errors.push(RuleError { file: rule.file, line, column, what, suggestion: None });
            }
            Err(error) => errors.push(error),
        }
    }
    (rules, errors)
}

fn beside<'a>(given: &[(&'a str, &'a str)], files: &'a RuleFiles) -> Vec<(&'a str, &'a str)> {
    given.iter().copied().chain(files.texts()).collect()
}
