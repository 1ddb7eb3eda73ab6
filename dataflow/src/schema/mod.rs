//! The tables and their columns: OCSF 1.8 as it is nested, in a fixed subset a class.
//!
//! The column lists are the `.cols` files beside this one. A column is a path into nested structs; `x[]` is a list of
//! strings, `x[].y` a list of structs. A `same-as` column is a plain top-level copy of a nested one (the same array).

mod layout;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

pub(crate) use layout::element_field;
pub use layout::{Layout, LeafSpec, Node, Place, Space};

/// OCSF version of the tables and of the JSON.
pub const OCSF_VERSION: &str = "1.8.0";

/// The zone as Iceberg's readers spell UTC.
pub const UTC: &str = "+00:00";

/// Columns that enrichment fills, in schema order.
pub const ENRICHMENT_COLUMNS: [&str; 25] = [
    "src_country",
    "dst_country",
    "src_scope",
    "dst_scope",
    "src_intel_category",
    "dst_intel_category",
    "src_intel_confidence",
    "dst_intel_confidence",
    "src_coordinates",
    "dst_coordinates",
    "src_asn",
    "dst_asn",
    "src_as_name",
    "dst_as_name",
    "domain_intel_category",
    "domain_intel_confidence",
    "src_asset_name",
    "dst_asset_name",
    "src_asset_criticality",
    "dst_asset_criticality",
    "src_asset_owner",
    "dst_asset_owner",
    "user_department",
    "user_title",
    "user_is_privileged",
];

/// A table of the warehouse: an OCSF class, or one of Palisade's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// OCSF 4001.
    NetworkActivity,
    /// OCSF 4002.
    HttpActivity,
    /// OCSF 4003.
    DnsActivity,
    /// OCSF 4004.
    DhcpActivity,
    /// OCSF 3002.
    Authentication,
    /// OCSF 4014.
    TunnelActivity,
    /// OCSF 6003.
    ApiActivity,
    /// OCSF 6002.
    ApplicationLifecycle,
    /// OCSF 1008, whose name OCSF spells so.
    #[serde(rename = "event_log_actvity")]
    EventLogActivity,
    /// OCSF 5001.
    InventoryInfo,
    /// OCSF 5019.
    DeviceConfigStateChange,
    /// OCSF 2004: vendors' detections and Palisade's alerts.
    DetectionFinding,
    /// OCSF 0: events of no other class.
    BaseEvent,
    /// Records that could not be decoded.
    DeadLetter,
    /// What came too late for a rule's window.
    LateWindow,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 15] = [
        Table::NetworkActivity,
        Table::HttpActivity,
        Table::DnsActivity,
        Table::DhcpActivity,
        Table::Authentication,
        Table::TunnelActivity,
        Table::ApiActivity,
        Table::ApplicationLifecycle,
        Table::EventLogActivity,
        Table::InventoryInfo,
        Table::DeviceConfigStateChange,
        Table::DetectionFinding,
        Table::BaseEvent,
        Table::DeadLetter,
        Table::LateWindow,
    ];

    /// The tables that hold OCSF events.
    pub const EVENTS: [Table; 13] = [
        Table::NetworkActivity,
        Table::HttpActivity,
        Table::DnsActivity,
        Table::DhcpActivity,
        Table::Authentication,
        Table::TunnelActivity,
        Table::ApiActivity,
        Table::ApplicationLifecycle,
        Table::EventLogActivity,
        Table::InventoryInfo,
        Table::DeviceConfigStateChange,
        Table::DetectionFinding,
        Table::BaseEvent,
    ];

    /// The table's name in SQL and in the catalog.
    pub const fn name(self) -> &'static str {
        match self {
            Table::NetworkActivity => "network_activity",
            Table::HttpActivity => "http_activity",
            Table::DnsActivity => "dns_activity",
            Table::DhcpActivity => "dhcp_activity",
            Table::Authentication => "authentication",
            Table::TunnelActivity => "tunnel_activity",
            Table::ApiActivity => "api_activity",
            Table::ApplicationLifecycle => "application_lifecycle",
            Table::EventLogActivity => "event_log_actvity",
            Table::InventoryInfo => "inventory_info",
            Table::DeviceConfigStateChange => "device_config_state_change",
            Table::DetectionFinding => "detection_finding",
            Table::BaseEvent => "base_event",
            Table::DeadLetter => "dead_letter",
            Table::LateWindow => "late_window",
        }
    }

    /// The table of that name.
    pub fn by_name(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|t| t.name() == name)
    }

    /// OCSF class: uid, caption, category uid, category caption. None for Palisade's own tables.
    pub const fn ocsf_class(self) -> Option<(i32, &'static str, i32, &'static str)> {
        match self {
            Table::NetworkActivity => Some((4001, "Network Activity", 4, "Network Activity")),
            Table::HttpActivity => Some((4002, "HTTP Activity", 4, "Network Activity")),
            Table::DnsActivity => Some((4003, "DNS Activity", 4, "Network Activity")),
            Table::DhcpActivity => Some((4004, "DHCP Activity", 4, "Network Activity")),
            Table::Authentication => Some((3002, "Authentication", 3, "Identity & Access Management")),
            Table::TunnelActivity => Some((4014, "Tunnel Activity", 4, "Network Activity")),
            Table::ApiActivity => Some((6003, "API Activity", 6, "Application Activity")),
            Table::ApplicationLifecycle => Some((6002, "Application Lifecycle", 6, "Application Activity")),
            Table::EventLogActivity => Some((1008, "Event Log Activity", 1, "System Activity")),
            Table::InventoryInfo => Some((5001, "Device Inventory Info", 5, "Discovery")),
            Table::DeviceConfigStateChange => Some((5019, "Device Config State Change", 5, "Discovery")),
            Table::DetectionFinding => Some((2004, "Detection Finding", 2, "Findings")),
            Table::BaseEvent => Some((0, "Base Event", 0, "Uncategorized")),
            Table::DeadLetter | Table::LateWindow => None,
        }
    }

    /// The columns and how they nest.
    pub fn layout(self) -> &'static Layout {
        &LAYOUTS[self as usize]
    }

    /// The Arrow schema of the table's batches.
    pub fn schema(self) -> SchemaRef {
        self.layout().schema.clone()
    }

    /// The leaf at `path`.
    pub fn leaf(self, path: &str) -> Option<Leaf> {
        self.layout().by_path.get(path).copied()
    }

    /// The leaf at `path`, for paths that the code itself names.
    ///
    /// # Panics
    /// If the table has no such column.
    pub fn expect_leaf(self, path: &str) -> Leaf {
        self.leaf(path).unwrap_or_else(|| panic!("table {self} has no column {path}"))
    }

    const fn columns(self) -> &'static [&'static str] {
        const COMMON: &str = include_str!("common.cols");
        const ENDPOINTS: &str = include_str!("endpoints.cols");
        const NETWORK: &str = include_str!("network.cols");
        const ACCESS: &str = include_str!("access.cols");
        const ENRICHMENT: &str = include_str!("enrichment.cols");
        match self {
            Table::NetworkActivity => &[COMMON, ENDPOINTS, NETWORK, include_str!("network_activity.cols"), ENRICHMENT],
            Table::HttpActivity => &[COMMON, ENDPOINTS, NETWORK, include_str!("http_activity.cols"), ENRICHMENT],
            Table::DnsActivity => &[COMMON, ENDPOINTS, include_str!("dns_activity.cols"), ENRICHMENT],
            Table::DhcpActivity => &[COMMON, ENDPOINTS, include_str!("dhcp_activity.cols"), ENRICHMENT],
            Table::Authentication => &[COMMON, ACCESS, include_str!("authentication.cols"), ENRICHMENT],
            Table::TunnelActivity => &[COMMON, ACCESS, include_str!("tunnel_activity.cols"), ENRICHMENT],
            Table::ApiActivity => &[COMMON, include_str!("api_activity.cols"), ENRICHMENT],
            Table::ApplicationLifecycle => &[COMMON, include_str!("application_lifecycle.cols"), ENRICHMENT],
            Table::EventLogActivity => &[COMMON, include_str!("event_log_actvity.cols"), ENRICHMENT],
            Table::InventoryInfo => &[COMMON, include_str!("inventory_info.cols"), ENRICHMENT],
            Table::DeviceConfigStateChange => &[COMMON, include_str!("device_config_state_change.cols"), ENRICHMENT],
            Table::DetectionFinding => &[COMMON, include_str!("detection_finding.cols"), ENRICHMENT],
            Table::BaseEvent => &[COMMON, include_str!("base_event.cols"), ENRICHMENT],
            Table::DeadLetter => &[include_str!("dead_letter.cols")],
            Table::LateWindow => &[include_str!("late_window.cols")],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

static LAYOUTS: LazyLock<Vec<Layout>> =
    LazyLock::new(|| Table::ALL.iter().map(|t| Layout::parse(t.name(), t.columns())).collect());

/// The index of a leaf column within its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leaf(pub(crate) u16);

impl Leaf {
    /// The index into [`Layout::leaves`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a leaf column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafKind {
    /// Few distinct strings: dictionary-encoded.
    Keyword,
    /// Any string.
    Text,
    /// JSON text, numbers verbatim; written into OCSF JSON as it stands.
    Json,
    /// Bytes.
    Binary,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// True or false.
    Bool,
    /// Microseconds UTC.
    Time,
}

impl LeafKind {
    /// The kind's name in a `.cols` file.
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "keyword" => Self::Keyword,
            "text" => Self::Text,
            "json" => Self::Json,
            "binary" => Self::Binary,
            "i32" => Self::I32,
            "i64" => Self::I64,
            "bool" => Self::Bool,
            "time" => Self::Time,
            _ => return None,
        })
    }

    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Keyword => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Text | Self::Json => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::I32 => DataType::Int32,
            Self::I64 => DataType::Int64,
            Self::Bool => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        }
    }
}

/// Leaves by path, in a table's layout.
pub(crate) type LeafIndex = HashMap<String, Leaf>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_layout_whose_leaves_are_found_by_path() {
        for table in Table::ALL {
            let layout = table.layout();
            assert!(!layout.leaves.is_empty(), "{table}");
            for (i, leaf) in layout.leaves.iter().enumerate() {
                assert_eq!(table.leaf(&leaf.path).map(Leaf::index), Some(i), "{table} {}", leaf.path);
            }
            assert_eq!(Table::by_name(table.name()), Some(table));
        }
    }

    #[test]
    fn event_tables_carry_identity_tenant_time_hot_and_enrichment_columns() {
        let always =
            ["_topic", "_incarnation", "_partition_id", "_offset", "_record", "_received_at", "tenant_uid", "time"];
        let hot = ["src_ip", "dst_ip", "src_port", "dst_port", "user_name"];
        for table in Table::EVENTS {
            let schema = table.schema();
            for name in always.iter().chain(&hot).chain(&ENRICHMENT_COLUMNS) {
                assert!(schema.field_with_name(name).is_ok(), "{table} lacks {name}");
            }
            for name in always {
                assert!(!schema.field_with_name(name).expect("checked above").is_nullable(), "{table}.{name}");
            }
        }
    }

    #[test]
    fn the_user_of_who_comes_in_is_the_hot_column() {
        for table in [Table::Authentication, Table::TunnelActivity] {
            let of = |path| table.layout().leaves[table.expect_leaf(path).index()].place;
            assert_eq!(of("user_name"), Place::SameAs(table.expect_leaf("user.name")), "{table}");
            assert_eq!(of("src_ip"), Place::SameAs(table.expect_leaf("src_endpoint.ip")), "{table}");
        }
    }

    #[test]
    fn no_column_has_a_name_that_iceberg_reserves() {
        let reserved =
            ["_file", "_pos", "_deleted", "_spec_id", "_partition", "file_path", "pos", "row", "_change_type"]
                .into_iter()
                .chain(["_change_ordinal", "_commit_snapshot_id", "_row_id", "_last_updated_sequence_number"]);
        for (table, name) in Table::ALL.into_iter().flat_map(|t| reserved.clone().map(move |r| (t, r))) {
            assert!(table.schema().field_with_name(name).is_err(), "{table}.{name}: engines would read something else");
        }
    }

    #[test]
    fn structs_nest_at_most_four_deep() {
        for table in Table::ALL {
            for leaf in &table.layout().leaves {
                assert!(leaf.path.split('.').count() <= 5, "{table} {}: a struct at depth 5", leaf.path);
            }
        }
    }
}
