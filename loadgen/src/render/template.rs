//! A record's form as data: literal text with `{field}`s, read once, rendered by copying.
//!
//! The files in `templates/` hold one field a line. JSON templates are their lines joined; CSV templates are
//! `column value` lines whose values are joined by commas, so that a line's place is the column's number.

use super::line::{Line, Literal};

/// A form whose fields are written by values of type `P` (a function pointer).
#[derive(Debug, Clone)]
pub(crate) struct Template<P> {
    /// Literal text, then the field after it.
    segments: Vec<(Literal, P)>,
    /// The text after the last field.
    tail: Literal,
}

impl<P: Copy> Template<P> {
    /// Reads a template. A brace that does not enclose a name of lower-case letters, digits and `_` is literal.
    ///
    /// # Panics
    /// If a field is not in `fields`: templates and tables are both ours.
    pub(crate) fn new(text: &str, fields: &[(&str, P)]) -> Self {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            literal.push_str(&rest[..open]);
            let name_len =
                rest[open + 1..].bytes().take_while(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')).count();
            let close = open + 1 + name_len;
            if name_len == 0 || rest.as_bytes().get(close) != Some(&b'}') {
                literal.push('{');
                rest = &rest[open + 1..];
                continue;
            }
            let name = &rest[open + 1..close];
            let put = fields.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no field {name}")).1;
            segments.push((Literal::new(std::mem::take(&mut literal).as_bytes()), put));
            rest = &rest[close + 1..];
        }
        literal.push_str(rest);
        Self { segments, tail: Literal::new(literal.as_bytes()) }
    }

    /// Reads a template of JSON: the lines of `text`, joined.
    pub(crate) fn json(text: &str, fields: &[(&str, P)]) -> Self {
        Self::new(&text.lines().map(str::trim).collect::<String>(), fields)
    }

    /// Reads a template of CSV: the first `columns` lines of `text`.
    ///
    /// # Panics
    /// As [`Template::new`].
    pub(crate) fn csv(text: &str, columns: usize, fields: &[(&str, P)]) -> Self {
        let values: Vec<&str> = text.lines().take(columns).map(|l| l.split_once(' ').map_or("", |(_, v)| v)).collect();
        assert_eq!(values.len(), columns, "a template with that many columns");
        Self::new(&values.join(","), fields)
    }

    /// Reads a template of pairs: the lines of `text` with `separator` between them; without those that say the time in
    /// more than seconds unless it `is_new`.
    pub(crate) fn pairs(text: &str, separator: &str, is_new: bool, fields: &[(&str, P)]) -> Self {
        let lines: Vec<&str> = text.lines().filter(|line| is_new || !line.contains("{time_ms}")).collect();
        Self::new(&lines.join(separator), fields)
    }

    /// Reads templates, one a line, each with its name before a bar.
    pub(crate) fn named(text: &str, fields: &[(&str, P)]) -> Vec<Self> {
        text.lines().filter_map(|line| line.split_once('|')).map(|(_, form)| Self::new(form, fields)).collect()
    }

    /// The form in which fields that are known are literal text.
    pub(crate) fn fold<Q: Copy>(&self, known: impl Fn(P, &mut Line) -> Option<Q>) -> Template<Q> {
        let mut segments = Vec::new();
        let mut text = Line::default();
        for (literal, field) in &self.segments {
            literal.write(&mut text);
            if let Some(put) = known(*field, &mut text) {
                segments.push((Literal::new(text.written()), put));
                text.truncate(0);
            }
        }
        self.tail.write(&mut text);
        Template { segments, tail: Literal::new(text.written()) }
    }

    /// Writes the form, `put` writing the fields.
    #[inline]
    pub(crate) fn render(&self, out: &mut Line, put: impl Fn(P, &mut Line)) {
        for (literal, field) in &self.segments {
            literal.write(out);
            put(*field, out);
        }
        self.tail.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(template: &Template<char>) -> String {
        let mut out = Line::default();
        template.render(&mut out, |c, o| o.push(c as u8));
        String::from_utf8(out.finish()).expect("ascii")
    }

    #[test]
    fn fields_stand_where_their_names_stood() {
        let fields = [("a", 'A'), ("b_2", 'B')];
        for (text, want) in [
            ("", ""),
            ("plain", "plain"),
            ("{a}", "A"),
            ("x{a}{b_2}y{a}", "xAByA"),
            ("{\"k\":{\"v\":{a}}}", "{\"k\":{\"v\":A}}"),
            ("{}{A}{ a}", "{}{A}{ a}"),
        ] {
            assert_eq!(shown(&Template::new(text, &fields)), want, "{text}");
        }
    }

    #[test]
    fn a_known_field_becomes_text() {
        let template = Template::new("{a}x{b}y{a}{b}z{a}", &[("a", 'A'), ("b", 'B')]);
        let folded = |known: char| {
            template.fold(|field, out| {
                let is_known = field == known;
                if is_known {
                    out.push(b'!');
                }
                (!is_known).then_some(field)
            })
        };
        assert_eq!((shown(&folded('A')), folded('A').segments.len()), ("!xBy!Bz!".to_owned(), 2));
        assert_eq!((shown(&folded('B')), folded('B').segments.len()), ("Ax!yA!zA".to_owned(), 3));
    }

    #[test]
    fn a_csv_template_has_a_line_a_column() {
        let text = "first 1\nsecond {a}\nthird\nfourth 4";
        assert_eq!(shown(&Template::csv(text, 4, &[("a", 'A')])), "1,A,,4");
        assert_eq!(shown(&Template::csv(text, 2, &[("a", 'A')])), "1,A");
    }

    #[test]
    fn pairs_are_joined_and_named_forms_stand_in_lines() {
        let fields = [("a", 'A'), ("time_ms", 'T')];
        let text = "x={a}\ny={time_ms}\nz=1";
        assert_eq!(shown(&Template::pairs(text, "|", true, &fields)), "x=A|y=T|z=1");
        assert_eq!(shown(&Template::pairs(text, " ", false, &fields)), "x=A z=1");
        let named = Template::named("one|a{a}\ntwo|b|c", &fields);
        assert_eq!(named.iter().map(shown).collect::<Vec<_>>(), ["aA", "b|c"]);
    }
}
