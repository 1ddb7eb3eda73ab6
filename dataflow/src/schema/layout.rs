//! From a column list to leaves, nesting and an Arrow schema.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use super::{Leaf, LeafIndex, LeafKind};

/// Which rows a leaf counts: the table's own, or the elements of one of its lists of structs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// One value a row.
    Row,
    /// One value an element of the list with this index in [`Layout::lists`].
    Element(usize),
}

/// Where a leaf's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is set by a decoder, an enricher or an operator.
    Own,
    /// It is the same array as another leaf.
    SameAs(Leaf),
}

/// A leaf column.
#[derive(Debug)]
pub struct LeafSpec {
    /// Its path, e.g. `src_endpoint.ip`.
    pub path: String,
    /// Its kind.
    pub kind: LeafKind,
    /// A list of such values.
    pub is_list: bool,
    /// Never null.
    pub required: bool,
    /// Own values or another leaf's.
    pub place: Place,
    /// Row or list element.
    pub space: Space,
}

/// The nesting of the schema, in column order.
#[derive(Debug)]
pub enum Node {
    /// A leaf.
    Leaf(Leaf),
    /// A struct of nodes; null where all of its leaves are null.
    Struct(FieldRef, Vec<Node>),
    /// A list of structs: the index in [`Layout::lists`] and the element's nodes.
    List(FieldRef, usize, Vec<Node>),
}

/// A table's columns.
#[derive(Debug)]
pub struct Layout {
    /// All leaves, in the order of the column list.
    pub leaves: Vec<LeafSpec>,
    /// Paths of the lists of structs.
    pub lists: Vec<String>,
    /// The top-level nodes.
    pub nodes: Vec<Node>,
    /// The Arrow schema.
    pub schema: SchemaRef,
    pub(crate) by_path: LeafIndex,
}

impl Layout {
    /// Reads the column lists.
    ///
    /// # Panics
    /// On a line that is not a column: the lists are part of the program.
    pub(super) fn parse(table: &str, parts: &[&str]) -> Self {
        let mut lists = Vec::new();
        let mut leaves: Vec<LeafSpec> = Vec::new();
        let mut by_path = LeafIndex::new();
        let mut copies = Vec::new();
        for line in parts.iter().flat_map(|p| p.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (spec, same_as) =
                parse_line(line, &mut lists).unwrap_or_else(|| panic!("{table}: not a column: {line}"));
            let leaf = Leaf(u16::try_from(leaves.len()).expect("fewer than 65,536 columns"));
            assert!(by_path.insert(spec.path.clone(), leaf).is_none(), "{table}: {} stands twice", spec.path);
            copies.extend(same_as.map(|path| (leaf, path)));
            leaves.push(spec);
        }
        for (leaf, path) in copies {
            let target = *by_path.get(path).unwrap_or_else(|| panic!("{table}: same-as {path}: no such column"));
            assert_eq!(leaves[leaf.index()].kind, leaves[target.index()].kind, "{table}: same-as {path}: other type");
            leaves[leaf.index()].place = Place::SameAs(target);
        }
        let entries: Vec<(Vec<&str>, Leaf)> =
            leaves.iter().enumerate().map(|(i, leaf)| (leaf.path.split('.').collect(), Leaf(i as u16))).collect();
        let nodes = nest(&entries, 0, &leaves, &lists, "");
        let fields: Fields = nodes.iter().map(|n| n.field(&leaves)).collect();
        Self { schema: Arc::new(Schema::new(fields)), leaves, lists, nodes, by_path }
    }
}

impl Node {
    /// The Arrow field of the node.
    pub(crate) fn field(&self, leaves: &[LeafSpec]) -> FieldRef {
        match self {
            Node::Struct(field, _) | Node::List(field, _, _) => field.clone(),
            Node::Leaf(leaf) => {
                let spec = &leaves[leaf.index()];
                let name = spec.path.rsplit('.').next().unwrap_or(&spec.path).trim_end_matches("[]");
                Arc::new(Field::new(name, spec.data_type(), !spec.required))
            }
        }
    }
}

impl LeafSpec {
    pub(crate) fn data_type(&self) -> DataType {
        if self.is_list { DataType::List(element_field(self.kind)) } else { self.kind.data_type() }
    }
}

/// The element field of a list of plain values.
pub(crate) fn element_field(kind: LeafKind) -> FieldRef {
    Arc::new(Field::new("element", kind.data_type(), true))
}

/// One column: `path kind [required | same-as PATH]`. Registers the list of structs that the path runs through.
fn parse_line<'a>(line: &'a str, lists: &mut Vec<String>) -> Option<(LeafSpec, Option<&'a str>)> {
    let mut words = line.split_whitespace();
    let (path, kind) = (words.next()?, LeafKind::parse(words.next()?)?);
    let (required, same_as) = match words.next() {
        None => (false, None),
        Some("required") => (true, None),
        Some("same-as") => (false, Some(words.next()?)),
        Some(_) => return None,
    };
    let is_list = path.ends_with("[]");
    let space = match path.trim_end_matches("[]").find("[]") {
        None => Space::Row,
        Some(end) => {
            let list = &path[..end];
            let index = lists.iter().position(|l| l == list).unwrap_or_else(|| {
                lists.push(list.to_owned());
                lists.len() - 1
            });
            Space::Element(index)
        }
    };
    let path = path.to_owned();
    Some((LeafSpec { path, kind, is_list, required, place: Place::Own, space }, same_as))
}

/// Groups the leaves that share the path component at `depth`, in order of first appearance.
fn nest(entries: &[(Vec<&str>, Leaf)], depth: usize, leaves: &[LeafSpec], lists: &[String], prefix: &str) -> Vec<Node> {
    let mut names: Vec<&str> = Vec::new();
    for (path, _) in entries {
        if !names.contains(&path[depth]) {
            names.push(path[depth]);
        }
    }
    let node = |name: &str| {
        let group: Vec<(Vec<&str>, Leaf)> = entries.iter().filter(|(p, _)| p[depth] == name).cloned().collect();
        if group[0].0.len() == depth + 1 {
            assert_eq!(group.len(), 1, "{prefix}{name} is both a value and a struct");
            return Node::Leaf(group[0].1);
        }
        let bare = name.trim_end_matches("[]");
        let path = format!("{prefix}{bare}");
        let children = nest(&group, depth + 1, leaves, lists, &format!("{prefix}{name}."));
        let fields: Fields = children.iter().map(|c| c.field(leaves)).collect();
        if bare == name {
            return Node::Struct(Arc::new(Field::new(name, DataType::Struct(fields), true)), children);
        }
        let list = lists.iter().position(|l| *l == path).expect("registered with its first leaf");
        let element = Arc::new(Field::new("element", DataType::Struct(fields), true));
        Node::List(Arc::new(Field::new(bare, DataType::List(element), true)), list, children)
    };
    names.into_iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_structs_and_lists() {
        let layout = Layout::parse(
            "t",
            &[
                "a i32 required\nb.c text\nb.d.e i64 # depth 3\n",
                "l[] keyword\ns[].x text\ns[].y.z bool\nh text same-as b.c",
            ],
        );
        let shape: Vec<String> =
            layout.schema.fields().iter().map(|f| format!("{}:{}", f.name(), short(f.data_type()))).collect();
        assert_eq!(shape, ["a:i32", "b:{c:str,d:{e:i64}}", "l:[dict]", "s:[{x:str,y:{z:bool}}]", "h:str"]);
        assert_eq!(layout.lists, ["s"]);
        assert_eq!(layout.leaves[6].place, Place::SameAs(Leaf(1)));
        assert!(!layout.schema.field(0).is_nullable());
    }

    #[test]
    #[should_panic(expected = "b stands twice")]
    fn a_column_stands_once() {
        Layout::parse("t", &["b text\nb text"]);
    }

    fn short(t: &DataType) -> String {
        match t {
            DataType::Int32 => "i32".into(),
            DataType::Int64 => "i64".into(),
            DataType::Utf8 => "str".into(),
            DataType::Boolean => "bool".into(),
            DataType::Dictionary(..) => "dict".into(),
            DataType::List(f) => format!("[{}]", short(f.data_type())),
            DataType::Struct(fields) => {
                let inner: Vec<String> =
                    fields.iter().map(|f| format!("{}:{}", f.name(), short(f.data_type()))).collect();
                format!("{{{}}}", inner.join(","))
            }
            other => other.to_string(),
        }
    }
}
