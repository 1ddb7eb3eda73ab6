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
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

FIGURES = ["src_country", "dst_country", "src_intel_category", "dst_intel_category"]


def arguments():
    target = os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parent.parent / "target")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with data/panos_traffic.ndjson and tables")
    parser.add_argument("--peers", type=pathlib.Path, required=True, help="folder with NAME_peer.py scripts")
    parser.add_argument("--names", default="polars,chdb", help="peers to run (default: %(default)s)")
    parser.add_argument("--country", type=pathlib.Path, required=True, help="MMDB that the peers' ranges were made from")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--palisade", type=pathlib.Path, default=pathlib.Path(target) / "release/palisade")
    parser.add_argument("--python", default=sys.executable, help="Python that has the peers")
    parser.add_argument("--out", type=pathlib.Path, help="where everybody writes (default: out/ in --data)")
    args = parser.parse_args()
    args.data, args.peers, args.country = args.data.resolve(), args.peers.resolve(), args.country.resolve()
    args.out = (args.out or args.data / "out").resolve()
    args.input = args.data / "data/panos_traffic.ndjson"
    return args


def measured(command, log, env=None):
    """Runs a command to its end: CPU seconds, wall seconds, MiB at most."""
    with open(log, "wb") as output:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
    if status != 0:
        sys.exit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}:\n{log.read_text(errors='replace')[-2000:]}")
    return {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "mib": used.ru_maxrss / 1024}


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


def read_into_page_cache(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    engines = {name: (lambda name=name: run_peer(name, args)) for name in args.names.split(",") if name}
    engines["palisade"] = lambda: run_palisade(args)
    runs, counts = {name: [] for name in engines}, {}
    for number in range(args.rounds):
        order = list(engines)
        order = order[number % len(order):] + order[: number % len(order)]
        for name in order:
            read_into_page_cache(args.input)
            figures, counts[name] = engines[name]()
            runs[name].append(figures)
            print(f"round {number + 1}: {name}: {figures['cpu']:.2f} CPU-s, {figures['wall']:.2f} s", flush=True)
    events = counts["palisade"][0]
    print(f"\n{events:,} events, {args.input.stat().st_size / events:,.0f} bytes each; {os.cpu_count()} cores\n")
    print("| engine | CPU-s / M events: median (least - most) | events / CPU-s | MB/s of input | wall s | MiB |")
    print("|---|---|---|---|---|---|")
    for name, figures in runs.items():
        cpu = sorted(run["cpu"] / events * 1e6 for run in figures)
        wall, median = statistics.median(run["wall"] for run in figures), statistics.median(cpu)
        rate = args.input.stat().st_size / 1e6 / wall
        mib = max(run["mib"] for run in figures)
        print(f"| {name} | {median:.2f} ({cpu[0]:.2f} - {cpu[-1]:.2f}) | {1e6 / median:,.0f} | {rate:,.0f} | {wall:.1f} | {mib:,.0f} |")
    print(f"\nrows, source country, destination country, source indicator, destination indicator: {counts['palisade']}")
    if differing := {name: found for name, found in counts.items() if found != counts["palisade"]}:
        sys.exit(f"the engines disagree: {differing}")


if __name__ == "__main__":
    main()
