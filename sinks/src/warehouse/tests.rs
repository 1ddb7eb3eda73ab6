use std::ops::Range;
use std::path::Path;

use arrow::array::RecordBatch;
use dataflow::schema::{Place, Space};
use dataflow::{ChunkBuilder, Leaf, LeafKind, TableBuilder};
use datafusion::prelude::SessionContext;
use iceberg::spec::{NestedField, PrimitiveType, Schema, Transform, Type, UnboundPartitionSpec};
use iceberg::{NamespaceIdent, TableCreation};
use iceberg_datafusion::IcebergCatalogProvider;

use super::*;
use crate::ledger::{Created, MergeEntry, SourceEntry, TableFiles};
use crate::{Class, Error, Namespace};

/// 2026-11-20T00:00:00Z.
pub(crate) const NOON: i64 = 1_795_132_800_000_000;
const DAY: i64 = dataflow::time::DAY_US;

pub(crate) fn partition(n: i32) -> PartitionId {
    PartitionId::new("fw", "i1", n)
}

pub(crate) async fn open(root: &Path) -> Warehouse {
    Warehouse::open(quick(root)).await.expect("opens")
}

/// A configuration whose retries do not wait.
pub(crate) fn quick(root: &Path) -> WarehouseConfig {
    WarehouseConfig { commit_backoff_ms: 0, commit_attempts_max: 200, ..WarehouseConfig::at(root) }
}

/// A row an offset, spread over three days, with every leaf of the table set in some rows and null in others.
pub(crate) fn rows(table: Table, partition: &PartitionId, offsets: Range<i64>) -> RecordBatch {
    let mut builder = TableBuilder::new(table);
    for offset in offsets {
        let layout = table.layout();
        for (nth, list) in layout.lists.iter().enumerate() {
            for element in 0..(offset + nth as i64).rem_euclid(3) {
                builder.begin_element(list);
                set_leaves(&mut builder, table, Space::Element(nth), offset + element);
            }
        }
        set_leaves(&mut builder, table, Space::Row, offset);
        let mut chunk = ChunkBuilder::new(partition.clone(), "acme".into(), offset);
        chunk.push(b"x", offset, NOON + offset);
        builder.end_event(partition, "acme", &chunk.finish().records().next().expect("one record"), 0);
    }
    builder.finish()
}

fn set_leaves(builder: &mut TableBuilder, table: Table, space: Space, offset: i64) {
    let identity = ["_topic", "_incarnation", "_partition_id", "_offset", "_record", "_received_at", "tenant_uid"];
    for spec in table.layout().leaves.iter().filter(|l| l.space == space && l.place == Place::Own) {
        let leaf = table.expect_leaf(&spec.path);
        let given = table != Table::LateWindow && identity.contains(&spec.path.as_str());
        let null = (offset + leaf.index() as i64).rem_euclid(3) == 0 && !spec.required;
        if given || null {
            continue;
        }
        if spec.path == "time" {
            builder.set_i64(leaf, NOON + offset.rem_euclid(3) * DAY + offset);
        } else {
            set_leaf(builder, leaf, spec, offset);
        }
    }
}

fn set_leaf(builder: &mut TableBuilder, leaf: Leaf, spec: &dataflow::schema::LeafSpec, offset: i64) {
    let number = offset * 7919 - 1000 + leaf.index() as i64;
    match spec.kind {
        _ if spec.is_list => (0..=offset.rem_euclid(2)).for_each(|n| builder.push_str(leaf, &format!("v{n}"))),
        LeafKind::Keyword => _ = builder.set_str(leaf, &format!("k{}", offset.rem_euclid(5))),
        LeafKind::Text => _ = builder.set_str(leaf, &format!("ünïcode text of some length, {number}")),
        LeafKind::Json => _ = builder.set_str(leaf, &format!("{{\"n\":{number}}}")),
        LeafKind::Binary => _ = builder.set_bytes(leaf, &[0xff, 0, offset as u8]),
        LeafKind::I32 => _ = builder.set_i32(leaf, number as i32),
        LeafKind::I64 => _ = builder.set_i64(leaf, number),
        LeafKind::Time => _ = builder.set_i64(leaf, NOON + number),
        LeafKind::Bool => _ = builder.set_bool(leaf, offset.rem_euclid(2) == 0),
    }
}

/// The entry of a range whose rows are staged in each of the tables; not in the ledger yet.
pub(crate) async fn prepare(
    warehouse: &Warehouse,
    partition: &PartitionId,
    range: Range<i64>,
    tables: &[Table],
) -> SourceEntry {
    let attempt = Uuid::new_v4();
    let mut entry = SourceEntry::empty(partition.clone(), range.start, range.end, "test", attempt);
    let origin = Origin::Range { partition, start: range.start, next: range.end };
    for &table in tables {
        let encoded = warehouse.encoder().encode(table, &[rows(table, partition, range.clone())]).expect("encodes");
        let mut files = Vec::new();
        for file in encoded {
            files.push(warehouse.stage(origin, attempt, file).await.expect("stages"));
        }
        entry.tables.insert(table.into(), files.into_iter().collect::<TableFiles>());
    }
    entry.records = range.count() as u64;
    entry.watermark = Some(NOON);
    entry
}

/// Takes a range in, up to the commit point.
pub(crate) async fn record(warehouse: &Warehouse, partition: &PartitionId, range: Range<i64>, tables: &[Table]) {
    let entry = prepare(warehouse, partition, range, tables).await;
    assert_eq!(warehouse.ledger().create_source(&entry).await.expect("creates"), Created::New);
}

/// Takes a merge step in, with one alert row a step.
pub(crate) async fn record_merge(warehouse: &Warehouse, step: i64, vector: &[(PartitionId, i64)]) {
    let attempt = Uuid::new_v4();
    let table = Table::DetectionFinding;
    let alerts = PartitionId::new("_merge", "0", 0);
    let mut files = Vec::new();
    for file in warehouse.encoder().encode(table, &[rows(table, &alerts, step..step + 1)]).expect("encodes") {
        files.push(warehouse.stage(Origin::Step { group: 0, step }, attempt, file).await.expect("stages"));
    }
    let mut entry = MergeEntry::empty(0, step, NOON, "test", attempt);
    entry.vector = vector.iter().cloned().collect();
    entry.tables.insert(table.into(), files.into_iter().collect());
    warehouse.ledger().create_merge(&entry).await.expect("creates");
}

/// Runs SQL over the warehouse as a reader does: `w` is the namespace.
pub(crate) async fn sql(warehouse: &Warehouse, query: &str) -> Vec<RecordBatch> {
    let provider = IcebergCatalogProvider::try_new(warehouse.catalog()).await.expect("a catalog");
    let context = SessionContext::new();
    context.register_catalog("c", Arc::new(provider));
    let query = query.replace("w.", &format!("c.{}.", warehouse.config().namespace));
    context.sql(&query).await.expect("plans").collect().await.expect("runs")
}

/// The rows of a table as sorted text lines.
pub(crate) async fn lines(warehouse: &Warehouse, table: impl Into<Destination>) -> Vec<String> {
    let table = table.into();
    let namespace = table.namespace().map(Namespace::name).unwrap_or(&warehouse.config().namespace);
    text(&sql(warehouse, &format!("SELECT * FROM c.{namespace}.{}", table.table())).await)
}

/// Batches as sorted text lines, dictionary-encoded or not.
pub(crate) fn text(batches: &[RecordBatch]) -> Vec<String> {
    let options = arrow::util::display::FormatOptions::new().with_null("NULL");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|c| arrow::util::display::ArrayFormatter::try_new(c.as_ref(), &options).expect("printable"))
            .collect();
        for row in 0..batch.num_rows() {
            lines.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    lines.sort_unstable();
    lines
}

/// The offsets of a partition in a table, sorted, each as often as it stands there.
pub(crate) async fn offsets(warehouse: &Warehouse, table: Table, partition: &PartitionId) -> Vec<i64> {
    let query = format!(
        "SELECT _offset FROM w.{table} WHERE _topic = '{}' AND _partition_id = {}",
        partition.topic, partition.partition
    );
    let mut all: Vec<i64> = text(&sql(warehouse, &query).await).iter().map(|l| l.parse().expect("a number")).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_warehouse_opens_again_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = open(dir.path()).await;
    let uuid = first.load_table(Table::BaseEvent).await.expect("loads").metadata().uuid();
    let again = open(dir.path()).await;
    assert_eq!(first.cluster_id(), again.cluster_id());
    assert_eq!(again.merge_groups(), 1);
    assert_eq!(again.load_table(Table::BaseEvent).await.expect("loads").metadata().uuid(), uuid);
    assert_eq!(again.start_positions().await.expect("reads"), dataflow::Positions::new());
    assert!(again.merge_head(0).await.expect("reads").is_none());
}

#[tokio::test]
async fn two_processes_may_make_one_warehouse() {
    let dir = tempfile::tempdir().expect("a directory");
    let (a, b) = tokio::join!(Warehouse::open(quick(dir.path())), Warehouse::open(quick(dir.path())));
    let (a, b) = (a.expect("opens"), b.expect("opens"));
    assert_eq!(a.cluster_id(), b.cluster_id());
    for table in Table::ALL {
        let uuid = async |w: &Warehouse| w.load_table(table).await.expect("loads").metadata().uuid();
        assert_eq!(uuid(&a).await, uuid(&b).await);
    }
}

#[tokio::test]
async fn a_warehouse_may_be_in_a_bucket() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = WarehouseConfig::named("s3://lake/some/prefix", &|name| {
        (name == "PALISADE_CATALOG_FILE").then(|| dir.path().join("c.db").display().to_string())
    });
    let config = WarehouseConfig { commit_backoff_ms: 0, ..config.expect("a bucket and a file") };
    let Root::Remote(url) = &config.root else { panic!("a bucket") };
    let bucket = Arc::new(object_store::memory::InMemory::new());
    let store = RemoteStore::over(bucket, url, &config.store);
    let open = async || {
        let storage = Arc::new(RemoteStorageFactory::new(store.clone()));
        let catalog = catalog::open(&config, &url.to_string(), storage).await.expect("opens");
        Warehouse::open_with(config.clone(), Arc::new(store.clone()), catalog).await.expect("opens")
    };
    let warehouse = open().await;
    for range in [0..4, 4..9] {
        record(&warehouse, &partition(0), range, &[Table::NetworkActivity, Table::DeadLetter]).await;
        warehouse.committer("t").commit_pending().await.expect("commits");
    }
    let again = open().await;
    let loaded = again.load_table(Table::NetworkActivity).await.expect("loads");
    assert_eq!(loaded.metadata().location(), "s3://lake/some/prefix/local/data/network_activity");
    let written = [0..4, 4..9].map(|range| rows(Table::NetworkActivity, &partition(0), range));
    assert_eq!(lines(&again, Table::NetworkActivity).await, text(&written));
    assert_eq!(again.start_positions().await.expect("reads").get(&partition(0)), Some(&9));
}

#[tokio::test]
async fn another_cluster_or_topic_is_refused_with_the_way_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = WarehouseConfig { cluster_id: Some("k1".into()), ..quick(dir.path()) };
    let warehouse = Warehouse::open(config.clone()).await.expect("opens");
    let other = Warehouse::open(WarehouseConfig { cluster_id: Some("k2".into()), ..config }).await;
    let error = other.expect_err("refused");
    assert!(error.to_string().contains("belongs to cluster k1, not k2"), "{error}");
    assert_eq!(error.class(), Class::Permanent);
    let topic = Announced { topic: "fw", incarnation: "i1", cluster: Some("c1"), accept_reset: false, by: "t" };
    warehouse.register_topic(topic).await.expect("new");
    warehouse.register_topic(topic).await.expect("known");
    let again = Announced { incarnation: "i2", ..topic };
    let error = warehouse.register_topic(again).await.expect_err("re-created");
    assert!(matches!(&error, Error::TopicRecreated { known, .. } if known == "i1"), "{error}");
    assert!(error.to_string().contains("--accept-reset fw"), "{error}");
    let moved = Announced { cluster: Some("c2"), ..again };
    let error = warehouse.register_topic(moved).await.expect_err("another cluster").to_string();
    assert!(error.contains("from Kafka cluster c1, these brokers are of cluster c2"), "{error}");
    warehouse.register_topic(Announced { accept_reset: true, ..moved }).await.expect("accepted");
    warehouse.register_topic(moved).await.expect("known now");
    let record = std::fs::read_to_string(dir.path().join("local/meta/topics/fw/i2.json")).expect("recorded");
    for want in [r#""cluster":"c2""#, r#""instead_of":["i1"]"#, r#""by":"t""#] {
        assert!(record.contains(want), "{record}");
    }
}

#[tokio::test]
async fn a_topic_that_was_recorded_without_its_cluster_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let topic = Announced { topic: "fw", incarnation: "i1", cluster: None, accept_reset: false, by: "t" };
    warehouse.register_topic(topic).await.expect("new");
    warehouse.register_topic(Announced { cluster: Some("c1"), ..topic }).await.expect("the same");
    let again = Announced { incarnation: "i2", cluster: Some("c1"), ..topic };
    let error = warehouse.register_topic(again).await.expect_err("re-created");
    assert!(matches!(error, Error::TopicRecreated { .. }), "{error}");
}

#[tokio::test]
async fn another_protocol_version_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(dir.path().join("local/meta")).expect("makes");
    std::fs::write(dir.path().join("local/meta/cluster.json"), r#"{"protocol": 9, "id": {}}"#).expect("writes");
    let error = Warehouse::open(quick(dir.path())).await.expect_err("refused");
    assert!(matches!(error, Error::UnknownProtocol { found: 9, .. }), "{error}");
}

#[tokio::test]
async fn columns_that_an_older_table_lacks_are_added_and_ids_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(dir.path()).expect("opens");
    let config = quick(dir.path());
    let catalog = catalog::open_local(&config, &store).await;
    let namespace = NamespaceIdent::new("palisade".into());
    catalog.create_namespace(&namespace, Default::default()).await.expect("creates");
    let full = schema::iceberg_schema(Table::HttpActivity).expect("converts");
    // As an older version had it: without the enrichment columns and the nested http_request.url.
    let old = full.as_struct().fields().iter().filter(|f| !f.name.starts_with("src_") || f.name == "src_ip");
    let old: Vec<_> = old.map(|f| if f.name == "http_request" { without(f, "url") } else { f.clone() }).collect();
    let old = Schema::builder().with_fields(old).build().expect("a schema");
    let creation = TableCreation::builder()
        .name("http_activity".into())
        .location(store.location("local/data/http_activity"))
        .partition_spec(schema::partition_spec(Table::HttpActivity, &old).expect("a spec"))
        .schema(old)
        .build();
    let before = catalog.create_table(&namespace, creation).await.expect("creates");
    let warehouse = Warehouse::open_with(config, Arc::new(store), catalog).await.expect("opens");
    let after = warehouse.load_table(Table::HttpActivity).await.expect("loads");
    for name in ["time", "src_ip", "http_request.user_agent"] {
        let id = |t: &iceberg::table::Table| t.metadata().current_schema().field_by_name(name).map(|f| f.id);
        assert_eq!(id(&before), id(&after), "{name}");
    }
    let batch = rows(Table::HttpActivity, &partition(0), 0..9);
    record(&warehouse, &partition(0), 0..9, &[Table::HttpActivity]).await;
    warehouse.committer("t").commit_pending().await.expect("commits");
    let names: Vec<String> = batch.schema().fields().iter().map(|f| format!("\"{}\"", f.name())).collect();
    let columns: Vec<&String> = names.iter().filter(|n| *n != "\"http_request\"").collect();
    let read = sql(
        &warehouse,
        &format!("SELECT {} FROM w.http_activity", columns.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ")),
    )
    .await;
    let keep: Vec<usize> = (0..names.len()).filter(|&i| names[i] != "\"http_request\"").collect();
    assert_eq!(text(&read), text(&[batch.project(&keep).expect("projects")]));
}

fn without(field: &iceberg::spec::NestedFieldRef, name: &str) -> iceberg::spec::NestedFieldRef {
    let Type::Struct(inner) = field.field_type.as_ref() else { panic!("{} is no struct", field.name) };
    let kept = inner.fields().iter().filter(|f| f.name != name).cloned().collect();
    NestedField::optional(field.id, &field.name, Type::Struct(iceberg::spec::StructType::new(kept))).into()
}

#[tokio::test]
async fn a_column_of_another_type_is_refused() {
    let theirs = Schema::builder()
        .with_fields([NestedField::required(1, "time", Type::Primitive(PrimitiveType::String)).into()])
        .build()
        .expect("a schema");
    let ours =
        arrow::datatypes::Schema::new(vec![Table::BaseEvent.schema().field_with_name("time").expect("there").clone()]);
    let error = schema::with_field_ids(Table::BaseEvent.into(), &ours, &theirs).expect_err("refused").to_string();
    assert!(error.starts_with("table base_event: column time is string there, Timestamp"), "{error}");
}

#[tokio::test]
async fn resuming_follows_the_chain_from_the_slowest_table() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let p = partition(0);
    let starts = async || warehouse.start_positions().await.expect("reads").get(&p).copied();
    assert_eq!(starts().await, None);
    record(&warehouse, &p, 10..20, &[Table::BaseEvent]).await;
    assert_eq!(starts().await, Some(20), "an entry counts before any table has it");
    warehouse.committer("t").commit_pending().await.expect("commits");
    record(&warehouse, &p, 20..25, &[Table::HttpActivity]).await;
    assert_eq!(starts().await, Some(25));
    warehouse.committer("t").settle().await.expect("commits");
    assert_eq!(starts().await, Some(25));
    // Old entries may be collected once every table is past them.
    std::fs::remove_dir_all(dir.path().join("local/ledger/fw@i1")).expect("removes");
    assert_eq!(starts().await, Some(25));
}

#[tokio::test]
async fn a_table_that_claims_more_than_the_ledger_holds_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let p = partition(0);
    record(&warehouse, &p, 0..10, &[Table::BaseEvent]).await;
    record(&warehouse, &p, 10..20, &[Table::BaseEvent]).await;
    warehouse.committer("t").commit_pending().await.expect("commits");
    std::fs::remove_file(dir.path().join(format!("local/ledger/fw@i1/0/{:020}.entry", 10))).expect("removes");
    let error = warehouse.start_positions().await.expect_err("a lost entry");
    assert!(matches!(error, Error::NotInLedger { next: 20, end: 10, .. }), "{error}");
}

#[tokio::test]
async fn the_newest_merge_step_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    for step in 0..3 {
        record_merge(&warehouse, step, &[]).await;
        let head = warehouse.merge_head(0).await.expect("reads").expect("a step");
        assert_eq!(head.step, step);
        warehouse.committer("t").commit_pending().await.expect("commits");
        assert_eq!(warehouse.merge_head(0).await.expect("reads").expect("a step").step, step);
    }
    assert!(warehouse.merge_head(1).await.expect("reads").is_none());
}

#[test]
fn properties_are_read_back_and_others_are_left_alone() {
    let p = PartitionId::new("fw.eu@x", "a.b", 7);
    assert_eq!(source_key("local", &p), "palisade.next.local.fw.eu@x@a.b.7");
    assert_eq!(merge_key("local", 3), "palisade.next.local._merge.3");
    let table = Table::BaseEvent;
    let read = |key: &str, value: &str| {
        let schema = schema::iceberg_schema(table).expect("converts");
        let spec = schema::partition_spec(table, &schema).expect("a spec");
        let creation = TableCreation::builder()
            .name("t".into())
            .location("/w".into())
            .partition_spec(spec)
            .schema(schema)
            .properties([(key.to_owned(), value.to_owned())])
            .build();
        let built = iceberg::spec::TableMetadataBuilder::from_table_creation(creation).expect("valid").build();
        Nexts::read("local", table.into(), &built.expect("valid").metadata)
    };
    assert_eq!(read(&source_key("local", &p), "9").expect("ours").sources.get(&p), Some(&9));
    assert_eq!(read(&merge_key("local", 3), "9").expect("ours").merges.get(&3), Some(&9));
    assert_eq!(read(&source_key("eu", &p), "9").expect("another region's"), Nexts::default());
    assert!(read(&source_key("local", &p), "nine").is_err());
    assert!(read("palisade.next.local.no-partition", "9").is_err());
}

/// Makes `dns_activity` with a spec of its own before anybody opens the warehouse.
async fn partitioned(root: &Path, column: &str, transform: Transform) -> crate::Result<Warehouse> {
    let config = quick(root);
    let store = LocalStore::open(root).expect("a store");
    let catalog = catalog::open_local(&config, &store).await;
    let namespace = NamespaceIdent::new(config.namespace.clone());
    catalog.create_namespace(&namespace, std::collections::HashMap::new()).await.expect("a namespace");
    let schema = schema::iceberg_schema(Table::DnsActivity).expect("a schema");
    let field = schema.field_by_name(column).expect("a column").id;
    let spec =
        UnboundPartitionSpec::builder().with_spec_id(0).add_partition_field(field, "p", transform).expect("a spec");
    let creation =
        TableCreation::builder().name("dns_activity".to_owned()).location(store.location("made/dns_activity"));
    let creation = creation.schema(schema).partition_spec(spec.build()).build();
    catalog.create_table(&namespace, creation).await.expect("a table");
    Warehouse::open(config).await
}

#[tokio::test]
async fn a_table_may_be_partitioned_by_hours_or_months() {
    for (transform, want) in [(Transform::Hour, [498_648, 498_672, 498_696]), (Transform::Month, [682; 3])] {
        let dir = tempfile::tempdir().expect("a directory");
        let warehouse = partitioned(dir.path(), "time", transform).await.expect("opens");
        record(&warehouse, &partition(0), 0..6, &[Table::DnsActivity]).await;
        warehouse.committer("c").settle().await.expect("commits");
        assert_eq!(offsets(&warehouse, Table::DnsActivity, &partition(0)).await, [0, 1, 2, 3, 4, 5]);
        let table = warehouse.load_table(Table::DnsActivity).await.expect("loads");
        let snapshot = table.metadata().current_snapshot().expect("a snapshot");
        let mut found = Vec::new();
        for list in table.manifest_list_reader(snapshot).load().await.expect("reads").entries() {
            let manifest = list.load_manifest(table.file_io()).await.expect("reads");
            let slots = manifest.entries().iter().map(|e| e.data_file().partition()[0].clone());
            found.extend(slots);
        }
        found.sort_by_key(|slot| format!("{slot:?}"));
        let mut want: Vec<_> = want.into_iter().map(|slot| Some(iceberg::spec::Literal::int(slot))).collect();
        want.dedup();
        assert_eq!(found, want, "{transform}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let error = partitioned(dir.path(), "tenant_uid", Transform::Identity).await.expect_err("refused").to_string();
    assert!(error.contains("table dns_activity: it is partitioned by [p identity]"), "{error}");
}

#[tokio::test]
async fn files_of_a_spec_that_is_no_more_are_not_committed() {
    let dir = tempfile::tempdir().expect("a directory");
    let warehouse = open(dir.path()).await;
    let mut entry = prepare(&warehouse, &partition(0), 0..6, &[Table::DnsActivity]).await;
    entry.tables.values_mut().flat_map(|files| &mut files.files).for_each(|file| file.spec_id = 7);
    warehouse.ledger().create_source(&entry).await.expect("creates");
    let error = warehouse.committer("c").commit_pending().await.expect_err("refused");
    assert!(error.to_string().contains("of partition spec 7, but the table has 0 now"), "{error}");
    assert_eq!(error.class(), Class::Permanent);
}
