#!/usr/bin/env python3
"""The same work by other engines and by Palisade, in one run: what a million firewall events cost.

usage: w3.py --data DIR --peers DIR --country MMDB [--rounds 3] [--palisade BINARY] [--python PYTHON] [--out DIR]

The work: read PAN-OS log lines of 2 KB of JSON; columns typed; country and threat intelligence (10,000 indicators) of both
addresses; count by source and minute for scans; everything into zstd Parquet. Palisade does more: all columns instead of 60,
identity and OCSF nesting, every rule that ships, Iceberg commits, a ledger with fsync. That is not subtracted.

DIR of --data holds data/panos_traffic.ndjson, data/indicators.csv, data/geo_country.csv and data/geo_country_cidr.csv; DIR of
--peers holds NAME_peer.py scripts that do the work as `NAME_peer.py w3 INPUT OUTDIR` with PEERS_DATA set, and print as their
last line of five numbers: rows, rows with source country, destination country, source indicator, destination indicator. The
same five numbers are read back from Palisade's tables; the run fails if they differ.

Rounds are interleaved (A B C, B C A, ...), the input is in the page cache. Costs are CPU seconds, user and system, of the
process and its children (wait4), so that a busy machine measures nearly the same; wall time and memory stand beside them.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from engines import measured, parser, print_costs, resolved, rounds

FIGURES = ["src_country", "dst_country", "src_intel_category", "dst_intel_category"]


def arguments():
    own = parser(__doc__, "polars,chdb")
    own.add_argument("--country", type=pathlib.Path, required=True, help="MMDB that the peers' ranges were made from")
    args = resolved(own.parse_args())
    args.country = args.country.resolve()
    return args


def run_peer(name, args):
    log = args.out / f"{name}.log"
    command = [args.python, str(args.peers / f"{name}_peer.py"), "w3", str(args.input), str(args.out)]
    figures = measured(command, log, {**os.environ, "PEERS_DATA": str(args.data)})
    lines = [re.findall(r"\b\d+\b", line) for line in log.read_text(errors="replace").splitlines()]
    return figures, [int(n) for n in [line for line in lines if len(line) == 5][-1]]


def run_palisade(args):
    warehouse, config = args.out / "warehouse", args.out / "palisade.yaml"
    shutil.rmtree(warehouse, ignore_errors=True)
    config.write_text(
        f"warehouse: {{path: {warehouse}}}\n"
        f"sources: [{{name: firewall, tenant: acme, files: {{paths: ['{args.input}']}}}}]\n"
        f"enrich: {{country: '{args.country}', intel: ['{args.data}/data/indicators.csv']}}\n"
    )
    figures = measured([str(args.palisade), "run", "--until-end", "--output", "json", "-c", str(config)], args.out / "palisade.log")
    return figures, read_back(args.palisade, warehouse)


def read_back(palisade, warehouse):
    """Rows with each figure, alerts of Palisade's own left out."""
    enriched = query(palisade, warehouse, "SELECT table_name FROM information_schema.columns WHERE column_name = 'src_country'")
    counts = ", ".join(["count(*) AS events", *(f"count({figure}) AS {figure}" for figure in FIGURES)])
    tables = [
        query(palisade, warehouse, f"SELECT {counts} FROM {row['table_name']} WHERE _topic NOT LIKE '\\_%' ESCAPE '\\'")[0]
        for row in enriched
    ]
    return [sum(table[name] for table in tables) for name in ["events", *FIGURES]]


def query(palisade, warehouse, sql):
    command = [str(palisade), "sql", "--output", "json", "--warehouse", str(warehouse), sql]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    engines = {name: (lambda name=name: run_peer(name, args)) for name in args.names.split(",") if name}
    engines["palisade"] = lambda: run_palisade(args)
    runs, counts = rounds(engines, args.rounds, [args.input])
    print_costs(runs, counts["palisade"][0], args.input.stat().st_size)
    print(f"\nrows, source country, destination country, source indicator, destination indicator: {counts['palisade']}")
    if differing := {name: found for name, found in counts.items() if found != counts["palisade"]}:
        sys.exit(f"the engines disagree: {differing}")


if __name__ == "__main__":
    main()
