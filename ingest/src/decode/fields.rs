//! Field tables: which vendor field goes to which OCSF attribute, as data.
//!
//! A `.fields` file has one field a line: its syslog column (`-` if it has none), its JSON names (`-` if none, several
//! with commas; a dotted name lies in nested objects), and where it goes: a path of the table with an optional
//! conversion, `path+path` for a hot column beside it, `:slot` for what the vendor's code reads, `-` for `unmapped`.
//! Files are parsed once, checked against the table's columns and resolved to leaf indices.
//!
//! A `.names` file says by which keys a form of key=value pairs (CEF, LEEF) calls the columns of all of a vendor's tables: a
//! column, its keys with commas, and, for a key whose meaning the sender labels (`cs1Label=Rule`), the labels it may have
//! without their spaces, `/` between them. Of two lines for a key, the first whose column a table has counts.

use std::sync::atomic::{AtomicUsize, Ordering};

use dataflow::schema::LeafKind;
use dataflow::{Leaf, Table};

use super::names::{Names, Place};

/// How a value becomes what the column holds. A value that does not fit stays in `unmapped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Convert {
    /// As it stands.
    Text,
    /// An address in RFC 5952 form.
    Ip,
    /// As `Ip`; the address 0.0.0.0 or :: means that there is none.
    NatIp,
    /// 0 to 65,535.
    Port,
    /// As `Port`; 0 means that there is none.
    NatPort,
    /// A whole number.
    Int,
    /// A whole number of 32 bits.
    Int32,
    /// `true` or `false`.
    Bool,
    /// A time within what the tables can hold.
    Time,
    /// Any JSON value.
    Json,
    /// A MAC address.
    Mac,
    /// An ISO 3166-1 alpha-2 code.
    Country,
    /// An address of mail.
    Email,
    /// An HTTP method that OCSF has.
    Method,
    /// A list of addresses divided at commas.
    IpList,
}

impl Convert {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "ip" => Self::Ip,
            "nat_ip" => Self::NatIp,
            "port" => Self::Port,
            "nat_port" => Self::NatPort,
            "json" => Self::Json,
            "mac" => Self::Mac,
            "country" => Self::Country,
            "email" => Self::Email,
            "ip_list" => Self::IpList,
            _ => return None,
        })
    }

    /// What the kind of a column says.
    fn of_kind(kind: LeafKind) -> Self {
        match kind {
            LeafKind::Keyword | LeafKind::Text | LeafKind::Binary => Self::Text,
            LeafKind::Json => Self::Json,
            LeafKind::I32 => Self::Int32,
            LeafKind::I64 => Self::Int,
            LeafKind::Bool => Self::Bool,
            LeafKind::Time => Self::Time,
        }
    }

    fn fits(self, kind: LeafKind, is_list: bool) -> bool {
        match self {
            Self::Text | Self::Ip | Self::NatIp | Self::Mac | Self::Country | Self::Email | Self::Method => {
                !is_list && matches!(kind, LeafKind::Text | LeafKind::Keyword)
            }
            Self::Port | Self::NatPort | Self::Int32 => kind == LeafKind::I32,
            Self::Int => kind == LeafKind::I64,
            Self::Bool => kind == LeafKind::Bool,
            Self::Time => kind == LeafKind::Time,
            Self::Json => kind == LeafKind::Json,
            Self::IpList => is_list,
        }
    }
}

/// OCSF objects that are valid only with one of some attributes, e.g. an endpoint needs more than its port. A field that
/// would make such an object without them stays in `unmapped`.
const NEEDS: &[(&str, &[&str])] = &[
    ("src_endpoint", ENDPOINT),
    ("dst_endpoint", ENDPOINT),
    ("src_endpoint.proxy_endpoint", ENDPOINT),
    ("dst_endpoint.proxy_endpoint", ENDPOINT),
    ("src_endpoint.location", &["country", "city"]),
    ("dst_endpoint.location", &["country"]),
    ("evidences[].src_endpoint", ENDPOINT),
    ("evidences[].dst_endpoint", ENDPOINT),
    ("device", &["uid", "hostname", "name"]),
    ("firewall_rule", &["name", "uid"]),
    ("http_request.url", &["url_string"]),
    ("actor.user", &["name", "uid", "account.uid"]),
    ("resources[]", &["uid", "name"]),
    ("user", &["name", "uid", "account.uid"]),
    ("service", &["name", "uid"]),
    ("src_endpoint.os", &["name"]),
    ("tunnel_interface", &["name", "uid", "ip"]),
    ("network_observation_point", ENDPOINT),
    ("tls", &["version"]),
    // A certificate needs both.
    ("tls.certificate", &["serial_number"]),
    ("tls.certificate", &["issuer"]),
    ("actor", &["user.name", "user.uid", "user.account.uid", "session.uid", "invoked_by", "app_name", "app_uid"]),
    ("cloud.account", &["uid", "name"]),
    ("http_response", &["code"]),
    ("url", &["url_string"]),
    ("query", &["hostname"]),
    ("answers[]", &["rdata"]),
    ("api.request", &["uid"]),
    ("actor.idp", &["name"]),
    ("finding_info.analytic", &["name", "uid"]),
    ("evidences[].url", &["url_string"]),
    ("evidences[].query", &["hostname"]),
    ("evidences[].file", &["name"]),
    ("evidences[].api", &["operation"]),
    ("evidences[].actor.user", &["name", "uid"]),
];

const ENDPOINT: &[&str] =
    &["ip", "hostname", "name", "uid", "domain", "svc_name", "interface_name", "interface_uid", "instance_uid"];

/// A set of the objects of [`NEEDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Objects(u64);

impl Objects {
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The objects of a list's elements.
    pub(crate) fn of_list(list: &str) -> Self {
        let lies_in = |name: &str| name.strip_prefix(list).is_some_and(|rest| rest.starts_with("[]"));
        let bits = NEEDS.iter().enumerate().map(|(i, (name, _))| u64::from(lies_in(name)) << i);
        Self(bits.fold(0, |all, bit| all | bit))
    }

    /// The object of that name, one of [`NEEDS`]. To look for it takes a while: where rows are written, it is a constant.
    ///
    /// # Panics
    /// If there is none: the code names them.
    pub(crate) const fn named(name: &str) -> Self {
        let mut index = 0;
        while index < NEEDS.len() {
            if is_same(NEEDS[index].0, name) {
                return Self(1 << index);
            }
            index += 1;
        }
        panic!("no object with needs has this name")
    }
}

/// `==` of texts, where a constant is made.
const fn is_same(a: &str, b: &str) -> bool {
    let (a, b, mut at) = (a.as_bytes(), b.as_bytes(), 0);
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// A column, and what setting it does to the objects it lies in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) leaf: Leaf,
    pub(crate) also: Option<Leaf>,
    pub(crate) convert: Convert,
    /// The column holds 32-bit numbers.
    pub(crate) is_i32: bool,
    /// Objects that exist once this is set.
    pub(crate) touches: Objects,
    /// Objects that are valid once this is set.
    pub(crate) satisfies: Objects,
}

impl Target {
    /// The column at `path` (or `path+path`), if the table has it and the conversion fits.
    fn parse(table: Table, paths: &str, convert: Option<&str>) -> Option<Self> {
        let (path, also) = paths.split_once('+').map_or((paths, None), |(path, also)| (path, Some(also)));
        let leaf = table.leaf(path)?;
        let spec = &table.layout().leaves[leaf.index()];
        let convert = match convert {
            Some(name) => Convert::parse(name)?,
            None => Convert::of_kind(spec.kind),
        };
        let also = match also {
            Some(path) => Some(table.leaf(path).filter(|l| table.layout().leaves[l.index()].kind == spec.kind)?),
            None => None,
        };
        let (touches, satisfies) = objects_of(path);
        let is_i32 = spec.kind == LeafKind::I32;
        convert.fits(spec.kind, spec.is_list).then_some(Self { leaf, also, convert, is_i32, touches, satisfies })
    }

    /// The column at `path`, which the code names.
    ///
    /// # Panics
    /// If the table has no such column.
    pub(crate) fn of(table: Table, path: &str) -> Self {
        Self::find(table, path).unwrap_or_else(|| panic!("table {table} has no column {path}"))
    }

    /// The column at `path`, with a conversion after a space if the kind does not say it; none if the table has none.
    pub(crate) fn find(table: Table, path: &str) -> Option<Self> {
        let (path, convert) = path.split_once(' ').map_or((path, None), |(path, convert)| (path, Some(convert)));
        Self::parse(table, path, convert)
    }
}

/// The objects that the column at `path` lies in, and those of them that it makes valid.
pub(crate) fn objects_of(path: &str) -> (Objects, Objects) {
    let mut found = (Objects::default(), Objects::default());
    for (i, (object, needs)) in NEEDS.iter().enumerate() {
        if let Some(rest) = path.strip_prefix(object).and_then(|r| r.strip_prefix('.')) {
            found.0.0 |= 1 << i;
            found.1.0 |= u64::from(needs.contains(&rest)) << i;
        }
    }
    found
}

/// Where a table has a key of a form of pairs: among the form's own, or among the JSON names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyPosition {
    OfForm(u16),
    OfFields(u16),
}

/// Where a field goes. It is looked at for each value: a byte of its own tells the ways apart at once.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum To {
    /// The table knows it and has no column for it.
    Unmapped,
    /// The table does not know it.
    Unknown,
    Column(Target),
    Slot(u8),
    /// Into the object: the index of its names in [`FieldTable::names`].
    Object(u8),
}

/// Why a `.fields` file is wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{line}: {what}")]
pub(crate) struct FieldError {
    file: &'static str,
    line: usize,
    what: String,
}

/// A field of a flat format.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Its column, or its JSON name if it has none.
    pub(crate) name: &'static str,
    pub(crate) to: To,
    /// `,"name":"`, as its member of `unmapped` begins.
    pub(crate) member: Box<str>,
}

impl Field {
    fn new(name: &'static str, to: To) -> Self {
        Self { name, to, member: format!(",\"{name}\":\"").into() }
    }
}

/// A field by a key of one of the forms of pairs.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) field: Field,
    /// Its number in the table, by which two keys of one field are told from two fields.
    pub(crate) number: u8,
    /// Labels that the key may have; empty for a key that needs none.
    labels: &'static str,
}

impl Key {
    /// True if the sender's label means this field. Its spaces and letter case do not count.
    pub(crate) fn is_labeled(&self, label: &str) -> bool {
        let mut known = self.labels.as_bytes().split(|b| *b == b'/');
        known.any(|known| is_spelled(known, label.as_bytes()))
    }

    /// True for a key that means nothing without a label (`cs1`).
    pub(crate) fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }
}

/// True if the texts are the same but for letter case, and for spaces in the second.
fn is_spelled(known: &[u8], text: &[u8]) -> bool {
    let mut at = 0;
    for byte in text.iter().filter(|b| **b != b' ') {
        if known.get(at).map(u8::to_ascii_lowercase) != Some(byte.to_ascii_lowercase()) {
            return false;
        }
        at += 1;
    }
    at == known.len()
}

/// The fields of one log type, for one table.
#[derive(Debug)]
pub(crate) struct FieldTable {
    /// Its number among all tables that were made, by which decoders keep what they know of it.
    pub(crate) number: usize,
    /// The file's name without its ending, or the mapping's.
    pub(crate) name: &'static str,
    pub(crate) table: Table,
    /// Columns of the syslog form, in order.
    columns: Vec<Field>,
    /// JSON names: of the document, and of each object that a dotted name runs through.
    names: Vec<Names<To>>,
    paths: Vec<String>,
    /// Each field's name, in the order of the file.
    known: Vec<&'static str>,
    /// Fields by the JSON names of the document itself.
    fields: Names<Key>,
    /// Fields by the keys of each form of pairs.
    forms: Vec<Names<Key>>,
}

impl FieldTable {
    /// No fields.
    pub(crate) fn empty(name: &'static str, table: Table) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        Self {
            number: MADE.fetch_add(1, Ordering::Relaxed),
            name,
            table,
            columns: Vec::new(),
            names: vec![Names::default()],
            paths: vec![String::new()],
            known: Vec::new(),
            fields: Names::default(),
            forms: Vec::new(),
        }
    }

    /// Reads a `.fields` file; `slots` names the slots by index.
    pub(crate) fn parse(
        file: &'static str,
        text: &'static str,
        table: Table,
        slots: &[&str],
    ) -> Result<Self, FieldError> {
        let mut made = Self::empty(file.strip_suffix(".fields").unwrap_or(file), table);
        for (line, words) in text.lines().enumerate().filter(|(_, l)| !l.starts_with('#') && !l.trim().is_empty()) {
            made.add(words, slots).map_err(|what| FieldError { file, line: line + 1, what })?;
        }
        Ok(made)
    }

    fn add(&mut self, line: &'static str, slots: &[&str]) -> Result<(), String> {
        let mut words = line.split_ascii_whitespace();
        let (Some(column), Some(names)) = (words.next(), words.next()) else {
            return Err("a field has a column, a JSON name and where it goes".to_owned());
        };
        let to = match words.next() {
            None | Some("-") => To::Unmapped,
            Some(path) => match path.strip_prefix(':') {
                Some(slot) => To::Slot(slot_index(slot, slots)?),
                None => To::Column(
                    Target::parse(self.table, path, words.next())
                        .ok_or_else(|| format!("{path}: no such column of {}, or another kind", self.table))?,
                ),
            },
        };
        if column != "-" {
            self.columns.push(Field::new(column, to));
        }
        let json = names.split(',').filter(|n| *n != "-");
        for name in json.clone() {
            self.add_name(name, to)?;
        }
        let number = u8::try_from(self.known.len()).map_err(|_| "more than 256 fields".to_owned())?;
        self.known.push(if column == "-" { json.clone().next().unwrap_or_default() } else { column });
        for json in json.filter(|n| !n.contains('.')) {
            let name = if column == "-" { json } else { column };
            self.fields.add(json, Key { field: Field::new(name, to), number, labels: "" })?;
        }
        Ok(())
    }

    /// Adds a form of pairs, whose keys a `.names` file lists.
    pub(crate) fn with_form(mut self, file: &'static str, text: &'static str) -> Result<Self, FieldError> {
        let mut form = Names::default();
        for (line, words) in text.lines().enumerate().filter(|(_, l)| !l.starts_with('#') && !l.trim().is_empty()) {
            let mut words = words.split_ascii_whitespace();
            let (Some(column), Some(keys)) = (words.next(), words.next()) else {
                return Err(FieldError { file, line: line + 1, what: "a column has its keys".to_owned() });
            };
            let labels = words.next().unwrap_or_default();
            let Some(field) = self.columns.iter().find(|c| c.name == column) else { continue };
            let number = self.known.iter().position(|c| *c == column).unwrap_or_default() as u8;
            for key in keys.split(',') {
                if form.get(key.as_bytes()).is_some() {
                    continue;
                }
                let key_of = Key { field: field.clone(), number, labels };
                form.add(key, key_of).map_err(|what| FieldError { file, line: line + 1, what })?;
            }
        }
        self.forms.push(form);
        Ok(self)
    }

    /// The field of a key in a form of pairs: by the form's own names, else by the JSON name, which may have `prefix`.
    #[inline]
    pub(crate) fn key(&self, form: usize, places: &mut [Place; 2], key: &str, prefix: &str) -> Option<&Key> {
        let [of_form, of_fields] = places;
        let own = self.forms.get(form).and_then(|names| names.get_after(of_form, key.as_bytes()));
        own.or_else(|| self.fields.get_after(of_fields, key.strip_prefix(prefix).unwrap_or(key).as_bytes()))
    }

    /// Where [`FieldTable::key`] finds a key, to be kept for [`FieldTable::key_at`].
    pub(crate) fn key_position(&self, form: usize, key: &str, prefix: &str) -> Option<KeyPosition> {
        let own = self.forms.get(form).and_then(|names| names.position(key)).map(KeyPosition::OfForm);
        own.or_else(|| self.fields.position(key.strip_prefix(prefix).unwrap_or(key)).map(KeyPosition::OfFields))
    }

    /// The field at a position.
    #[inline]
    pub(crate) fn key_at(&self, form: usize, position: KeyPosition) -> Option<&Key> {
        match position {
            KeyPosition::OfForm(position) => self.forms.get(form)?.at(position),
            KeyPosition::OfFields(position) => self.fields.at(position),
        }
    }

    fn add_name(&mut self, name: &'static str, to: To) -> Result<(), String> {
        self.add_path(&name.split('.').collect::<Vec<_>>(), to)
    }

    /// Adds the member at a path of keys.
    ///
    /// # Errors
    /// If it is there already, or what it lies in goes elsewhere as a whole.
    pub(crate) fn add_path(&mut self, path: &[&'static str], to: To) -> Result<(), String> {
        let Some((last, parents)) = path.split_last() else { return Err("an empty path".to_owned()) };
        let mut scope = 0;
        for (depth, parent) in parents.iter().enumerate() {
            scope = self.scope(path[..=depth].join("."), parent, scope)?;
        }
        self.names[scope].add(last, to)
    }

    /// The index of the object `path`, named `name` within `scope`.
    fn scope(&mut self, path: String, name: &'static str, scope: usize) -> Result<usize, String> {
        match self.names[scope].get(name.as_bytes()) {
            Some(To::Object(known)) => return Ok(usize::from(*known)),
            Some(_) => return Err(format!("{path} goes somewhere as a whole, and so cannot be divided")),
            None => {}
        }
        let index = self.names.len();
        self.names[scope]
            .add(name, To::Object(u8::try_from(index).map_err(|_| "more than 255 objects".to_owned())?))?;
        self.names.push(Names::default());
        self.paths.push(path);
        Ok(index)
    }

    /// Exchanges two columns, for a log type whose order differs from the file's.
    pub(crate) fn with_columns_exchanged(mut self, a: &str, b: &str) -> Self {
        let at = |name| self.columns.iter().position(|c| c.name == name);
        if let (Some(a), Some(b)) = (at(a), at(b)) {
            self.columns.swap(a, b);
        }
        self
    }

    /// Only these columns, in this order; a name that the file lacks is left out.
    pub(crate) fn with_columns(mut self, names: &[&str]) -> Self {
        let column = |name: &&str| self.columns.iter().find(|c| c.name == *name).cloned();
        self.columns = names.iter().filter_map(column).collect();
        self
    }

    /// All columns but these, for a log type that leaves some out.
    pub(crate) fn without_columns(mut self, names: &[&str]) -> Self {
        self.columns.retain(|c| !names.contains(&c.name));
        self
    }

    /// Columns of the syslog form.
    pub(crate) fn columns(&self) -> &[Field] {
        &self.columns
    }

    /// True if a field is called so.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        self.known.contains(&name)
    }

    /// True if a field goes to the slot.
    pub(crate) fn reads(&self, slot: u8) -> bool {
        self.columns.iter().any(|c| matches!(c.to, To::Slot(s) if s == slot))
    }

    /// Where the member `key` of the document (scope 0) or of an object goes, for a reader of member after member.
    #[inline]
    pub(crate) fn to(&self, scope: u8, place: &mut Place, key: &[u8]) -> &To {
        self.names[scope as usize].get_after(place, key).unwrap_or(&To::Unknown)
    }

    /// Where a member of the document or of an object is among its names, to be kept for [`FieldTable::to_at`].
    pub(crate) fn position(&self, scope: u8, key: &str) -> Option<u16> {
        self.names[scope as usize].position(key)
    }

    /// Where the member at a position goes.
    #[inline]
    pub(crate) fn to_at(&self, scope: u8, position: Option<u16>) -> &To {
        position.and_then(|position| self.names[scope as usize].at(position)).unwrap_or(&To::Unknown)
    }

    /// The dotted name of an object.
    pub(crate) fn path(&self, scope: u8) -> &str {
        &self.paths[scope as usize]
    }
}

fn slot_index(name: &str, slots: &[&str]) -> Result<u8, String> {
    let index = slots.iter().position(|s| *s == name);
    index.and_then(|i| u8::try_from(i).ok()).ok_or_else(|| format!("no slot {name:?}"))
}

#[cfg(test)]
mod tests;
