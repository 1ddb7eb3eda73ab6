//! A record's form as data: literal text with `{field}`s, read once, rendered by copying.
//!
//! The files in `templates/` hold one field a line. JSON templates are their lines joined; CSV templates are
//! `column value` lines whose values are joined by commas, so that a line's place is the column's number.

/// A form whose fields are written by values of type `P` (a function pointer).
#[derive(Debug, Clone)]
pub(crate) struct Template<P> {
    /// Literal text, then the field after it.
    pub(crate) segments: Vec<(Box<[u8]>, P)>,
    /// The text after the last field.
    pub(crate) tail: Box<[u8]>,
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
            segments.push((std::mem::take(&mut literal).into_bytes().into(), put));
            rest = &rest[close + 1..];
        }
        literal.push_str(rest);
        Self { segments, tail: literal.into_bytes().into() }
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

    /// Writes the form, `put` writing the fields.
    #[inline]
    pub(crate) fn render(&self, out: &mut Vec<u8>, put: impl Fn(P, &mut Vec<u8>)) {
        for (literal, field) in &self.segments {
            out.extend_from_slice(literal);
            put(*field, out);
        }
        out.extend_from_slice(&self.tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(template: &Template<char>) -> String {
        let mut out = Vec::new();
        template.render(&mut out, |c, o| o.push(c as u8));
        String::from_utf8(out).expect("ascii")
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
    fn a_csv_template_has_a_line_a_column() {
        let text = "first 1\nsecond {a}\nthird\nfourth 4";
        assert_eq!(shown(&Template::csv(text, 4, &[("a", 'A')])), "1,A,,4");
        assert_eq!(shown(&Template::csv(text, 2, &[("a", 'A')])), "1,A");
    }
}
