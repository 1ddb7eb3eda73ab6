"""What benchmarks beside other engines share: CPU seconds of a command, rounds in turn, a table of the costs."""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time


def parser(description, names):
    """The arguments that all have; `names`: the peers to run by default."""
    target = os.environ.get("CARGO_TARGET_DIR", pathlib.Path(__file__).parent.parent / "target")
    own = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("--data", type=pathlib.Path, required=True, help="folder with data/panos_traffic.ndjson and tables")
    own.add_argument("--peers", type=pathlib.Path, required=True, help="folder with the peers' scripts")
    own.add_argument("--names", default=names, help="peers to run (default: %(default)s)")
    own.add_argument("--rounds", type=int, default=3)
    own.add_argument("--palisade", type=pathlib.Path, default=pathlib.Path(target) / "release/palisade")
    own.add_argument("--python", default=sys.executable, help="Python that has the peers")
    own.add_argument("--out", type=pathlib.Path, help="where everybody writes (default: out/ in --data)")
    return own


def resolved(args):
    """Paths made absolute, and the input's."""
    args.data, args.peers = args.data.resolve(), args.peers.resolve()
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


def rounds(engines, number, paths):
    """Runs each engine so many times, in turn (A B C, B C A, ...): figures of each run, and what each engine found last."""
    runs, found = {name: [] for name in engines}, {}
    for turn in range(number):
        order = list(engines)
        order = order[turn % len(order):] + order[: turn % len(order)]
        for name in order:
            for path in paths:
                read_into_page_cache(path)
            figures, found[name] = engines[name]()
            runs[name].append(figures)
            print(f"round {turn + 1}: {name}: {figures['cpu']:.2f} CPU-s, {figures['wall']:.2f} s", flush=True)
    return runs, found


def print_costs(runs, events, size):
    print(f"\n{events:,} events, {size / events:,.0f} bytes each; {os.cpu_count()} cores\n")
    print("| engine | CPU-s / M events: median (least - most) | events / CPU-s | MB/s of input | wall s | MiB |")
    print("|---|---|---|---|---|---|")
    for name, figures in runs.items():
        cpu = sorted(run["cpu"] / events * 1e6 for run in figures)
        wall, median = statistics.median(run["wall"] for run in figures), statistics.median(cpu)
        mib = max(run["mib"] for run in figures)
        print(f"| {name} | {median:.2f} ({cpu[0]:.2f} - {cpu[-1]:.2f}) | {1e6 / median:,.0f} | {size / 1e6 / wall:,.0f} | {wall:.1f} | {mib:,.0f} |")


def read_into_page_cache(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass
