use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};

use super::*;
use crate::chunk::ChunkBuilder;

fn partition() -> PartitionId {
    PartitionId::new("t", "i", 3)
}

fn leaf(path: &str) -> Leaf {
    Table::ApiActivity.expect_leaf(path)
}

/// Ends a row at `offset` with a time, so that required columns are there.
fn end(b: &mut TableBuilder, offset: i64) {
    b.set_i64(leaf("time"), offset * 10);
    let mut chunk = ChunkBuilder::new(partition(), "acme".into(), offset);
    chunk.push(b"x", offset, 99);
    let chunk = chunk.finish();
    b.end_event(&partition(), "acme", &chunk.records().next().expect("one record"), 0);
}

#[test]
fn rows_hold_what_was_set_and_null_elsewhere() {
    let mut b = TableBuilder::new(Table::ApiActivity);
    b.set_str(leaf("src_endpoint.ip"), "192.0.2.1");
    b.set_str(leaf("api.operation"), "Get");
    end(&mut b, 5);
    end(&mut b, 6);
    b.set_str(leaf("api.operation"), "Put");
    b.set_bool(leaf("actor.session.is_mfa"), true);
    end(&mut b, 9);
    let batch = b.finish();
    assert_eq!(batch.schema(), Table::ApiActivity.schema());
    let offsets = batch.column_by_name("_offset").expect("identity");
    assert_eq!(offsets.as_primitive::<Int64Type>().values(), &[5, 6, 9]);
    let times = batch.column_by_name("time").expect("time");
    assert_eq!(times.as_primitive::<TimestampMicrosecondType>().values(), &[50, 60, 90]);
    let ip = batch.column_by_name("src_ip").expect("hot column");
    assert_eq!(ip.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("192.0.2.1"), None, None]);
    let src = batch.column_by_name("src_endpoint").expect("nested").as_struct();
    assert_eq!((src.is_valid(0), src.is_valid(1)), (true, false), "a struct is null where its leaves are");
    assert!(src.column_by_name("ip").expect("leaf").eq(ip), "the hot column is the nested one");
    let api = batch.column_by_name("api").expect("api").as_struct();
    let op = api.column_by_name("operation").expect("leaf").as_dictionary::<Int32Type>();
    let ops: Vec<_> = op.downcast_dict::<arrow::array::StringArray>().expect("strings").into_iter().collect();
    assert_eq!(ops, [Some("Get"), None, Some("Put")]);
    let class = batch.column_by_name("class_uid").expect("class");
    assert_eq!(class.as_primitive::<Int32Type>().values(), &[6003, 6003, 6003]);
}

#[test]
fn a_leaf_is_set_once_a_row() {
    let mut b = TableBuilder::new(Table::ApiActivity);
    assert!(b.set_str(leaf("api.operation"), "a"));
    assert!(b.is_set(leaf("api.operation")));
    assert!(!b.set_str(leaf("api.operation"), "b"));
    end(&mut b, 1);
    assert!(!b.is_set(leaf("api.operation")));
    let batch = b.finish();
    assert_eq!(batch.num_rows(), 1);
}

#[test]
fn an_aborted_row_leaves_no_trace() {
    let mut b = TableBuilder::new(Table::ApiActivity);
    let fill = |b: &mut TableBuilder, tag: &str| {
        b.set_str(leaf("message"), tag);
        b.push_str(leaf("metadata.profiles[]"), tag);
        b.begin_element("resources");
        b.set_str(leaf("resources[].uid"), tag);
    };
    fill(&mut b, "one");
    end(&mut b, 1);
    fill(&mut b, "lost");
    b.abort_row();
    fill(&mut b, "two");
    b.push_str(leaf("metadata.profiles[]"), "more");
    end(&mut b, 2);
    fill(&mut b, "lost again");
    b.abort_row();
    let batch = b.finish();
    let text = format!("{}", arrow::util::pretty::pretty_format_batches(&[batch]).expect("printable"));
    assert!(!text.contains("lost"), "{text}");
    assert!(text.contains("[two, more]") && text.contains("uid: two"), "{text}");
}

/// A string column, as text.
fn texts(batch: &RecordBatch, path: &[&str]) -> Vec<String> {
    let (first, rest) = path.split_first().expect("a path");
    let column = rest.iter().fold(batch.column_by_name(first).expect("a column").clone(), |array, name| {
        array.as_struct().column_by_name(name).expect("an attribute").clone()
    });
    let text = |row| arrow::util::display::array_value_to_string(&column, row).expect("printable");
    (0..column.len()).map(text).collect()
}

#[test]
fn what_runs_of_rows_share_is_in_each_of_them() {
    let stamp = |name| {
        Stamp::from([
            (leaf("metadata.product.name"), Shared::Text(name)),
            (leaf("metadata.profiles[]"), Shared::List(&["cloud", "datetime"])),
        ])
    };
    let (one, two) = (stamp("one"), stamp("two"));
    let mut b = TableBuilder::new(Table::ApiActivity);
    for round in 0..2 {
        let rows = [(0, "acme", Some(&one)), (0, "acme", Some(&one)), (1, "acme", None), (1, "else", Some(&two))];
        for (offset, (number, tenant, stamp)) in (0..).zip(rows) {
            let partition = PartitionId::new("t", "i", number);
            let mut chunk = ChunkBuilder::new(partition.clone(), tenant.into(), offset);
            chunk.push(b"x", offset, 99);
            b.stamp(&two);
            b.abort_row();
            b.set_i64(leaf("time"), 1);
            if let Some(stamp) = stamp {
                b.stamp(stamp);
            }
            b.end_event(&partition, tenant, &chunk.finish().records().next().expect("one record"), 0);
        }
        let batch = b.finish();
        assert_eq!(texts(&batch, &["_topic"]), ["t", "t", "t", "t"]);
        assert_eq!(texts(&batch, &["_partition_id"]), ["0", "0", "1", "1"], "round {round}");
        assert_eq!(texts(&batch, &["tenant_uid"]), ["acme", "acme", "acme", "else"]);
        assert_eq!(texts(&batch, &["metadata", "tenant_uid"]), ["acme", "acme", "acme", "else"]);
        assert_eq!(texts(&batch, &["metadata", "product", "name"]), ["one", "one", "", "two"], "round {round}");
        let both = "[cloud, datetime]";
        assert_eq!(texts(&batch, &["metadata", "profiles"]), [both, both, "", both], "round {round}");
        assert_eq!(texts(&batch, &["class_name"]), ["API Activity"; 4]);
    }
}

#[test]
fn a_row_that_sets_what_a_stamp_has_takes_nothing_from_the_rows_before_it() {
    let stamp = |values: &[(Leaf, Shared<'static>)]| Stamp::from(values);
    let name = leaf("metadata.product.name");
    let (one, none) = (stamp(&[(name, Shared::Text("one"))]), stamp(&[]));
    let mut b = TableBuilder::new(Table::ApiActivity);
    for (offset, own) in [(0, None), (1, None), (2, Some("own")), (3, None)] {
        let stamp = if own.is_some() { &none } else { &one };
        // What is set is forgotten once: the rows before keep what is theirs all the same.
        for is_last in [false, true] {
            b.begin_row([stamp, stamp]);
            if let Some(own) = own {
                b.set_str(name, own);
            }
            if !is_last {
                b.abort_row();
            }
        }
        b.stamp(stamp);
        end(&mut b, offset);
    }
    assert_eq!(texts(&b.finish(), &["metadata", "product", "name"]), ["one", "one", "own", "one"]);
}

#[test]
fn nulls_stand_where_nothing_was_set() {
    let mut b = TableBuilder::new(Table::ApiActivity);
    for offset in 0..10 {
        if [2, 3, 7].contains(&offset) {
            b.set_str(leaf("message"), "m");
            b.set_bool(leaf("actor.session.is_mfa"), offset == 3);
        }
        if offset == 7 {
            b.abort_row();
            b.set_str(leaf("message"), "n");
        }
        end(&mut b, offset);
    }
    let batch = b.finish();
    assert_eq!(texts(&batch, &["message"]), ["", "", "m", "m", "", "", "", "n", "", ""]);
    assert_eq!(texts(&batch, &["actor", "session", "is_mfa"]), ["", "", "false", "true", "", "", "", "", "", ""]);
    assert_eq!(batch.column_by_name("message").expect("a column").null_count(), 7);
    assert_eq!(batch.column_by_name("raw_data").expect("a column").null_count(), 10);
}

#[test]
fn a_finished_builder_starts_anew() {
    let mut b = TableBuilder::new(Table::ApiActivity);
    for round in 0..3 {
        b.set_str(leaf("api.operation"), ["Get", "Put", "Del"][round]);
        end(&mut b, 1);
        let batch = b.finish();
        let api = batch.column_by_name("api").expect("api").as_struct().column(0).clone();
        let op = api.as_dictionary::<Int32Type>();
        assert_eq!(op.values().as_string::<i32>().value(0), ["Get", "Put", "Del"][round]);
        assert_eq!(op.values().len(), 1);
    }
}

#[test]
fn lists_of_structs_keep_their_rows() {
    let mut b = TableBuilder::new(Table::ApiActivity);
    for (offset, uids) in [(1, vec!["a", "b"]), (2, vec![]), (3, vec!["c"])] {
        for uid in uids {
            b.begin_element("resources");
            if uid != "b" {
                b.set_str(leaf("resources[].uid"), uid);
            }
            b.set_str(leaf("resources[].type"), "bucket");
        }
        end(&mut b, offset);
    }
    let batch = b.finish();
    let list = batch.column_by_name("resources").expect("list").as_list::<i32>();
    let lens: Vec<usize> = (0..3).map(|i| list.value_length(i) as usize).collect();
    assert_eq!(lens, [2, 0, 1]);
    assert!(list.is_null(1));
    let uids = list.values().as_struct().column_by_name("uid").expect("uid").clone();
    assert_eq!(uids.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None, Some("c")]);
}

#[test]
#[should_panic(expected = "src_endpoint.port holds I32")]
fn a_wrong_kind_is_a_bug() {
    TableBuilder::new(Table::ApiActivity).set_str(leaf("src_endpoint.port"), "80");
}
