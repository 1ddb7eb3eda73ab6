#!/usr/bin/env python3
"""Reads every table of a warehouse with PyIceberg, an independent reader, and prints what it found as JSON.

    pip install "pyiceberg[sql-sqlite,pyarrow]"
    read_with_pyiceberg.py CATALOG_DB WAREHOUSE CATALOG_NAME NAMESPACE

    {"network_activity": {"rows": 3, "files": 1, "snapshots": 1, "distinct": 3, "next": {"fw@i1.0": 3},
                          "days": ["2026-11-20"], "hot_equals_nested": true}, ...}

`distinct` counts row identities; it equals `rows` if no row stands twice. `days` come from pruned scans.
"""
import datetime
import json
import sys

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog.sql import SqlCatalog

IDENTITY = ["_topic", "_incarnation", "_partition_id", "_offset", "_record"]
PREFIX = "palisade.next."


def distinct(rows):
    key = [c for c in IDENTITY if c in rows.column_names]
    return rows.group_by(key).aggregate([]).num_rows if len(key) == len(IDENTITY) else rows.num_rows


def hot_equals_nested(rows):
    if not {"src_ip", "src_endpoint"} <= set(rows.column_names):
        return None
    nested = pc.struct_field(rows["src_endpoint"], "ip")
    return rows["src_ip"].combine_chunks().to_pylist() == pa.chunked_array(nested).to_pylist()


def describe(table):
    rows = table.scan().to_arrow()
    days = {}
    for day in sorted({t.date() for t in rows["time"].to_pylist()}):
        start = datetime.datetime.combine(day, datetime.time(), datetime.timezone.utc)
        end = start + datetime.timedelta(days=1)
        of = f"time >= '{start.isoformat()}' and time < '{end.isoformat()}'"
        days[day.isoformat()] = table.scan(row_filter=of, selected_fields=("time",)).to_arrow().num_rows
    assert sum(days.values()) == rows.num_rows, (table.name(), days, rows.num_rows)
    return {
        "rows": rows.num_rows,
        "distinct": distinct(rows),
        "files": len(list(table.scan().plan_files())),
        "snapshots": len(table.metadata.snapshots),
        "next": {k[len(PREFIX):].split(".", 1)[1]: int(v) for k, v in table.properties.items() if k.startswith(PREFIX)},
        "days": list(days),
        "hot_equals_nested": hot_equals_nested(rows),
    }


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    catalog_db, warehouse, name, namespace = sys.argv[1:]
    catalog = SqlCatalog(name, uri=f"sqlite:///{catalog_db}", warehouse=warehouse)
    found = {table: describe(catalog.load_table((space, table))) for space, table in catalog.list_tables(namespace)}
    json.dump(found, sys.stdout, indent=2, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
