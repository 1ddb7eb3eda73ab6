//! What the SQL parser and DataFusion object to, in an author's words, with the way out.

use std::sync::LazyLock;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use regex::Regex;

use super::{SqlError, nearest};

/// A rule in one line.
const EXAMPLE: &str = "SELECT src_ip FROM network_activity WHERE action = 'Denied'";

/// The words of a rule that its author may have misspelled.
const WORDS: [&str; 8] = ["SELECT", "FROM", "WHERE", "GROUP", "HAVING", "AND", "UNION", "INTERVAL"];

/// Refuses what begins as no query.
pub(super) fn check_first(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    match first.map(|first| (&first.token, first.span.start)) {
        Some((Token::Word(word), _)) if matches!(word.keyword, Keyword::SELECT | Keyword::WITH) => Ok(()),
        Some((Token::LParen | Token::EOF, _)) => Ok(()),
        Some((Token::Word(word), at)) if likeness(&word.value.to_uppercase(), "SELECT") > 0.85 => {
            Err(misspelled(&word.value, "SELECT", at))
        }
        Some((_, at)) => Err(SqlError::new(at, "a rule is a SELECT; nothing else is allowed").suggest(EXAMPLE)),
        None => Ok(()),
    }
}

fn misspelled(word: &str, meant: &str, at: Location) -> SqlError {
    SqlError::new(at, format!("{word} is not expected here")).suggest(format!("did you mean {meant}?"))
}

/// A refusal of the parser with what may be meant: a word misspelled before it, a unit, a comma.
pub(super) fn hinted(sql: &str, error: SqlError) -> SqlError {
    let Some(found) = error.what.split(", found: ").nth(1) else { return error };
    let found = found.to_owned();
    let at = Location { line: error.line, column: error.column };
    let before = text_before(sql, at);
    let mut words = words(&before);
    if let Some((word, place)) = words.next_back() {
        let upper = word.to_uppercase();
        if let Some(meant) = nearest(&upper, WORDS).filter(|meant| **meant != upper && likeness(&upper, meant) > 0.85) {
            return misspelled(word, meant, place);
        }
        if before.trim_end().ends_with('\'')
            && words.next_back().is_some_and(|(w, _)| w.eq_ignore_ascii_case("interval"))
        {
            let units = "INTERVAL '30' SECOND; units MILLISECOND, SECOND, MINUTE, HOUR, DAY";
            return SqlError::new(at, format!("{found} is no unit of time")).suggest(units);
        }
    }
    match error.what.starts_with("Expected: end of statement") {
        true => SqlError::new(at, format!("{found} is not expected here"))
            .suggest("columns stand behind commas, conditions behind AND or OR"),
        false => error,
    }
}

fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

fn text_before(sql: &str, at: Location) -> String {
    let line = usize::try_from(at.line).unwrap_or(1).saturating_sub(1);
    let column = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
    let mut lines: Vec<String> = sql.lines().take(line).map(str::to_owned).collect();
    lines.extend(sql.lines().nth(line).map(|last| last.chars().take(column).collect()));
    lines.join("\n")
}

/// The words of a text with their places.
fn words(text: &str) -> std::vec::IntoIter<(&str, Location)> {
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut rest = 0;
        for word in line.split(|c| !is_word(c)) {
            let column = line[..rest].chars().count() as u64 + 1;
            rest += word.len() + line[rest + word.len()..].chars().next().map_or(0, char::len_utf8);
            if !word.is_empty() {
                found.push((word, Location { line: number, column }));
            }
        }
    }
    found.into_iter()
}

/// An expression as DataFusion prints it, as an author would write it: `Int64(5)` is 5, and a column needs no table.
pub(crate) fn as_written(text: &str) -> String {
    static LITERAL: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"\b(?:U?Int(?:8|16|32|64)|Float(?:32|64)|Boolean)\(([^()]*)\)"#).ok());
    static TEXT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"\b(?:Large)?Utf8(?:View)?\("([^"]*)"\)"#).ok());
    let mut text = text.to_owned();
    for table in dataflow::Table::EVENTS {
        text = text.replace(&format!("{}.", table.name()), "");
    }
    if let Some(literal) = LITERAL.as_ref() {
        text = literal.replace_all(&text, "$1").into_owned();
    }
    match TEXT.as_ref() {
        Some(quoted) => quoted.replace_all(&text, "'$1'").into_owned(),
        None => text,
    }
}

/// What DataFusion says when it types a query: the message, and what to try.
pub(super) fn of_planner(text: &str) -> (String, Option<String>) {
    let text = text.trim_start_matches("Error during planning: ").trim_start_matches("Schema error: ");
    let first = text.lines().next().unwrap_or_default().trim_end_matches('.');
    if let Some(name) = text.strip_prefix("Invalid function '").and_then(|rest| rest.split('\'').next()) {
        let near = text.split("Did you mean '").nth(1).and_then(|rest| rest.split('\'').next());
        let near = near.map(|near| format!("did you mean {near}?"));
        return (format!("no function {name}"), near);
    }
    if first.contains("not allowed in the WHERE clause") {
        let suggestion = "rows are counted within a window: GROUP BY window_start, window_end HAVING count(*) > 5";
        return ("an aggregate stands in HAVING, not in WHERE".to_owned(), Some(suggestion.to_owned()));
    }
    if let Some((name, rest)) = first.strip_prefix("Function '").and_then(|rest| rest.split_once("' requires ")) {
        let given = rest.split("but received ").nth(1).and_then(|given| given.split([' ', ',', '.']).next());
        let what = format!("{name} does not take {}", given.map_or("these arguments".to_owned(), kind));
        return (what, Some("cast it, e.g. CAST(dst_port AS VARCHAR)".to_owned()));
    }
    if let Some(operation) = first.strip_prefix("Cannot infer common argument type for logical boolean operation ") {
        let sides = [operation.split(' ').next(), operation.split(' ').next_back()].into_iter().flatten();
        let wrong = sides.into_iter().find(|side| *side != "Boolean").map_or("it".to_owned(), kind);
        return (format!("{wrong} is no condition"), Some("compare it: dst_port = 22".to_owned()));
    }
    if let Some(rest) = first.strip_prefix("Cannot create filter with non-boolean predicate '") {
        let (expr, data_type) = rest.split_once("' returning ").unwrap_or((rest, ""));
        let what = format!("{} is no condition but {}", as_written(expr), kind(data_type));
        return (what, Some("compare it: dst_port = 22".to_owned()));
    }
    if let Some(rest) = first.strip_prefix("Cannot coerce arithmetic expression ") {
        let operation = rest.split(" to valid types").next().unwrap_or(rest);
        let (left, right) =
            operation.split_once(' ').and_then(|(l, r)| Some((l, r.split_once(' ')?.1))).unwrap_or_default();
        let what = format!("{} and {} do not add up", kind(left), kind(right));
        return (what, Some("make it a number: CAST(... AS BIGINT)".to_owned()));
    }
    (as_written(first), None)
}

/// A type in an author's words.
pub(super) fn kind(data_type: &str) -> String {
    let word = match data_type.trim() {
        "Utf8" | "LargeUtf8" | "Utf8View" | "String" => "a text",
        t if t.starts_with("Int") || t.starts_with("UInt") || t.starts_with("Float") => "a number",
        t if t.starts_with("Timestamp") => "a time",
        "Boolean" => "true or false",
        other => other,
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_places() {
        let found: Vec<(String, u64, u64)> =
            words("SELECT a,\n  b'é' FROM").map(|(w, at)| (w.to_owned(), at.line, at.column)).collect();
        let want = [("SELECT", 1, 1), ("a", 1, 8), ("b", 2, 3), ("é", 2, 5), ("FROM", 2, 8)];
        assert_eq!(found, want.map(|(word, line, column)| (word.to_owned(), line, column)));
    }

    #[test]
    fn expressions_are_shown_as_authors_write_them() {
        let text = "network_activity.dst_port > Int64(250) AND network_activity.action = Utf8(\"Denied\")";
        assert_eq!(as_written(text), "dst_port > 250 AND action = 'Denied'");
    }
}
