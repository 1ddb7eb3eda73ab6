"""Reads a Palisade warehouse with PyIceberg and prints a JSON object of figures a table.

usage: read_with_pyiceberg.py WAREHOUSE, or CATALOG_URI S3_ENDPOINT with the keys in the environment
"""
import json
import os
import sys

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.sql import SqlCatalog

if sys.argv[1].startswith("http"):
    keys = {"s3.access-key-id": os.environ["AWS_ACCESS_KEY_ID"], "s3.secret-access-key": os.environ["AWS_SECRET_ACCESS_KEY"]}
    keys |= {"s3.endpoint": sys.argv[2], "s3.region": os.environ["AWS_REGION"]}
    catalog = load_catalog("palisade", type="rest", uri=sys.argv[1], **keys)
else:
    root = os.path.abspath(sys.argv[1])
    catalog = SqlCatalog("palisade", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}")
figures = {}
for name in catalog.list_tables("palisade"):
    rows = catalog.load_table(name).scan().to_arrow()
    of = {"rows": rows.num_rows}
    if "_offset" in rows.column_names:
        offsets = rows["_offset"].to_pylist()
        of["offsets"] = sum(o % 1000003 for o in offsets)
    if "src_endpoint" in rows.column_names:
        of["distinct_src_ip"] = pc.count_distinct(pc.struct_field(rows["src_endpoint"], "ip")).as_py()
    if "dst_ip" in rows.column_names:
        of["distinct_dst_ip"] = pc.count_distinct(rows["dst_ip"]).as_py()
    if "traffic" in rows.column_names:
        of["bytes_out"] = pc.sum(pc.struct_field(rows["traffic"], "bytes_out")).as_py() or 0
    if "time" in rows.column_names:
        span = pc.min_max(rows["time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())).as_py()
        of |= {"time_us_min": span["min"] or 0, "time_us_max": span["max"] or 0}
    figures[name[-1]] = of
print(json.dumps(figures))
