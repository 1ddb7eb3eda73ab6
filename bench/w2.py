#!/usr/bin/env python3
"""Windows by other engines and by Palisade, in one run: what a million firewall events cost.

usage: w2.py --data DIR --peers DIR [--names chdb,flink] [--rounds 3] [--palisade BINARY] [--python PYTHON] [--out DIR]

The work: read PAN-OS log lines of 2 KB of JSON; in windows of a minute by source, count, the sum of bytes, exactly how many ports
and how many destinations; which sources touched more than 500 ports. The peers parse the five fields that this asks for; Palisade
decodes every field into OCSF, as `palisade rules run` does with any rule. That is not subtracted.

DIR of --data holds data/panos_traffic.ndjson and, for Flink, which does not divide a file, the same as data/split2/*; DIR of --peers
holds chdb_peer.py, duckdb_peer.py, polars_peer.py (`NAME_peer.py w2 INPUT OUTDIR`) and flink.py (`flink.py w2 FOLDER`), run with
PEERS_DATA set. From what each prints, (source, count, bytes, ports, destinations) of each find is read; the run fails if they differ.

Costs are CPU seconds, user and system, of the process and its children, start-up included, a JVM's too.
"""
import json
import os
import re
import sys

from engines import measured, parser, print_costs, resolved, rounds

RULE = """title: Ports scanned by one source in a minute
id: 5c0f3f0e-5b0a-4c8b-9a57-0d4d2f0d9a10
version: 1
level: medium
sql: |
  SELECT window_start, window_end, src_ip, count(*) AS n, sum(traffic.bytes) AS bytes, count(DISTINCT dst_port) AS ports,
         count(DISTINCT dst_ip) AS hosts
  FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
  GROUP BY window_start, window_end, src_ip
  HAVING count(DISTINCT dst_port) > 500
"""


def arguments():
    return resolved(parser(__doc__, "chdb,flink").parse_args())


def run_peer(name, args):
    script = [f"{args.peers}/flink.py", "w2", f"{args.data}/data/split2"]
    if name != "flink":
        script = [f"{args.peers}/{name}_peer.py", "w2", str(args.input), str(args.out)]
    log = args.out / f"{name}.log"
    figures = measured([args.python, *script], log, {**os.environ, "PEERS_DATA": str(args.data)})
    return figures, {found for found in map(of_line, log.read_text(errors="replace").splitlines()) if found}


def of_line(line):
    """An address, and the four numbers behind it."""
    found = re.search(r"\b(\d+\.\d+\.\d+\.\d+)\W+(\d+)\W+(\d+)\W+(\d+)\W+(\d+)\b", line)
    return found and (found[1], *map(int, found.groups()[1:]))


def run_palisade(args):
    rule, log = args.out / "ports.yaml", args.out / "palisade.log"
    rule.write_text(RULE)
    command = [str(args.palisade), "rules", "run", "--rules", str(rule), "--events", str(args.input)]
    figures = measured(command, log)
    groups = [json.loads(line)["group"] for line in log.read_text().splitlines() if line.startswith("{")]
    return figures, {(g["src_ip"], g["n"], g["bytes"], g["ports"], g["hosts"]) for g in groups}


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    engines = {name: (lambda name=name: run_peer(name, args)) for name in args.names.split(",") if name}
    engines["palisade"] = lambda: run_palisade(args)
    with open(args.input, "rb") as file:
        events = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 24), b""))
    runs, found = rounds(engines, args.rounds, [args.input])
    print_costs(runs, events, args.input.stat().st_size)
    print(f"\nsource, events, bytes, ports, destinations: {sorted(found['palisade'])}")
    if differing := {name: finds for name, finds in found.items() if finds != found["palisade"]}:
        sys.exit(f"the engines disagree: {differing}")


if __name__ == "__main__":
    main()
