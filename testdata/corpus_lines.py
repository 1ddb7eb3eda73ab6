#!/usr/bin/env python3
"""Real log lines of a corpus folder ($PALISADE_CORPUS/logs/*.ndjson.gz), chosen by what the line is, not by its name.

    corpus_lines.py FAMILY...          {"id", "family", "raw"} a line; the id names the file and line it came from
    corpus_lines.py --raw FAMILY...    the lines themselves, as the device or cloud wrote them

FAMILY: traffic, threat, hipmatch, userid, decryption, correlation (PAN-OS CSV, with or without a syslog header), globalprotect,
system, config (the same, and the JSON of Strata Logging Service), cloudtrail (one event, or a `Records` array).
A line that is none of the families asked for is left out. So is a fragment: a line that names its family but carries no
event time, as anonymized samples and rule tests do. The summary on stderr counts what was printed and the fragments.
Exit 0 if every family asked for was found, 1 if one was not, 2 on usage (no corpus is usage).
The corpus is not part of this repository.
"""

import argparse
import gzip
import json
import os
import pathlib
import re
import sys
from collections import Counter

# `future_use, receive time, serial, type`: the fixed head of every PAN-OS line, after any syslog header.
PAN_OS = re.compile(r"(?:^|[ ,])\d,([^,]*),[^,]*,(TRAFFIC|THREAT|GLOBALPROTECT|SYSTEM|CONFIG|HIPMATCH|USERID|DECRYPTION|CORRELATION),")
PAN_OS_TIME = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d")


STRATA_FAMILIES = {"GLOBALPROTECT", "SYSTEM", "CONFIG"}
FAMILIES = ["traffic", "threat", "globalprotect", "system", "config"]
FAMILIES += ["hipmatch", "userid", "decryption", "correlation", "cloudtrail"]


def document(raw):
    """The JSON object that a line is; None if it is none."""
    try:
        value = json.loads(raw) if raw.lstrip().startswith("{") else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def strata_family(value):
    """The family of a Strata Logging Service document and whether it has a time; None if it is of none."""
    if not value or value.get("LogType") not in STRATA_FAMILIES or not {"DeviceSN", "LogSourceID"} & value.keys():
        return None
    return value["LogType"].lower(), any(value.get(name) for name in ("TimeGenerated", "EventTime"))


def cloudtrail_records(value):
    """The events of a CloudTrail line: one, or those of an object that is nothing but `Records`. Empty if it is none."""
    if not value:
        return []
    records = value.get("Records") if value.keys() == {"Records"} else [value]
    is_event = lambda r: isinstance(r, dict) and {"eventSource", "eventName"} <= r.keys()
    return records if isinstance(records, list) and all(map(is_event, records)) else []


def family_of(raw):
    """The line's family, or that with " fragment" if it has no event time; None for anything else."""
    if pan_os := PAN_OS.search(raw):
        family, whole = pan_os.group(2).lower(), PAN_OS_TIME.fullmatch(pan_os.group(1))
    elif strata := strata_family(value := document(raw)):
        family, whole = strata
    elif records := cloudtrail_records(value):
        family, whole = "cloudtrail", all("eventTime" in record for record in records)
    else:
        return None
    return family if whole else f"{family} fragment"


def raw_line(text):
    """The device's line: the corpus wraps most of them in {id, family, format, raw}; CloudTrail dumps are bare."""
    value = json.loads(text)
    wrapped = isinstance(value, dict) and {"id", "raw"} <= value.keys()
    return value["raw"] if wrapped else text.rstrip("\r\n")


def lines(folder):
    """(id, raw) of every corpus file, in name order."""
    for path in sorted(folder.glob("*.ndjson.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                yield f"{path.name.removesuffix('.ndjson.gz')}:{number}", raw_line(text)


def one_line(raw):
    """JSON documents may be spread over lines: written on one. Other line ends at the end are framing, not content."""
    raw = raw.rstrip("\r\n")
    return json.dumps(json.loads(raw), ensure_ascii=False, separators=(",", ":")) if "\n" in raw else raw


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="+", choices=FAMILIES, metavar="FAMILY")
    parser.add_argument("--raw", action="store_true", help="the lines themselves, without id")
    options = parser.parse_args()
    corpus = os.environ.get("PALISADE_CORPUS")
    folder = pathlib.Path(corpus or "") / "logs"
    if not corpus or not folder.is_dir():
        parser.error(f"PALISADE_CORPUS: {corpus!r} has no folder logs")
    seen = Counter()
    for line_id, raw in lines(folder):
        family = family_of(raw)
        seen[family] += 1
        if family not in options.families:
            continue
        out = one_line(raw)
        print(out if options.raw else json.dumps({"id": line_id, "family": family, "raw": out}, ensure_ascii=False))
    asked = {family: n for family, n in seen.items() if family and family.split()[0] in options.families}
    print(json.dumps(asked), file=sys.stderr)
    return 0 if all(seen[family] for family in options.families) else 1


if __name__ == "__main__":
    sys.exit(main())
