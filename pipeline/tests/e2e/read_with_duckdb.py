"""Reads a Palisade warehouse with DuckDB and prints a JSON object of figures a table.

usage: read_with_duckdb.py WAREHOUSE
Its extensions come as Python packages: nothing is fetched.
"""
import importlib.resources
import json
import os
import sqlite3
import sys

import duckdb

FIGURES = {  # name: (column that it needs, SQL)
    "rows": (None, "count(*)"),
    "offsets": ("_offset", "sum(_offset % 1000003)"),
    "distinct_src_ip": ("src_endpoint", "count(DISTINCT src_endpoint.ip)"),
    "distinct_dst_ip": ("dst_ip", "count(DISTINCT dst_ip)"),
    "bytes_out": ("traffic", "sum(traffic.bytes_out)"),
    "time_us_min": ("time", "min(epoch_us(time))"),
    "time_us_max": ("time", "max(epoch_us(time))"),
}

root = os.path.abspath(sys.argv[1])
db = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
for name in ["avro", "iceberg"]:
    package = importlib.resources.files(f"duckdb_extension_{name}")
    db.load_extension(str(package / f"extensions/v{duckdb.__version__}/{name}.duckdb_extension"))
catalog = sqlite3.connect(f"file:{root}/catalog.db?mode=ro", uri=True)
tables = catalog.execute("SELECT table_name, metadata_location FROM iceberg_tables WHERE table_namespace = 'palisade'")
figures = {}
for table, metadata in tables.fetchall():
    scan = f"iceberg_scan('{metadata.removeprefix('file://')}')"
    columns = {row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()}
    wanted = {name: sql for name, (column, sql) in FIGURES.items() if column is None or column in columns}
    values = db.execute(f"SELECT {', '.join(wanted.values())} FROM {scan}").fetchone()
    figures[table] = {name: int(value or 0) for name, value in zip(wanted, values)}
print(json.dumps(figures))
