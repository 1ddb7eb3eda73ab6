//! YAML text -> a tree whose every node knows its line and column.
//!
//! Absent: types. A scalar is its text, and whether it stood in quotes; what it should be is for the reader to say, with the place
//! of the mistake.

use std::collections::HashMap;
use std::fmt;

use granit_parser::{Event, Parser, ScalarStyle, Span};

/// A line and column, from 1.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Yaml,
    /// True of a scalar that stood in quotes or in a block: it is a text, whatever it looks like.
    pub is_quoted: bool,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum Yaml {
    /// A scalar's text.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order it is written.
    Map(Vec<Entry>),
}

/// A key, where it stands, and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub at: Place,
    /// Its value.
    pub value: Node,
}

/// Nodes of a file: a mapping of that size nobody writes.
const NODES_MAX: usize = 200_000;

impl Node {
    /// A scalar's text.
    pub fn scalar(&self) -> Option<&str> {
        if let Yaml::Scalar(text) = &self.value { Some(text) } else { None }
    }

    /// A map's entries.
    pub fn entries(&self) -> Option<&[Entry]> {
        if let Yaml::Map(entries) = &self.value { Some(entries) } else { None }
    }

    /// The entry of that key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|e| e.key == key)
    }

    /// The elements of a list; the node itself if it is none.
    pub fn each(&self) -> &[Node] {
        if let Yaml::List(nodes) = &self.value { nodes } else { std::slice::from_ref(self) }
    }

    /// What it is, for a person.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Yaml::Scalar(_) => "a text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a map",
        }
    }
}

/// The documents of a file.
///
/// # Errors
/// Where it is not YAML, and why.
pub fn documents(text: &str) -> Result<Vec<Node>, (Place, String)> {
    let mut reader = Reader::default();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|e| (place_of(*e.marker()), e.to_string()))?;
        reader.take(event, &span)?;
    }
    Ok(reader.documents)
}

fn place(span: &Span) -> Place {
    place_of(span.start)
}

fn place_of(marker: granit_parser::Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

/// Nodes that are open, outermost first.
#[derive(Default)]
struct Reader {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next, in a map.
    key: Option<(String, Place)>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), (Place, String)> {
        let at = place(span);
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_quoted = style != ScalarStyle::Plain;
                self.close(Node { at, value: Yaml::Scalar(text.into_owned()), is_quoted }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, Yaml::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.open(at, Yaml::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.close(open.node, open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.close(node, 0),
                None => Err((at, "an alias of nothing".to_owned())),
            },
            _ => Ok(()),
        }
    }

    fn open(&mut self, at: Place, value: Yaml, anchor: usize) -> Result<(), (Place, String)> {
        self.open.push(Open { node: Node { at, value, is_quoted: false }, anchor, key: None });
        Ok(())
    }

    /// A node is complete: it goes into the one around it.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), (Place, String)> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err((node.at, format!("more than {NODES_MAX} values")));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match (&mut open.node.value, open.key.take(), node) {
            (Yaml::List(list), _, node) => list.push(node),
            (Yaml::Map(map), Some((key, at)), value) => {
                if map.iter().any(|e| e.key == key) {
                    return Err((at, format!("{key} stands twice")));
                }
                map.push(Entry { key, at, value });
            }
            (Yaml::Map(_), None, Node { at, value: Yaml::Scalar(key), .. }) => open.key = Some((key, at)),
            (_, _, node) => return Err((node.at, "a key is a text".to_owned())),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_places() {
        let found = documents("# head\na: 1\nb:\n  - x\n  - {c: 'd'}\n---\ne: |\n  two\n  lines\n").expect("YAML");
        assert_eq!(found.len(), 2);
        let b = found[0].get("b").expect("a key");
        assert_eq!((b.at, b.value.each()[1].at), (Place { line: 3, column: 1 }, Place { line: 5, column: 5 }));
        let c = b.value.each()[1].get("c").expect("a key");
        assert_eq!((c.value.scalar(), c.value.at), (Some("d"), Place { line: 5, column: 9 }));
        assert_eq!(found[1].get("e").and_then(|e| e.value.scalar()), Some("two\nlines\n"));
    }

    #[test]
    fn anchors_and_mistakes() {
        let found = documents("a: &x [1, 2]\nb: *x\n").expect("YAML");
        assert_eq!(found[0].get("b").map(|e| e.value.each().len()), Some(2));
        for (text, line, what) in
            [("a: 1\na: 2\n", 2, "stands twice"), ("a: [1", 1, ""), ("? [a]\n: b\n", 1, "a key is a text")]
        {
            let (at, found) = documents(text).expect_err(text);
            assert!(found.contains(what) && at.line >= line, "{text}: {at:?} {found}");
        }
    }
}
