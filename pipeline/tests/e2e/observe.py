"""Watches the tables of a warehouse from outside: when each row could be queried, by the observer's own clock.

usage: observe.py WAREHOUSE

It looks at the catalog again and again and notes when it first sees each snapshot. A line `stall SECONDS` on stdin locks the catalog for
so long; at the end of stdin it reads what it saw and prints {table: {"rows", "p50", "p99", "p999"}}: milliseconds from `_received_at`.
"""
import json
import os
import sqlite3
import sys
import threading
import time

import pyarrow.parquet as pq
from pyiceberg.table import StaticTable

root = os.path.abspath(sys.argv[1])
catalog = f"{root}/catalog.db"
LOOKS_A_SECOND = 200
seen = {}  # metadata file -> when it was first seen, seconds


def stall(seconds):
    """Nobody can change the catalog meanwhile."""
    own = sqlite3.connect(catalog, isolation_level=None, timeout=60)
    own.execute("BEGIN EXCLUSIVE")
    time.sleep(seconds)
    own.execute("ROLLBACK")
    own.close()


def obey(done):
    for line in sys.stdin:
        stall(float(line.split()[1]))
        print("stalled", flush=True)
    done.set()


def look(connection):
    try:
        rows = connection.execute("SELECT metadata_location FROM iceberg_tables").fetchall()
    except sqlite3.OperationalError:  # locked: nothing can be new
        return
    now = time.time()
    for (location,) in rows:
        seen.setdefault(location, now)


def received(snapshot, io):
    """`_received_at` of the rows that the snapshot added, in seconds."""
    for manifest in snapshot.manifests(io):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(io):
            path = entry.data_file.file_path.removeprefix("file://")
            for us in pq.read_table(path, columns=["_received_at"])[0].cast("int64").to_pylist():
                yield us / 1e6


done = threading.Event()
threading.Thread(target=obey, args=[done], daemon=True).start()
connection = sqlite3.connect(catalog, timeout=0)
print("watching", flush=True)
while not done.wait(1 / LOOKS_A_SECOND):
    look(connection)
look(connection)

took, known = {}, set()
for location, at in sorted(seen.items(), key=lambda pair: pair[1]):
    table = StaticTable.from_metadata(location)
    name = table.metadata.location.rstrip("/").rsplit("/", 1)[-1]
    if name == "detection_finding":  # windows' alerts come from no range of a source
        continue
    for snapshot in table.metadata.snapshots:
        if snapshot.snapshot_id not in known:
            known.add(snapshot.snapshot_id)
            took.setdefault(name, []).extend((at - when) * 1e3 for when in received(snapshot, table.io))
figures = {}
for name, all_ms in took.items():
    all_ms.sort()
    quantile = lambda q: all_ms[min(len(all_ms) - 1, int(q * len(all_ms)))]
    if all_ms:
        figures[name] = {"rows": len(all_ms), "p50": quantile(0.5), "p99": quantile(0.99), "p999": quantile(0.999)}
print(json.dumps(figures))
