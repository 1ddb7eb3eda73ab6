#!/usr/bin/env python3
"""The enum columns of the tables -> ingest/src/normalize/ocsf.enums, from the schema packaged in `ocsf-json-schema`.

stdout: a line an enum: tables that have it (with commas), the column's path, then `id=Caption` divided by `; `.
"""

import re
import sys
from pathlib import Path

try:
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
except ImportError as missing:
    sys.exit(f"{missing}: run .ci/setup, and this script with its Python (PALISADE_PYTHON)")

COLUMNS = Path(__file__).parent.parent / "dataflow/src/schema"
SCHEMA = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0")).schema.schema


def tables():
    """Table -> the .cols files it is made of, read from the match in mod.rs."""
    source = (COLUMNS / "mod.rs").read_text()
    constants = dict(re.findall(r'const (\w+): &str = include_str!\("(\w+\.cols)"\)', source))
    names = dict(re.findall(r'Table::(\w+) => "(\w+)"', source))
    for table, parts in re.findall(r"Table::(\w+) => &\[(.*)\],", source):
        files = [re.sub(r'.*"(.*)".*', r"\1", part) for part in parts.split(", ")]
        yield names[table], [constants.get(file, file) for file in files]


def enum_of(class_name, path):
    """The enum of an attribute; None if the class has no such attribute or it is no enum."""
    attributes = SCHEMA["classes"][class_name]["attributes"]
    *objects, last = path.replace("[]", "").split(".")
    for name in objects:
        attribute = attributes.get(name)
        if attribute is None:
            return None
        attributes = SCHEMA["objects"][attribute["object_type"]]["attributes"]
    enum = attributes.get(last, {}).get("enum")
    return enum and tuple((int(value), item["caption"]) for value, item in sorted(enum.items(), key=lambda i: int(i[0])))


def main():
    found = {}
    for table, files in tables():
        if table not in SCHEMA["classes"]:
            continue
        lines = [line.split("#")[0].split() for file in files for line in (COLUMNS / file).read_text().splitlines()]
        for path in (words[0] for words in lines if words and words[1] == "i32"):
            enum = enum_of(table, path)
            if enum and path != "class_uid" and path != "category_uid":
                found.setdefault((path, enum), []).append(table)
    print("# OCSF 1.8: the values of the columns that are enums. Made by testdata/ocsf_enums.py.")
    for (path, enum), names in sorted(found.items(), key=lambda item: (item[0][0], item[1])):
        print(",".join(names), path, "; ".join(f"{value}={caption}" for value, caption in enum))


main()
