//! `selection and not 1 of filter_*` -> a tree, or a refusal with its place in the text.

use super::Mistake;
use crate::sql::nearest;
use dataflow::yaml::Place;

/// A condition over searches, which are named by their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Search(usize),
}

/// How deep parentheses and `not` nest: nobody writes more.
const DEPTH_MAX: usize = 64;

/// Parses a condition over searches of these names.
///
/// # Errors
/// If it is no condition, or names a search that the rule does not have.
pub(super) fn parse(text: &str, at: Place, names: &[&str]) -> Result<Condition, Mistake> {
    parse_over(text, at, names, ("rule", "search", "searches"))
}

/// As [`parse`]: over what, as it is said in refusals.
pub(super) fn parse_over(
    text: &str,
    at: Place,
    names: &[&str],
    said: (&'static str, &'static str, &'static str),
) -> Result<Condition, Mistake> {
    let mut parser = Parser { words: words(text), at: 0, text_at: at, names, said, depth: 0 };
    let condition = parser.any()?;
    match parser.peek() {
        None => Ok(condition),
        Some("|") => {
            Err(parser.mistake("aggregations behind | are no part of Sigma 2").suggest("write a correlation rule"))
        }
        Some(word) => {
            let mistake = parser.mistake(format!("{word:?} is not expected here"));
            Err(mistake.suggest(format!("{} stand with and, or and not between them", said.2)))
        }
    }
}

/// The words with their columns from 0; parentheses and bars are words.
pub(super) fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (column, (at, c)) in text.char_indices().enumerate() {
        let is_mark = matches!(c, '(' | ')' | '|');
        if is_mark || c.is_whitespace() {
            words.extend(start.take().map(|(column, from)| (column, &text[from..at])));
        } else if start.is_none() {
            start = Some((column, at));
        }
        if is_mark {
            words.push((column, &text[at..at + 1]));
        }
    }
    words.extend(start.map(|(column, from)| (column, &text[from..])));
    words
}

struct Parser<'a> {
    words: Vec<(usize, &'a str)>,
    at: usize,
    text_at: Place,
    names: &'a [&'a str],
    /// Owner, element and elements.
    said: (&'static str, &'static str, &'static str),
    depth: usize,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Condition, Mistake> {
        let mut parts = vec![self.all()?];
        while self.take("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, Mistake> {
        let mut parts = vec![self.single()?];
        while self.take("and") {
            parts.push(self.single()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn single(&mut self) -> Result<Condition, Mistake> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.mistake("nested too deep"));
        }
        let condition = self.nested();
        self.depth -= 1;
        condition
    }

    fn nested(&mut self) -> Result<Condition, Mistake> {
        if self.take("not") {
            return Ok(Condition::Not(Box::new(self.single()?)));
        }
        if self.take("(") {
            let condition = self.any()?;
            return if self.take(")") {
                Ok(condition)
            } else {
                Err(self.mistake("a parenthesis is not closed").suggest("selection and not (one or other)"))
            };
        }
        let Some(&(_, word)) = self.words.get(self.at) else {
            let mistake = self.mistake(format!("the condition ends where a {} is expected", self.said.1));
            return Err(mistake.suggest(format!("its {} are {}", self.said.2, self.names.join(", "))));
        };
        let is_quantity = word == "1" || word.eq_ignore_ascii_case("any") || word.eq_ignore_ascii_case("all");
        match self.words.get(self.at + 1) {
            Some((_, of)) if of.eq_ignore_ascii_case("of") && is_quantity => self.of(word),
            Some((_, of)) if of.eq_ignore_ascii_case("of") => {
                Err(self.mistake("1 of, any of or all of").suggest("1 of selection_*"))
            }
            _ => self.search(word),
        }
    }

    fn of(&mut self, quantity: &str) -> Result<Condition, Mistake> {
        self.at += 2;
        let Some(pattern) = self.peek() else { return Err(self.mistake("of what?").suggest("1 of selection_*")) };
        let is_meant = |name: &str| match pattern {
            them if them.eq_ignore_ascii_case("them") => !name.starts_with('_'),
            pattern => fits(pattern, name),
        };
        let numbered = self.names.iter().enumerate();
        let meant: Vec<Condition> = numbered.filter(|(_, n)| is_meant(n)).map(|(i, _)| Condition::Search(i)).collect();
        if meant.is_empty() {
            return Err(self.no_search(pattern));
        }
        self.at += 1;
        let kind = if quantity.eq_ignore_ascii_case("all") { Condition::All } else { Condition::Any };
        Ok(one_or(meant, kind))
    }

    fn search(&mut self, word: &str) -> Result<Condition, Mistake> {
        let Some(number) = self.names.iter().position(|name| *name == word) else { return Err(self.no_search(word)) };
        self.at += 1;
        Ok(Condition::Search(number))
    }

    fn no_search(&self, word: &str) -> Mistake {
        let (owner, element, elements) = self.said;
        let mistake = self.mistake(format!("the {owner} has no {element} {word}"));
        match nearest(word, self.names.iter().copied()) {
            Some(near) => mistake.suggest(format!("did you mean {near}?")),
            None => mistake.suggest(format!("its {elements} are {}", self.names.join(", "))),
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word));
        self.at += usize::from(is_next);
        is_next
    }

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).map(|(_, word)| *word)
    }

    fn mistake(&self, what: impl Into<String>) -> Mistake {
        let column = self.words.get(self.at).or(self.words.last()).map_or(0, |(column, _)| *column);
        Mistake::new(Place { column: self.text_at.column + column, ..self.text_at }, what)
    }
}

fn one_or(mut parts: Vec<Condition>, many: impl FnOnce(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

/// `selection_*` on a search's name.
fn fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["selection", "sel_a", "sel_b", "filter_main", "_hidden"];

    fn show(condition: &Condition) -> String {
        let list =
            |parts: &[Condition], word: &str| format!("({})", parts.iter().map(show).collect::<Vec<_>>().join(word));
        match condition {
            Condition::All(parts) => list(parts, " & "),
            Condition::Any(parts) => list(parts, " | "),
            Condition::Not(inner) => format!("!{}", show(inner)),
            Condition::Search(number) => NAMES[*number].to_owned(),
        }
    }

    #[test]
    fn conditions_are_trees() {
        for (text, want) in [
            ("selection", "selection"),
            ("selection and not filter_main", "(selection & !filter_main)"),
            ("sel_a or sel_b AND selection", "(sel_a | (sel_b & selection))"),
            ("(sel_a or sel_b) and not (selection)", "((sel_a | sel_b) & !selection)"),
            ("1 of sel_*", "(sel_a | sel_b)"),
            ("all of sel*", "(selection & sel_a & sel_b)"),
            ("any of them", "(selection | sel_a | sel_b | filter_main)"),
            ("not 1 of filter_*", "!filter_main"),
            ("1 of *_*a*", "(sel_a | filter_main)"),
            ("not not selection", "!!selection"),
            ("_hidden", "_hidden"),
        ] {
            let found = parse(text, Place { line: 3, column: 5 }, &NAMES).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!(show(&found), want, "{text}");
        }
    }

    #[test]
    fn mistakes_have_their_place_and_a_way_out() {
        for (text, column, what, suggestion) in [
            ("selction", 5, "the rule has no search selction", "did you mean selection?"),
            ("selection and 1 of zzz*", 24, "the rule has no search zzz*", "its searches are selection, "),
            ("selection and", 15, "the condition ends where a search is expected", ""),
            ("(selection", 6, "a parenthesis is not closed", ""),
            ("selection selection", 15, "\"selection\" is not expected here", ""),
            ("selection | count() > 5", 15, "aggregations behind | are no part of Sigma 2", "write a correlation rule"),
            ("2 of sel_*", 5, "1 of, any of or all of", ""),
            ("1 of", 7, "of what?", "1 of selection_*"),
            ("", 5, "the condition ends where a search is expected", ""),
        ] {
            let mistake = parse(text, Place { line: 3, column: 5 }, &NAMES).expect_err(text);
            assert_eq!((mistake.what.as_str(), mistake.at), (what, Place { line: 3, column }), "{text}");
            assert!(mistake.suggestion.unwrap_or_default().starts_with(suggestion), "{text}");
        }
        let deep = "(".repeat(100);
        assert_eq!(parse(&deep, Place::default(), &NAMES).expect_err("deep").what, "nested too deep");
    }
}
