//! What an attribute's name stands for: a column, an enum and its caption, or columns that are filled together.

use dataflow::schema::{LeafKind, Place as Origin, Space};
use dataflow::{Leaf, Table};

use crate::decode::fields::{Convert, Target};
use crate::normalize::ocsf::{self, Caption};

use super::step::UrlTargets;

/// The columns of an attribute.
#[derive(Debug)]
pub(super) enum Kind {
    Column(Target),
    Time(Target),
    Enum { id: Target, caption: Option<Target>, own: &'static [Caption] },
    Action,
    User { name: Target, domain: Target },
    Protocol { number: Target, name: Target },
    Address { ip: Target, port: Target },
    Os { name: Target, id: Target, caption: Target },
    Url(UrlTargets),
    Texts(Leaf),
}

/// Columns that are set otherwise, and by what.
const OWN: [(&str, &str); 14] = [
    ("time", "time:"),
    ("activity_id", "activity:"),
    ("activity_name", "activity:"),
    ("severity_id", "severity:"),
    ("severity", "severity:"),
    ("type_uid", "class: and activity:"),
    ("type_name", "class: and activity:"),
    ("class_uid", "class:"),
    ("class_name", "class:"),
    ("category_uid", "class:"),
    ("category_name", "class:"),
    ("metadata.product.name", "product:"),
    ("metadata.product.vendor_name", "product:"),
    ("metadata.original_time", "time:"),
];

/// Names that stand for several columns, beside those of columns.
const GROUPS: [&str; 12] = [
    "actor.user",
    "user",
    "evidences[].actor.user",
    "connection_info.protocol",
    "evidences[].connection_info.protocol",
    "http_request.url",
    "url",
    "evidences[].url",
    "src_endpoint.os",
    "src_endpoint",
    "dst_endpoint",
    "action",
];

/// What `path` stands for in a table.
///
/// # Errors
/// Why it cannot be set.
pub(super) fn kind(table: Table, path: &str) -> Result<Kind, String> {
    if let Some((_, by)) = OWN.iter().find(|(own, _)| *own == path) {
        return Err(format!("{path} is set by {by}"));
    }
    if path == "action" && table.leaf("disposition_id").is_some() {
        return Ok(Kind::Action);
    }
    let target = |path: &str| table.leaf(path).map(|_| with_hot(table, path));
    if let Some(found) = enumeration(table, path) {
        return Ok(found);
    }
    let Some(leaf) = table.leaf(path) else {
        return group(path, &target).ok_or_else(|| format!("{table} has no attribute {path}"));
    };
    let spec = &table.layout().leaves[leaf.index()];
    if let Origin::SameAs(of) = spec.place {
        return Err(format!("{path} repeats {}: name that", table.layout().leaves[of.index()].path));
    }
    if path.starts_with('_') || is_kept(path) {
        return Err(format!("{path} is Palisade's own"));
    }
    if spec.is_list {
        return Ok(Kind::Texts(leaf));
    }
    let target = with_hot(table, path);
    Ok(if spec.kind == LeafKind::Time { Kind::Time(target) } else { Kind::Column(target) })
}

fn is_kept(path: &str) -> bool {
    matches!(
        path,
        "unmapped" | "raw_data" | "tenant_uid" | "metadata.version" | "metadata.profiles[]" | "metadata.tenant_uid"
    ) || dataflow::schema::ENRICHMENT_COLUMNS.contains(&path)
}

/// An enum by its id's name or its caption's.
fn enumeration(table: Table, path: &str) -> Option<Kind> {
    let base = path.strip_suffix("_id").unwrap_or(path);
    let id = format!("{base}_id");
    let own = ocsf::values(table, &id)?;
    let target = |path: &str| table.leaf(path).map(|_| Target::of(table, path));
    Some(Kind::Enum { id: target(&id)?, caption: target(base), own })
}

/// Columns that one field fills together.
fn group(path: &str, target: &dyn Fn(&str) -> Option<Target>) -> Option<Kind> {
    let of = |name: &str| target(&format!("{path}{name}"));
    if let (Some(number), Some(name)) = (of("_num"), of("_name")) {
        return Some(Kind::Protocol { number, name });
    }
    if let (Some(ip), Some(port), true) = (of(".ip"), of(".port"), path.ends_with("endpoint")) {
        return Some(Kind::Address { ip, port });
    }
    if let Some(whole) = of(".url_string") {
        let parts = [".scheme", ".hostname", ".path", ".query_string"].map(of);
        return Some(Kind::Url(UrlTargets { whole, parts, port: of(".port") }));
    }
    if let (Some(name), Some(id), Some(caption), true) =
        (of(".name"), of(".type_id"), of(".type"), path.ends_with(".os"))
    {
        return Some(Kind::Os { name, id, caption });
    }
    match (of(".name"), of(".domain"), path.ends_with("user")) {
        (Some(name), Some(domain), true) => Some(Kind::User { name, domain }),
        _ => None,
    }
}

/// The column, with the conversion that its name asks for and the hot column that repeats it.
fn with_hot(table: Table, path: &str) -> Target {
    let target = Target::of(table, path);
    let hot = match path {
        "evidences[].src_endpoint.ip" => "src_ip",
        "evidences[].dst_endpoint.ip" => "dst_ip",
        "evidences[].src_endpoint.port" => "src_port",
        "evidences[].dst_endpoint.port" => "dst_port",
        "evidences[].actor.user.name" => "user_name",
        _ => "",
    };
    let also = table.leaf(hot).filter(|leaf| table.layout().leaves[leaf.index()].place == Origin::Own);
    Target { also, convert: conversion(path, target.convert), ..target }
}

fn conversion(path: &str, by_kind: Convert) -> Convert {
    let last = path.rsplit('.').next().unwrap_or(path);
    let of_proxy = path.contains("proxy_endpoint");
    match (last, by_kind) {
        ("ip" | "src_ip" | "dst_ip", Convert::Text) => {
            if of_proxy {
                Convert::NatIp
            } else {
                Convert::Ip
            }
        }
        ("port" | "src_port" | "dst_port", Convert::Int32) => {
            if of_proxy {
                Convert::NatPort
            } else {
                Convert::Port
            }
        }
        ("mac", Convert::Text) => Convert::Mac,
        ("country", Convert::Text) => Convert::Country,
        ("email_addr", Convert::Text) => Convert::Email,
        _ => by_kind,
    }
}

/// Every name that `kind` knows, for suggestions.
pub(super) fn names(table: Table) -> impl Iterator<Item = &'static str> {
    let leaves = table.layout().leaves.iter().filter(|leaf| leaf.place == Origin::Own);
    leaves.map(|leaf| leaf.path.as_str()).filter(|path| !path.starts_with('_')).chain(GROUPS)
}

/// The list of objects that the attribute lies in.
pub(super) fn list_of(table: Table, path: &str) -> Option<&'static str> {
    let (list, rest) = path.split_once("[]")?;
    let found = table.layout().lists.iter().find(|l| *l == list).filter(|_| rest.starts_with('.'));
    found.map(String::as_str)
}

/// True if the column is one of the row's own, not of an element's.
pub(super) fn is_of_row(table: Table, target: &Target) -> bool {
    table.layout().leaves[target.leaf.index()].space == Space::Row
}
