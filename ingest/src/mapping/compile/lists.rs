//! Attributes of lists of objects: the one element that plain fields make, or those that an array makes.

use super::super::attribute::Attribute;
use super::super::error::{Mistake, Place};
use super::super::plan::is_fixed;
use super::super::source::{Path, Pick};
use super::super::step::{Elements, Otherwise, Step, What};
use super::super::target::Kind;
use super::Compiler;
use crate::decode::fields::Objects;

impl Compiler {
    /// An attribute of an element: of the one that plain fields make, or of each that an array makes.
    pub(super) fn in_list(
        &mut self,
        list: &'static str,
        attribute: &Attribute<'_>,
        kind: Kind,
        at: Place,
    ) -> Result<(), Mistake> {
        let each = match attribute.from.as_slice() {
            [(path, _)] if has_many(path) => path.inner.as_ref().map(|inner| (path, inner.path.clone())),
            _ => None,
        };
        let Some((path, member)) = each else {
            let step = self.step(attribute, kind, at)?;
            return self.add_to_element(list, step);
        };
        let satisfies = satisfies(&kind);
        let what = self.what(attribute, kind, at)?;
        let slot = self.source(path).slot;
        let is_it = |step: &Step| matches!(&step.what, What::Elements(e) if e.slot == slot && e.list == list);
        if !self.steps.iter().any(is_it) {
            let (objects, members, needed, fixed) = (Objects::of_list(list), Vec::new(), Vec::new(), Vec::new());
            let elements = Elements { slot, list, objects, members, needed, fixed };
            self.steps.push(Step::alone(What::Elements(elements), Otherwise::Nothing));
        }
        if let Some(Step { what: What::Elements(elements), .. }) = self.steps.iter_mut().find(|step| is_it(step)) {
            if satisfies {
                elements.needed.push(elements.members.len());
            }
            elements.members.push((member, what));
        }
        Ok(())
    }

    pub(super) fn add_to_element(&mut self, list: &'static str, step: Step) -> Result<(), Mistake> {
        let arrays = self.steps.iter_mut().find_map(|s| match &mut s.what {
            What::Elements(elements) if elements.list == list => Some(&mut elements.fixed),
            _ => None,
        });
        if let (Some(fixed), true) = (arrays, is_fixed(&step)) {
            fixed.push(step);
            return Ok(());
        }
        let known = self.steps.iter_mut().find_map(|s| match &mut s.what {
            What::Element(name, steps) if *name == list => Some(steps),
            _ => None,
        });
        match known {
            // Constants come last: they stand in what the fields have made.
            Some(steps) if is_fixed(&step) => steps.push(step),
            Some(steps) => {
                let at = steps.iter().position(is_fixed).unwrap_or(steps.len());
                steps.insert(at, step);
            }
            None => self.steps.push(Step::alone(What::Element(list, vec![step]), Otherwise::Nothing)),
        }
        Ok(())
    }
}

pub(super) fn has_many(path: &Path) -> bool {
    path.inner.as_ref().is_some_and(|inner| inner.pick == Pick::Each)
}

/// True if the columns make the object that they lie in valid.
fn satisfies(kind: &Kind) -> bool {
    match kind {
        Kind::Column(target) | Kind::Time(target) => !target.satisfies.is_empty(),
        Kind::User(name, _) => !name.satisfies.is_empty(),
        Kind::Endpoint(ip, _) => !ip.satisfies.is_empty(),
        Kind::Url(url) => !url.whole.satisfies.is_empty(),
        _ => false,
    }
}
