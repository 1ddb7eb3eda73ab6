//! The rules that run together.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::file::{self, RuleText};
use super::{NAMESPACE, Rule, RuleFiles, of_sigma};
use crate::error::{RuleError, RuleErrors};
use crate::exception::{self, Exception, Exceptions};
use crate::sigma;

/// The loaded rules, in the order of their uid.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    exceptions: Vec<Arc<Exception>>,
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
        let (files, mut errors) = RuleFiles::survey(paths, &[]);
        let (rules, more) = assemble(&beside(given, &files));
        errors.extend(more);
        if errors.is_empty() { Ok(RuleSet::of(rules)) } else { Err(RuleErrors(errors)) }
    }

    /// The rules of files that were read, beside rules that are given by name and text; with the files' exceptions.
    ///
    /// # Errors
    /// Every mistake in every file and text.
    pub fn of_files(given: &[(&str, &str)], files: &RuleFiles) -> Result<Arc<RuleSet>, RuleErrors> {
        RuleSet::from_texts(&beside(given, files))?.except_texts(&files.exceptions().collect::<Vec<_>>())
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
        let (files, mut errors) = RuleFiles::survey(paths, &[]);
        let (rules, more) = assemble(&beside(&[], &files));
        errors.extend(more);
        (RuleSet::of(rules), RuleErrors(errors))
    }

    /// As [`RuleSet::survey`], with the exceptions of files and folders; without those if one of them is wrong.
    pub fn survey_excepted(paths: &[PathBuf], exceptions: &[PathBuf]) -> (Arc<RuleSet>, RuleErrors) {
        let (rules, mut errors) = RuleSet::survey(paths);
        match rules.except(exceptions) {
            Ok(excepted) => (excepted, errors),
            Err(more) => {
                errors.0.extend(more.0);
                (rules, errors)
            }
        }
    }

    fn of(mut rules: Vec<Rule>) -> Arc<RuleSet> {
        rules.sort_by(|a, b| a.uid.cmp(&b.uid));
        RuleSet::of_sorted(rules.into_iter().map(Arc::new).collect(), Vec::new())
    }

    fn of_sorted(rules: Vec<Arc<Rule>>, exceptions: Vec<Arc<Exception>>) -> Arc<RuleSet> {
        let decides = |rule: &Arc<Rule>| format!("{}{}", rule.fingerprint, rule.keeps_back());
        let all: Vec<String> = rules.iter().map(decides).collect();
        let version = Uuid::new_v5(&NAMESPACE, all.join(",").as_bytes()).simple().to_string();
        Arc::new(RuleSet { rules, exceptions, version })
    }

    /// Those of the rules that are to be kept, with their exceptions, as a set of their own.
    pub fn only(&self, keep: impl Fn(&Rule) -> bool) -> Arc<RuleSet> {
        RuleSet::of_sorted(self.rules.iter().filter(|rule| keep(rule)).cloned().collect(), self.exceptions.clone())
    }

    /// These rules with the exceptions of files and folders. Windows keep their state; the set's version is another.
    ///
    /// # Errors
    /// Every mistake in every file, and exceptions that fit no rule.
    pub fn except(&self, paths: &[PathBuf]) -> Result<Arc<RuleSet>, RuleErrors> {
        self.except_texts(&RuleFiles::read(&[], paths)?.exceptions().collect::<Vec<_>>())
    }

    /// As [`RuleSet::except`], with the names and texts of the files.
    ///
    /// # Errors
    /// As there.
    pub fn except_texts(&self, texts: &[(&str, &str)]) -> Result<Arc<RuleSet>, RuleErrors> {
        let (exceptions, errors) = exception::read(texts.iter().copied());
        if !errors.is_empty() {
            return Err(RuleErrors(errors));
        }
        let mut rules: Vec<Rule> = self.rules.iter().map(|rule| rule.as_ref().clone()).collect();
        rules.iter_mut().for_each(|rule| rule.exceptions = Exceptions::default());
        exception::bind(&mut rules, &exceptions)?;
        Ok(RuleSet::of_sorted(rules.into_iter().map(Arc::new).collect(), exceptions))
    }

    /// The exceptions, in the order they were read.
    pub fn exceptions(&self) -> &[Arc<Exception>] {
        &self.exceptions
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
