#!/usr/bin/env python3
"""Another project's parsers on the generator's lines: what Tenzir reads of each format, compared with the truth.

    palisade loadgen --seed 5 --events 50000 --out FOLDER
    bench/formats_in_tenzir.py FOLDER            (pip install tenzir; $TENZIR names another binary)

Lines whose record holds one event are taken from FOLDER/*.log, told apart by how they look, cut free of their syslog header
and given to Tenzir: `read_csv` for PAN-OS CSV, `parse_cef`, `parse_leef`, `parse_kv`, `parse_json`, `split` for flow logs. It has no
parser for ASA messages, and what is broken on purpose is left out. Of each line the ends, the port, the bytes and the user
that Tenzir found must be those of truth.parquet, which Tenzir reads, too. Prints a line a format: lines, values compared, values that
differ; and the first difference of each column. Exit 0 if nothing differs, 1 if something does, 2 on usage.
"""

import collections
import csv
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TENZIR = os.environ.get("TENZIR", os.path.join(os.path.dirname(sys.executable), "tenzir"))
PANOS = re.compile(r"1,20\d\d/\d\d/\d\d \d\d:\d\d:\d\d,\d+,([A-Z]+),")

# Format, what a line of it holds, and how Tenzir reads the column `line`.
JSON = "line.parse_json()"
FORMATS = [
    ("pan-os cef", "CEF:0|Palo Alto", "line.parse_cef().extension"),
    ("pan-os leef", "LEEF:2.0|Palo Alto", "line.parse_leef().attributes"),
    ("fortios cef", "CEF:0|Fortinet", "line.parse_cef().extension"),
    ("fortigate", " devid=", "line.parse_kv()"),
    ("cisco asa", "%ASA-", None),
    ("cloudtrail", '"eventVersion"', JSON),
    ("gcp audit", '"protoPayload"', JSON),
    ("azure activity", '"category":"Administrative"', JSON),
    ("entra sign-in", '"category":"SignInLogs"', JSON),
    ("okta", '"eventType":"user.', JSON),
    ("strata json", '"ConfigVersion"', JSON),
]

# Where each value stands, in the order in which members are tried.
COLUMNS = ["src_ip", "dst_ip", "dst_port", "bytes_out", "user_name"]
PATHS = {
    "pan-os cef": ["src", "dst", "dpt", "in", "suser"],
    "pan-os leef": ["src|PublicIPv4", "dst", "dstPort", "srcBytes", "usrName"],
    "fortios cef": ["src", "dst", "dpt", "out", "suser|duser"],
    "fortigate": ["srcip|remip", "dstip", "dstport", "sentbyte", "user"],
    "cloudtrail": ["sourceIPAddress", "", "", "", ""],
    "gcp audit": ["protoPayload.requestMetadata.callerIp", "", "", "", "protoPayload.authenticationInfo.principalEmail"],
    "azure activity": ["records.0.callerIpAddress", "", "", "", "records.0.identity.claims.*/upn"],
    "entra sign-in": ["properties.ipAddress", "", "", "", "properties.userPrincipalName"],
    "okta": ["client.ipAddress", "", "", "", "actor.alternateId"],
    "strata json": ["SourceAddress|PublicIPv4", "DestinationAddress", "DestinationPort", "BytesSent", "SourceUser|SourceUserName"],
    "vpc flow": ["v.3", "v.4", "v.6", "v.9", ""],
}
PANOS_COLUMNS = {
    "TRAFFIC": [7, 8, 25, 32, 12],
    "THREAT": [7, 8, 25, None, 12],
    "GLOBALPROTECT": [15, None, None, None, 12],
    "SYSTEM": [None, None, None, None, None],
    "CONFIG": [7, None, None, None, 10],
}


# Of a value that the format has in no place of its own.
UNTOLD = object()


def tenzir(query):
    """The events of a pipeline."""
    run = subprocess.run([TENZIR, query + "\nwrite_ndjson"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{query}\n{run.stderr[-2000:]}")
    if run.stderr:
        print(run.stderr[:500], file=sys.stderr)
    return [json.loads(line) for line in run.stdout.splitlines()]


def truth(folder):
    """(topic, partition, offset) -> row, of records that hold one event."""
    select = "select topic, partition, offset, record, table, " + ", ".join(COLUMNS)
    rows = collections.defaultdict(list)
    for row in tenzir(f'from_file "{folder}/truth.parquet" {{ read_parquet }}\n{select}'):
        rows[row["topic"], row["partition"], row["offset"]].append(row)
    return {key: values[0] for key, values in rows.items() if len(values) == 1 and values[0]["table"] != "dead_letter"}


def classify(line):
    """Format and the line from where the format begins."""
    panos = PANOS.search(line)
    if panos:
        return "pan-os csv", line[panos.start():]
    for name, mark, _ in FORMATS:
        at = line.find(mark)
        if at >= 0:
            cut = at if mark.startswith(("CEF", "LEEF")) else line.find("date=") if name == "fortigate" else 0
            return name, line[cut:]
    return "vpc flow", line


def lines(folder, rows):
    """Format -> (row, line)."""
    found = collections.defaultdict(list)
    for path in sorted(pathlib.Path(folder).glob("*.log")):
        topic, partition, _ = path.stem.rsplit("-", 2)
        for offset, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines()):
            row = rows.get((topic, int(partition), offset))
            if row:
                name, line = classify(line)
                found[name].append((row, line))
    return found


def at_path(value, path):
    """The member at a path; `*end` is the first whose name ends so."""
    for key in path.split("."):
        if key.startswith("*") and isinstance(value, dict):
            key = next((name for name in value if name.endswith(key[1:])), key)
        value = value[int(key)] if isinstance(value, list) else value.get(key) if isinstance(value, dict) else None
    return value


def first(value, paths):
    found = [at_path(value, path) for path in paths.split("|") if path]
    return next((v for v in found if v not in (None, "")), None)


def unescaped(line):
    """Tenzir takes a backslash for the beginning of an escape, which PAN-OS does not mean by it in CSV and LEEF."""
    return line.replace("\\", "\\\\")


def read_text(name, pairs, scratch):
    """Values of each line, as Tenzir reads a string."""
    parse = next((parse for n, _, parse in FORMATS if n == name), None)
    query = f"p = {parse}" if parse else 'p = {v: line.split(" ")}'
    if name == "pan-os leef":
        pairs = [(row, unescaped(line)) for row, line in pairs]
    path = scratch / "lines.ndjson"
    path.write_text("".join(json.dumps({"id": i, "line": line}) + "\n" for i, (_, line) in enumerate(pairs)))
    for event in tenzir(f'from_file "{path}" {{ read_ndjson }}\n{query}\nselect id, p'):
        yield event["id"], [first(event["p"] or {}, paths) for paths in PATHS[name]]


def read_panos(pairs, scratch):
    """Values of each line of CSV; lines of one layout at a time, the columns by number."""
    layouts = collections.defaultdict(list)
    for i, (_, line) in enumerate(pairs):
        layouts[len(next(csv.reader([line]))), PANOS.match(line)[1]].append((i, line))
    for (columns, kind), group in layouts.items():
        path = scratch / "lines.csv"
        path.write_text("".join(f"{i},{unescaped(line)}\n" for i, line in group))
        header = ",".join(["id"] + [f"c{n}" for n in range(columns)])
        wanted = [n for n in PANOS_COLUMNS[kind] if n is not None]
        select = ", ".join(["id"] + [f"c{n}" for n in sorted(set(wanted))])
        for event in tenzir(f'from_file "{path}" {{ read_csv header="{header}", auto_fill=true }}\nselect {select}'):
            yield event["id"], [UNTOLD if n is None else event[f"c{n}"] for n in PANOS_COLUMNS[kind]]


def plain(column, value):
    """A value as the truth spells it: a user without the Windows domain."""
    if column == "user_name" and isinstance(value, str):
        return value.rsplit("\\", 1)[-1]
    return value if value is None else str(value)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    found = lines(sys.argv[1], truth(sys.argv[1]))
    differ = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name, pairs in sorted(found.items()):
            if name != "pan-os csv" and name not in PATHS:
                print(f"{name:<15} {len(pairs):>7} lines, not read")
                continue
            read = read_panos if name == "pan-os csv" else lambda p, s, n=name: read_text(n, p, s)
            compared, seen, faults = 0, 0, {}
            for i, values in read(pairs, pathlib.Path(scratch)):
                seen += 1
                for column, value in zip(COLUMNS, values):
                    told = plain(column, pairs[i][0][column])
                    if told is None or value is UNTOLD:
                        continue
                    if plain(column, value) == told:
                        compared += 1
                    else:
                        faults.setdefault(column, []).append((plain(column, value), told, pairs[i][1][:300]))
            count = sum(map(len, faults.values())) + len(pairs) - seen
            differ += count
            print(f"{name:<15} {len(pairs):>7} lines, {seen:>7} read, {compared:>7} values equal, {count} differ")
            for column, several in faults.items():
                print(f"    {column}, {len(several)} times: {several[0]}")
    return 1 if differ else 0


sys.exit(main())
