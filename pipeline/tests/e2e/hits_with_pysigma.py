"""Sigma rules over raw JSON logs by pySigma and SQLite: an independent judge of `palisade rules run`.

usage: hits_with_pysigma.py RULES_FOLDER EVENTS_FILE

Prints a JSON line a hit, {"rule_id", "line"}, and on stderr which rules pySigma cannot turn into SQL. Events are one JSON document a
line. Each field that the rules name is a column: the values at its path, through lists, as text; an object as JSON;
an empty text is none, as decoders drop it. Columns compare without case, as Sigma does.
"""

import glob
import json
import re
import sqlite3
import sys

from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.rule import SigmaDetection, SigmaDetectionItem
from sigma.types import SigmaFieldReference as Reference


def fields(detection):
    for item in detection.detection_items:
        if isinstance(item, SigmaDetection):
            yield from fields(item)
        elif isinstance(item, SigmaDetectionItem):
            if item.field:
                yield item.field
            yield from (value.field for value in item.value if isinstance(value, Reference))


def rules(folder):
    """Id, fields and SQL of each rule that has SQL."""
    backend = sqliteBackend()
    for path in sorted(glob.glob(f"{folder}/**/*.yml", recursive=True)):
        with open(path, encoding="utf-8") as file:
            collection = SigmaCollection.from_yaml(file.read())
        for rule in collection.rules:
            try:
                queries = backend.convert_rule(rule)
            except Exception as error:  # the backend has many kinds
                print(f"{path}: {error}", file=sys.stderr)
                continue
            named = {f for detection in rule.detection.detections.values() for f in fields(detection)}
            yield str(rule.id), named, queries


def values(node, path):
    if isinstance(node, list):
        for element in node:
            yield from values(element, path)
    elif not path:
        if node is not None and node != "":
            yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            if path == key:
                yield from values(value, "")
            elif path.startswith(f"{key}."):
                yield from values(value, path[len(key) + 1 :])


def text(found):
    if isinstance(found, bool):
        return "true" if found else "false"
    return found if isinstance(found, str) else json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def cell(event, field):
    found = list(values(event, field))
    if not found:
        return None
    return text(found[0]) if len(found) == 1 else text([text(f) for f in found])


def main():
    folder, events = sys.argv[1:]
    all_rules = list(rules(folder))
    columns = sorted({field for _, named, _ in all_rules for field in named})
    database = sqlite3.connect(":memory:")
    database.create_function("regexp", 2, lambda pattern, value: value is not None and bool(re.search(pattern, str(value))))
    names = ", ".join(f"`{column}` TEXT COLLATE NOCASE" for column in columns)
    database.execute(f"CREATE TABLE logs (line INTEGER, {names})")
    with open(events, encoding="utf-8") as file:
        for line, document in enumerate(file):
            try:
                event = json.loads(document)
            except json.JSONDecodeError:
                continue
            row = [line, *(cell(event, column) for column in columns)]
            database.execute(f"INSERT INTO logs VALUES ({','.join('?' * len(row))})", row)
    for uid, _, queries in all_rules:
        lines = {row[0] for query in queries for row in database.execute(query.replace("SELECT *", "SELECT line", 1))}
        for line in sorted(lines):
            print(json.dumps({"rule_id": uid, "line": line}))


main()
