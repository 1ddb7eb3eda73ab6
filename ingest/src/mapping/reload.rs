//! Mappings that follow their files while a worker runs.
//!
//! [`Reloader::check`] is called now and then, away from the path of the rows. If the files have other content they are
//! loaded anew, all of them; if one is wrong, the mappings in force stay. Whoever decodes takes new ones only when it asks
//! ([`Live::refresh`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::UNIX_EPOCH;

use super::{MappingError, Mappings, files};

/// A file that was written this little ago may not be complete.
const SETTLE_US: i64 = 2_000_000;

/// Loads the mappings of a configuration again when their files change.
#[derive(Debug)]
pub struct Reloader {
    patterns: Vec<String>,
    shared: Arc<Shared>,
    /// The files that were tried last, good or bad; none if they could not be read.
    tried: Option<u32>,
    failure: Option<Vec<MappingError>>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The mappings in force are those of the files, or a change is still being written.
    Unchanged,
    /// There were new ones, and they are in force.
    Loaded,
    /// The files are wrong; the mappings in force are those of before.
    Failed {
        /// Every mistake.
        errors: Vec<MappingError>,
        /// The check before found the same.
        repeated: bool,
    },
}

/// The mappings in force, as one reader took them last. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live {
    shared: Arc<Shared>,
    mappings: Mappings,
    number: u64,
}

/// Asking whether there are new mappings costs one load; taking them a lock.
#[derive(Debug)]
struct Shared {
    current: RwLock<Mappings>,
    number: AtomicU64,
}

impl Reloader {
    /// Follows the files that `mappings` were loaded from.
    pub fn new(patterns: Vec<String>, mappings: Mappings) -> Self {
        let tried = mappings.print();
        let shared = Arc::new(Shared { current: RwLock::new(mappings), number: AtomicU64::new(0) });
        Self { patterns, shared, tried, failure: None }
    }

    /// A reader of the mappings in force.
    pub fn live(&self) -> Live {
        let (mappings, number) = self.shared.current();
        Live { shared: self.shared.clone(), mappings, number }
    }

    /// Looks at the files, and puts their mappings into force if they are others. Reads files: not for a thread that has
    /// rows to wait for it.
    pub fn check(&mut self, now_us: i64) -> Outcome {
        if self.patterns.is_empty() {
            return Outcome::Unchanged;
        }
        self.renew(now_us).unwrap_or_else(|errors| self.fail(errors))
    }

    fn renew(&mut self, now_us: i64) -> Result<Outcome, Vec<MappingError>> {
        let (files, unread) = files::read(&self.patterns);
        if !unread.is_empty() {
            self.tried = None;
            return Err(unread);
        }
        let print = files::print(&files);
        if self.tried == Some(print) {
            let failed = |errors| Outcome::Failed { errors, repeated: true };
            return Ok(self.failure.clone().map_or(Outcome::Unchanged, failed));
        }
        if files.iter().any(|file| is_unsettled(&file.name, now_us)) {
            return Ok(Outcome::Unchanged);
        }
        self.tried = Some(print);
        let mappings = Mappings::of_files(&files, unread)?;
        self.failure = None;
        if self.shared.current().0.print() == Some(print) {
            return Ok(Outcome::Unchanged);
        }
        self.shared.publish(mappings);
        Ok(Outcome::Loaded)
    }

    fn fail(&mut self, errors: Vec<MappingError>) -> Outcome {
        let repeated = self.failure.as_ref() == Some(&errors);
        self.failure = Some(errors.clone());
        Outcome::Failed { errors, repeated }
    }
}

fn is_unsettled(file: &str, now_us: i64) -> bool {
    let modified = std::fs::metadata(file).and_then(|m| m.modified()).ok();
    let modified = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|d| d.as_micros() as i64);
    modified.is_some_and(|at| (now_us - at).abs() < SETTLE_US)
}

impl Shared {
    fn current(&self) -> (Mappings, u64) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (current.clone(), self.number.load(Ordering::Acquire))
    }

    fn publish(&self, mappings: Mappings) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = mappings;
        self.number.fetch_add(1, Ordering::Release);
    }
}

impl Live {
    /// True if others are in force than those that were taken last.
    pub fn is_stale(&self) -> bool {
        self.shared.number.load(Ordering::Acquire) != self.number
    }

    /// Takes the mappings in force.
    pub fn refresh(&mut self) {
        (self.mappings, self.number) = self.shared.current();
    }

    /// The mappings that were taken last.
    pub fn mappings(&self) -> &Mappings {
        &self.mappings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2001: no file of the test was written then.
    const NOW: i64 = 1_000_000_000_000_000;

    fn mapping(name: &str) -> String {
        format!(
            "name: {name}\nproduct: {{vendor: V, name: P}}\nformat: kv\nmatch: {{a: b}}\nclass: base_event\ntime: received\n"
        )
    }

    fn has(live: &Live, name: &str) -> bool {
        live.mappings().names().any(|(known, ..)| known == name)
    }

    #[test]
    fn changed_files_are_loaded_and_broken_ones_are_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).expect("written");
        write("a.yaml", &mapping("first"));
        let patterns = vec![dir.path().join("*.yaml").display().to_string()];
        let mappings = Mappings::load(&patterns).expect("right");
        let mut reloader = Reloader::new(patterns, mappings);
        let mut live = reloader.live();
        assert!(has(&live, "first") && reloader.check(NOW) == Outcome::Unchanged);
        write("b.yaml", &mapping("second"));
        assert_eq!(reloader.check(NOW), Outcome::Loaded);
        assert!(live.is_stale() && !has(&live, "second"), "only when it asks");
        live.refresh();
        assert!(!live.is_stale() && has(&live, "first") && has(&live, "second"));
        assert!(live.mappings().version().is_some());

        write("b.yaml", "name: second\nclas: base_event\n");
        let Outcome::Failed { errors, repeated: false } = reloader.check(NOW) else { panic!("a broken file") };
        assert!(errors.len() > 1 && errors[0].to_string().contains("b.yaml:"), "{errors:?}");
        assert!(matches!(reloader.check(NOW), Outcome::Failed { repeated: true, .. }));
        assert!(!live.is_stale(), "the last good ones stay");
        write("b.yaml", &mapping("second"));
        assert_eq!(reloader.check(NOW), Outcome::Unchanged, "what is in force again");
        std::fs::remove_file(dir.path().join("a.yaml")).expect("removed");
        std::fs::remove_file(dir.path().join("b.yaml")).expect("removed");
        assert!(matches!(reloader.check(NOW), Outcome::Failed { repeated: false, .. }), "no file is there");
    }

    #[test]
    fn a_file_that_is_being_written_waits() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.yaml");
        std::fs::write(&path, mapping("first")).expect("written");
        let written = std::fs::metadata(&path).and_then(|m| m.modified()).expect("a time");
        let written = written.duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as i64;
        let mut reloader = Reloader::new(vec![path.display().to_string()], Mappings::builtin());
        assert_eq!(reloader.check(written + SETTLE_US - 1), Outcome::Unchanged);
        assert_eq!(reloader.check(written + SETTLE_US), Outcome::Loaded);
    }

    #[test]
    fn without_files_there_is_nothing_to_follow() {
        let mut reloader = Reloader::new(Vec::new(), Mappings::builtin());
        assert_eq!(reloader.check(NOW), Outcome::Unchanged);
        assert_eq!(reloader.live().mappings().version(), None);
    }
}
