//! The FROM clause: a table, or TUMBLE / HOP / CUMULATE / SESSION over one or over `SELECT ... UNION ALL SELECT ...`.

use dataflow::Table;
use datafusion::sql::sqlparser::ast::{
    DateTimeField, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, Select, TableAlias, TableFactor,
    TableFunctionArgs, Value,
};

use super::{Place, SqlError, nearest, place, union};
use crate::leaves::Leaves;
use crate::window::WindowSpec;

/// Which rows the rule reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct From {
    pub(super) source: Source,
    pub(super) window: Option<WindowSpec>,
    /// The alias of the table, which may qualify columns.
    pub(super) alias: Option<String>,
}

/// What stands in FROM, or within the window function there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Table(Table),
    /// A subquery that gives columns of these names.
    Subquery(Vec<String>),
}

impl From {
    /// The columns that the SELECT may name, in their order; the window's are not among them.
    pub(super) fn columns(&self) -> Vec<&str> {
        match &self.source {
            Source::Table(table) => Leaves::of(*table).names().collect(),
            Source::Subquery(columns) => columns.iter().map(String::as_str).collect(),
        }
    }

    /// How a refusal speaks of it.
    pub(super) fn name(&self) -> String {
        match &self.source {
            Source::Table(table) => format!("table {table}"),
            Source::Subquery(_) => "the subquery".to_owned(),
        }
    }
}

const WINDOW_FUNCTIONS: [&str; 4] = ["tumble", "hop", "cumulate", "session"];

pub(super) fn is_window_function(name: &str) -> bool {
    WINDOW_FUNCTIONS.iter().any(|f| name.eq_ignore_ascii_case(f))
}

/// Reads the FROM clause and puts the plain table, or the subquery, in its place. `is_windowed`: it stands within a window function.
pub(super) fn take_from(select: &mut Select, is_windowed: bool) -> Result<From, SqlError> {
    let at = place(select);
    let [from] = select.from.as_mut_slice() else {
        return Err(SqlError::new(at, "a rule reads one table").suggest("FROM network_activity, or FROM HOP(...)"));
    };
    let (alias, input, window) = match &mut from.relation {
        TableFactor::Table { name, alias, args, .. } => {
            let (input, window) = match args.take() {
                None => (Input::Table(table_named(name)?), None),
                Some(args) => window_function(name, args)?,
            };
            (alias.take(), input, window)
        }
        TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
            (alias.take(), Input::Subquery(subquery.clone()), None)
        }
        _ => {
            return Err(SqlError::new(
                at,
                "a rule reads a table, a subquery, TUMBLE(...), HOP(...), CUMULATE(...) or SESSION(...)",
            ));
        }
    };
    let source = match input {
        Input::Table(table) => {
            if let TableFactor::Table { name, .. } = &mut from.relation {
                *name = ObjectName::from(vec![Ident::new(table.name())]);
            }
            Source::Table(table)
        }
        Input::Subquery(mut query) => {
            let columns = union::resolve(&mut query, is_windowed || window.is_some())?;
            from.relation = derived(query);
            Source::Subquery(columns)
        }
    };
    let alias = alias.map(|a| a.name.value);
    Ok(From { source, window, alias })
}

fn derived(subquery: Box<Query>) -> TableFactor {
    let alias = TableAlias { explicit: true, name: Ident::new("input"), columns: Vec::new() };
    TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None }
}

/// The first argument of a window function.
enum Input {
    Table(Table),
    Subquery(Box<Query>),
}

fn table_named(name: &ObjectName) -> Result<Table, SqlError> {
    let text = name.to_string().to_lowercase();
    let known = Table::by_name(&text).filter(|t| Table::EVENTS.contains(t));
    known.ok_or_else(|| unknown_table(&text, place(name)))
}

fn unknown_table(name: &str, at: Place) -> SqlError {
    let error = SqlError::new(at, format!("no table {name}"));
    match nearest(name, Table::EVENTS.map(Table::name)) {
        Some(near) => error.suggest(format!("did you mean {near}?")),
        None => error.suggest(format!("one of {}", Table::EVENTS.map(Table::name).join(", "))),
    }
}

fn window_function(name: &ObjectName, args: TableFunctionArgs) -> Result<(Input, Option<WindowSpec>), SqlError> {
    let at = place(name);
    let function = name.to_string().to_lowercase();
    if !is_window_function(&function) {
        let error = SqlError::new(at, format!("no window function {function}"));
        return Err(error.suggest(format!("one of {}", SHAPES.map(|(_, shape)| shape).join(", "))));
    }
    let args: Vec<Expr> = args.args.into_iter().map(plain).collect::<Option<_>>().unwrap_or_default();
    let (input, time, lengths) = match (function.as_str(), args.as_slice()) {
        ("tumble", [input, time, lengths @ ..]) if lengths.len() == 1 => (input, time, lengths),
        ("hop" | "cumulate", [input, time, lengths @ ..]) if lengths.len() == 2 => (input, time, lengths),
        ("session", [input, time, lengths @ ..]) if matches!(lengths.len(), 1 | 2) => (input, time, lengths),
        _ => return Err(wrong_arguments(&function, at)),
    };
    let input = table_argument(input)?;
    check_descriptor(time)?;
    let lengths = lengths.iter().map(interval_us).collect::<Result<Vec<_>, _>>()?;
    let spec = match (function.as_str(), lengths.as_slice()) {
        ("cumulate", [step, size]) => WindowSpec::cumulate(*step, *size),
        ("session", [gap]) => WindowSpec::session(*gap, WindowSpec::longest_session(*gap)),
        ("session", [gap, longest]) => WindowSpec::session(*gap, *longest),
        (_, [slide, .., size]) => WindowSpec::new(*slide, *size),
        (_, lengths) => WindowSpec::new(lengths[0], lengths[0]),
    };
    let wrong = |why: String| SqlError::new(at, why).suggest("e.g. INTERVAL '30' SECOND, INTERVAL '1' MINUTE");
    Ok((input, Some(spec.map_err(wrong)?)))
}

/// How each is called.
const SHAPES: [(&str, &str); 4] = [
    ("tumble", "TUMBLE(t, DESCRIPTOR(time), size)"),
    ("hop", "HOP(t, DESCRIPTOR(time), slide, size)"),
    ("cumulate", "CUMULATE(t, DESCRIPTOR(time), step, size)"),
    ("session", "SESSION(t, DESCRIPTOR(time), gap[, longest])"),
];

fn wrong_arguments(function: &str, at: Place) -> SqlError {
    let error = SqlError::new(at, format!("{} does not take these arguments", function.to_uppercase()));
    match SHAPES.iter().find(|(name, _)| *name == function) {
        Some((_, shape)) => error.suggest(*shape),
        None => error,
    }
}

fn plain(arg: FunctionArg) -> Option<Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

fn table_argument(expr: &Expr) -> Result<Input, SqlError> {
    match expr {
        Expr::Identifier(name) => table_named(&ObjectName::from(vec![name.clone()])).map(Input::Table),
        Expr::Subquery(query) => Ok(Input::Subquery(query.clone())),
        other => Err(SqlError::new(place(other), "the first argument of a window function is a table")),
    }
}

fn check_descriptor(expr: &Expr) -> Result<(), SqlError> {
    if expr.to_string().eq_ignore_ascii_case("DESCRIPTOR(time)") {
        return Ok(());
    }
    let error = SqlError::new(place(expr), format!("windows are over the event time, not {expr}"));
    Err(error.suggest("DESCRIPTOR(time)"))
}

/// `INTERVAL '30' SECOND` or `INTERVAL '30 seconds'`, in microseconds.
fn interval_us(expr: &Expr) -> Result<i64, SqlError> {
    let bad = || {
        let error = SqlError::new(place(expr), format!("{expr} is not a length of time"));
        error.suggest("INTERVAL '30' SECOND; units MILLISECOND, SECOND, MINUTE, HOUR, DAY")
    };
    let Expr::Interval(interval) = expr else { return Err(bad()) };
    let text = match interval.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => text.clone(),
            _ => return Err(bad()),
        },
        _ => return Err(bad()),
    };
    let (number, unit) = match &interval.leading_field {
        Some(field) => (text.trim().to_owned(), field_name(field).ok_or_else(bad)?),
        None => {
            let (number, unit) = text.trim().split_once(char::is_whitespace).ok_or_else(bad)?;
            (number.to_owned(), unit.trim().to_lowercase())
        }
    };
    let number: i64 = number.parse().map_err(|_| bad())?;
    unit_us(&unit).and_then(|us| number.checked_mul(us)).ok_or_else(bad)
}

fn field_name(field: &DateTimeField) -> Option<String> {
    Some(field.to_string().to_lowercase())
}

fn unit_us(unit: &str) -> Option<i64> {
    Some(match unit.trim_end_matches('s') {
        "millisecond" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse;
    use crate::window::WindowKind;

    fn from(clause: &str) -> Result<From, String> {
        let mut select = parse(&format!("SELECT 1 FROM {clause}")).map_err(|e| e.what)?;
        let from = take_from(&mut select, false).map_err(|e| e.what)?;
        if let Source::Table(table) = from.source {
            assert_eq!(select.from[0].to_string(), table.name(), "the plain table stands in its place");
        }
        Ok(from)
    }

    #[test]
    fn windows_are_read_in_every_spelling() {
        const MINUTE: i64 = 60_000_000;
        for (clause, slide, size) in [
            ("TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)", MINUTE, MINUTE),
            ("tumble(table network_activity, descriptor(time), interval '60 seconds')", MINUTE, MINUTE),
            ("TUMBLE( TABLE network_activity, DESCRIPTOR(time), INTERVAL '500' MILLISECOND)", 500_000, 500_000),
            (
                "HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' HOUR, INTERVAL '1' DAY) AS w",
                60 * MINUTE,
                1_440 * MINUTE,
            ),
            ("Hop(network_activity, DESCRIPTOR(time), INTERVAL '1 minute', INTERVAL '5 minutes')", MINUTE, 5 * MINUTE),
        ] {
            let found = from(clause).unwrap_or_else(|e| panic!("{clause}: {e}"));
            let window = found.window.expect(clause);
            let want = (Source::Table(Table::NetworkActivity), slide, size, WindowKind::Hop);
            assert_eq!((found.source, window.slide, window.size, window.kind), want, "{clause}");
        }
        let growing = "Cumulate(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE, INTERVAL '1' HOUR)";
        let window = from(growing).expect("a window").window.expect("a window");
        assert_eq!((window.slide, window.size, window.kind), (MINUTE, 60 * MINUTE, WindowKind::Cumulate));
        for (lengths, longest) in [("'5' MINUTE", 1_440), ("'5' MINUTE, INTERVAL '1' HOUR", 60)] {
            let window = from(&format!("Session(network_activity, DESCRIPTOR(time), INTERVAL {lengths})"));
            let window = window.expect("a window").window.expect("a window");
            assert_eq!((window.slide, window.size, window.kind), (5 * MINUTE, longest * MINUTE, WindowKind::Session));
        }
        let plain = from("api_activity AS a").expect("a table");
        assert_eq!(
            (plain.name(), plain.window, plain.alias.as_deref()),
            ("table api_activity".into(), None, Some("a"))
        );
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for (clause, why) in [
            ("network_activity, api_activity", "a rule reads one table"),
            ("(SELECT 1)", "a rule reads one table"),
            (
                "TUMBLE('network_activity', DESCRIPTOR(time), INTERVAL '1' MINUTE)",
                "the first argument of a window function is a table",
            ),
            ("TUMBLE(network_activity, time, INTERVAL '1' MINUTE)", "windows are over the event time, not time"),
            ("TUMBLE(network_activity, DESCRIPTOR(time), 60)", "60 is not a length of time"),
            (
                "TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL 'x' MINUTE)",
                "INTERVAL 'x' MINUTE is not a length of time",
            ),
            (
                "TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '0' MINUTE)",
                "a window needs a slide and a size above zero",
            ),
            (
                "TUMBLE(network_activity, DESCRIPTOR(time), INTERVAL '999999999999' DAY)",
                "INTERVAL '999999999999' DAY is not a length of time",
            ),
            (
                "CUMULATE(network_activity, DESCRIPTOR(time), INTERVAL '7' MINUTE, INTERVAL '1' HOUR)",
                "the size of CUMULATE is a multiple of its step",
            ),
            (
                "CUMULATE(network_activity, DESCRIPTOR(time), INTERVAL '1' HOUR)",
                "CUMULATE does not take these arguments",
            ),
            ("TUMBLE(network_activity)", "TUMBLE does not take these arguments"),
            (
                "HOP(network_activity, DESCRIPTOR(time), INTERVAL '2' MINUTE, INTERVAL '1' MINUTE)",
                "the slide is longer than the size: rows between the windows would never be seen",
            ),
        ] {
            assert_eq!(from(clause).expect_err(clause), why, "{clause}");
        }
    }
}
