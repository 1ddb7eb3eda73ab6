//! Rules that follow their files while a worker runs.
//!
//! [`Reloader::check`] is called now and then, away from the path of the rows. Files with other content are compiled, all of them; the
//! tests of what is new are run; what the set holds is recorded; then it is in force. If anything is wrong, the last good set stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use aggregate::{Rule, RuleFiles, RuleSet, TestOutcome};
use sinks::Warehouse;
use tokio::runtime::Handle;

use super::{InForce, LiveRules, remember};
use crate::config::RulesConfig;
use crate::setup;

/// A file that was written this little ago may not be complete.
const SETTLE_US: i64 = 2_000_000;

/// Loads the rules of a configuration again when their files change.
pub(crate) struct Reloader {
    config: RulesConfig,
    in_force: InForce,
    /// The last good set, and the files that it is of.
    rules: Arc<RuleSet>,
    files: RuleFiles,
    /// The files that were tried last, good or bad.
    tried: RuleFiles,
    failure: Option<Vec<String>>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The rules in force are those of the files, or a change is still being written.
    Unchanged,
    /// There were new ones, and they are in force.
    Loaded(Changes),
    /// The files are wrong; the rules in force are those of before.
    Failed {
        /// Every mistake, with its place.
        errors: Vec<String>,
        /// The check before found the same.
        repeated: bool,
    },
}

/// Names of rules that differ between two sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: Vec<String>,
    /// They find other things than before.
    pub(crate) changed: Vec<String>,
    pub(crate) removed: Vec<String>,
}

impl Reloader {
    /// Loads the rules, records what they are, and puts them into force.
    ///
    /// # Errors
    /// Every mistake in every file; what the store says.
    pub(crate) async fn open(config: &RulesConfig, warehouse: &Warehouse) -> anyhow::Result<Self> {
        let files = RuleFiles::read(&config.paths, &config.exceptions)?;
        let rules = setup::rules_of(config, &files)?;
        remember(warehouse, &rules).await?;
        let (store, runtime) = (warehouse.clone(), Handle::current());
        let record = Box::new(move |rules: &RuleSet| runtime.block_on(remember(&store, rules)));
        let in_force = InForce::new(rules.clone(), config.row_budget, record);
        Ok(Self { config: config.clone(), in_force, rules, tried: files.clone(), files, failure: None })
    }

    /// A reader of the rules in force.
    pub(crate) fn live(&self) -> LiveRules {
        self.in_force.live()
    }

    /// The loaded rules that are disabled.
    pub(crate) fn disabled(&self) -> Vec<Arc<Rule>> {
        self.in_force.disabled()
    }

    /// Looks at the files, and puts their rules into force if they are others. Reads files and runs tests: not for a thread that
    /// has rows to wait for it.
    pub(crate) fn check(&mut self, now_us: i64) -> Outcome {
        let renewed = RuleFiles::read(&self.config.paths, &self.config.exceptions)
            .map_err(|e| lines(&e))
            .and_then(|files| self.renew(files, now_us));
        renewed.unwrap_or_else(|errors| {
            let repeated = self.failure.as_ref() == Some(&errors);
            self.failure = Some(errors.clone());
            Outcome::Failed { errors, repeated }
        })
    }

    fn renew(&mut self, files: RuleFiles, now_us: i64) -> Result<Outcome, Vec<String>> {
        if files.is_same(&self.files) {
            (self.tried, self.failure) = (files, None);
            return Ok(Outcome::Unchanged);
        }
        if files.is_same(&self.tried) {
            return self.failure.clone().map_or(Ok(Outcome::Unchanged), Err);
        }
        if files.modified_us().is_some_and(|at| (now_us - at).abs() < SETTLE_US) {
            return Ok(Outcome::Unchanged);
        }
        self.tried = files.clone();
        let rules = self.proved(&files)?;
        if let Err(error) = self.in_force.publish(rules.clone()) {
            // The files are right: the next check tries them again.
            self.tried = self.files.clone();
            return Err(vec![format!("{error:#}")]);
        }
        let changes = Changes::between(&self.rules, &rules);
        (self.files, self.rules, self.failure) = (files, rules, None);
        Ok(Outcome::Loaded(changes))
    }

    /// The rules of the files, if they are right in every way that can be told before they run.
    fn proved(&self, files: &RuleFiles) -> Result<Arc<RuleSet>, Vec<String>> {
        if files.texts().next().is_none() && self.files.texts().next().is_some() {
            let paths: Vec<String> = self.config.paths.iter().map(|path| path.display().to_string()).collect();
            return Err(vec![format!("no rule file is left in {}", paths.join(", "))]);
        }
        let rules = setup::rules_of(&self.config, files).map_err(|e| lines(&e))?;
        let mut errors = self.same_versions(&rules, files);
        let changed = files.changed_since(&self.files);
        let is_new = |rule: &Rule| changed.contains(rule.file()) || find(&self.rules, rule.uid()).is_none();
        let tests = aggregate::run_tests(&rules.only(is_new));
        errors.extend(tests.iter().filter(|test| !test.passed()).map(|test| failed(test, files)));
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// SQL rules that find other things under the version that they had: their alerts would have ids that were given to others. A
    /// Sigma rule's version is a day, which an author cannot raise at will.
    fn same_versions(&self, rules: &RuleSet, files: &RuleFiles) -> Vec<String> {
        let is_same = |rule: &&Arc<Rule>| {
            let before = find(&self.rules, rule.uid());
            let is_other = |before: &Arc<Rule>| before.fingerprint() != rule.fingerprint();
            !rule.is_sigma() && before.is_some_and(|before| is_other(before) && before.version() == rule.version())
        };
        let told = |rule: &Arc<Rule>| {
            let (line, column) = files.place(rule.file(), "version", &rule.version().to_string());
            let (file, version) = (rule.file(), rule.version());
            format!("{file}:{line}:{column}: it finds other things than version {version} that runs; raise version")
        };
        rules.rules().iter().filter(is_same).map(told).collect()
    }
}

fn find<'a>(rules: &'a RuleSet, uid: &str) -> Option<&'a Arc<Rule>> {
    rules.rules().iter().find(|rule| rule.uid() == uid)
}

fn lines(errors: &impl ToString) -> Vec<String> {
    errors.to_string().lines().map(str::to_owned).collect()
}

fn failed(test: &TestOutcome, files: &RuleFiles) -> String {
    let (line, column) = files.place(&test.file, "tests", &test.test);
    let why = test.failures().into_iter().next().unwrap_or_default();
    format!("{}:{line}:{column}: test {:?} fails: {why}", test.file, test.test)
}

impl Changes {
    fn between(before: &RuleSet, after: &RuleSet) -> Self {
        let names = |rules: Vec<&Arc<Rule>>| rules.into_iter().map(|rule| rule.name().to_owned()).collect();
        let prints: BTreeSet<&str> = before.rules().iter().map(|rule| rule.fingerprint()).collect();
        let (known, added): (Vec<_>, Vec<_>) = after.rules().iter().partition(|r| find(before, r.uid()).is_some());
        let changed = known.into_iter().filter(|rule| !prints.contains(rule.fingerprint())).collect();
        let removed = before.rules().iter().filter(|rule| find(after, rule.uid()).is_none()).collect();
        Self { added: names(added), changed: names(changed), removed: names(removed) }
    }
}

#[cfg(test)]
mod tests;
