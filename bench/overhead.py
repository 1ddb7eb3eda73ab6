#!/usr/bin/env python3
"""What measurement costs: CPU seconds of the same run with and without it, in turn.

usage: overhead.py [--palisade BINARY] [--events 1000000] [--rounds 9]

Files of a mixed fleet (`palisade loadgen`) are read to their end with every rule on, into a warehouse on local files. Without
(PALISADE_UNMEASURED=1) no event's latency is noted and no rule's time is taken; counters count in both.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

from engines import measured


def main():
    target = os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parent.parent / "target")
    parser = argparse.ArgumentParser()
    parser.add_argument("--palisade", type=pathlib.Path, default=pathlib.Path(target) / "release/palisade")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="palisade-overhead-") as folder:
        folder = pathlib.Path(folder)
        logs, warehouse, config = folder / "logs", folder / "warehouse", folder / "palisade.yaml"
        subprocess.run([args.palisade, "loadgen", "--events", str(args.events), "--out", logs], check=True)
        sources = "".join(
            f"  - {{name: firewall.{tenant}, tenant: {tenant}, files: {{paths: ['{logs}/firewall.{tenant}-*'], partitions: 2}}}}\n"
            for tenant in ("acme", "globex", "initech")
        )
        config.write_text(f"warehouse: {{path: {warehouse}}}\nsources:\n{sources}enrich: {{country: builtin, intel: [builtin]}}\n")

        def cost(env):
            shutil.rmtree(warehouse, ignore_errors=True)
            command = [args.palisade, "run", "--until-end", "--no-live", "-c", config]
            return measured(command, folder / "run.log", {**os.environ, **env})["cpu"]

        kinds = {"measured": {}, "unmeasured": {"PALISADE_UNMEASURED": "1"}}
        costs = {kind: [] for kind in kinds}
        cost({})  # warm
        for turn in range(args.rounds):
            for kind in list(kinds)[:: 1 if turn % 2 else -1]:
                costs[kind].append(cost(kinds[kind]))
            print(f"round {turn + 1}: " + ", ".join(f"{kind} {costs[kind][-1]:.2f}" for kind in kinds) + " CPU-s", flush=True)
    ratios = sorted(a / b for a, b in zip(costs["measured"], costs["unmeasured"]))
    for kind in kinds:
        print(f"{kind}: median {statistics.median(costs[kind]):.2f} CPU-s ({min(costs[kind]):.2f} to {max(costs[kind]):.2f})")
    print(f"measurement costs {statistics.median(ratios) - 1:+.1%} (pairs: {ratios[0] - 1:+.1%} to {ratios[-1] - 1:+.1%})")


if __name__ == "__main__":
    main()
