#!/usr/bin/env python3
"""A capacity plan beside runs that it has not seen: cpu-seconds a million events, predicted and measured.

usage: plan.py [--palisade BINARY] [--calibration FILE] [--events 600000] [--rounds 3] [--seed N]

Fleets of other seeds and other mixes of formats than the calibration's are read to their end by `palisade run`, round by round
in turn, with the settings of `palisade plan --calibrate` (two partitions a tenant, flush and commit every two seconds). What a
run without events costs, the start, is taken off, as the plan does. The plan is asked for each mix: `cores_busy` over
the rate. Prints a line a fleet: predicted, measured (median, least, greatest) and measured over predicted; exits with 1 if one
is off by more than a fifth.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

TENANTS = ["acme", "globex", "initech"]
# Shares that a fleet's profile and the plan's --formats have alike; none: the fleet as it is without a profile.
MIXES = {
    "default": None,
    "PAN-OS CSV": {"panos_csv": 100},
    "Strata and CloudTrail": {"strata_json": 50, "cloudtrail": 50},
}


def cpu_seconds(command):
    """CPU seconds of a command, user and system, and what it printed."""
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            sys.exit(f"{command}: status {status}")
        out.seek(0)
        return usage.ru_utime + usage.ru_stime, out.read().decode()


def configuration(path, logs, warehouse):
    sources = "".join(
        f"  - name: firewall.{t}\n    tenant: {t}\n    files: {{paths: ['{logs}/firewall.{t}-*'], partitions: 2}}\n"
        for t in TENANTS
    )
    path.write_text(
        f"warehouse:\n  path: {warehouse}\n  files_per_day_max: 1000000000\nsources:\n{sources}"
        "enrich: {country: builtin, intel: [builtin]}\nworker: {flush_interval: 2s, commit_interval: 2s}\n"
    )


class Fleet:
    def __init__(self, args, folder, name, mix, seed):
        self.args, self.name, self.mix, self.folder = args, name, mix, folder / name.replace(" ", "_")
        self.folder.mkdir()
        self.runs = []
        command = [args.palisade, "loadgen", "--seed", str(seed), "--events", str(args.events), "--out", str(self.folder / "logs")]
        if mix:
            profile = self.folder / "profile.yaml"
            profile.write_text(json.dumps({"mix": mix, "flow_logs_per_million": 0}))
            command += ["--profile", str(profile)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self):
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            config = pathlib.Path(folder, "palisade.yaml")
            configuration(config, self.folder / "logs", pathlib.Path(folder, "warehouse"))
            cpu, out = cpu_seconds([self.args.palisade, "--log", "error", "run", "--until-end", "--output", "json", "-c", str(config)])
        summary = json.loads(out)
        self.runs.append((cpu - self.args.start) / summary["events_received"] * 1e6)

    def predicted(self):
        rate = 100_000
        command = [self.args.palisade, "plan", "--calibration", self.args.calibration, "--events-per-second", str(rate)]
        command += ["--peak-factor", "1", "--growth", "0%", "--years", "1", "--output", "json"]
        if self.mix:
            command += ["--formats", ",".join(f"{name}={share}" for name, share in self.mix.items())]
        plan = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return plan["years"][0]["cores_busy"] / rate * 1e6


def start(args, folder):
    """What a run without events costs: the median of three."""
    logs = folder / "none"
    logs.mkdir()
    for tenant in TENANTS:
        (logs / f"firewall.{tenant}-0").touch()
    runs = []
    for round_ in range(3):
        config = folder / "start.yaml"
        configuration(config, logs, folder / f"start{round_}")
        runs.append(cpu_seconds([args.palisade, "--log", "error", "run", "--until-end", "--output", "json", "-c", str(config)])[0])
    return statistics.median(runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--palisade", default="target/release/palisade")
    parser.add_argument("--calibration", default="calibration.yaml")
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        args.start = start(args, folder)
        print(f"seed {args.seed}; the start costs {args.start:.2f} cpu-seconds")
        fleets = [Fleet(args, folder, name, mix, args.seed + n) for n, (name, mix) in enumerate(MIXES.items())]
        for round_ in range(args.rounds):
            for n in range(len(fleets)):
                fleets[(round_ + n) % len(fleets)].run()
        is_off = False
        for fleet in fleets:
            predicted, measured = fleet.predicted(), statistics.median(fleet.runs)
            ratio = measured / predicted
            is_off |= abs(ratio - 1) > 0.2
            print(
                f"{fleet.name}: predicted {predicted:.2f}, measured {measured:.2f} "
                f"({min(fleet.runs):.2f} to {max(fleet.runs):.2f}), ratio {ratio:.2f}"
            )
    sys.exit(is_off)


if __name__ == "__main__":
    main()
