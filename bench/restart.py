#!/usr/bin/env python3
"""How long after SIGKILL a restarted worker stores its first new row, with a million keys in an open window.

usage: restart.py [--palisade BINARY] [--keys 1000000] [--state-interval 10,60] [--rounds 3] [--out DIR]

A worker follows a file of FortiGate lines, each from a source address of its own, under one rule that counts by source in windows of
an hour; then the same sources again and again, RATE lines a second, for as long as the state interval says, so that what a restart
has to redo is as much as it can be; then SIGKILL. A line is appended and the worker started again: until it says that it is ready, until
its /metrics tell of the first row committed, until they tell of the first merge step, which windows are ready for: state loaded, all later steps
done again. Flush, commit and step intervals are a second, so up to two of those seconds are theirs.
"""
import argparse
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request

RULE = """title: Sources by the hour
id: 3b0b6d0e-8f55-4a57-9d0c-0d5d2f0d9a77
version: 1
level: low
sql: |
  SELECT window_start, window_end, src_ip, count(*) AS n
  FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' HOUR)
  GROUP BY window_start, window_end, src_ip
  HAVING count(*) > 1000000
"""
RATE = 20_000
START = 1_795_168_800  # 2026-11-20T10:00:00Z


def line(second, key):
    clock = time.strftime("date=%Y-%m-%d time=%H:%M:%S", time.gmtime(START + second))
    return (
        f'{clock} devname="fw-1" devid="FG100" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" '
        f'eventtime={START + second}000000000 tz="+0000" srcip=10.{key >> 16 & 255}.{key >> 8 & 255}.{key & 255} srcport=40000 '
        f'dstip=192.0.2.10 dstport=443 proto=6 action="accept" service="HTTPS" sentbyte=100 rcvdbyte=200\n'
    )


def config(folder, interval):
    (folder / "rule.yaml").write_text(RULE)
    path = folder / "palisade.yaml"
    path.write_text(
        "warehouse: {path: warehouse}\n"
        "sources: [{name: fw, tenant: acme, files: {paths: ['logs/*.log'], partitions: 1}}]\n"
        "rules: {builtin: false, paths: [rule.yaml]}\n"
        f"worker: {{flush_interval: 1s, commit_interval: 1s, step_interval: 1s, state_interval: {interval}s, disorder: 2h}}\n"
        "telemetry: {listen: '127.0.0.1:0'}\n"
    )
    return path


class Worker:
    def __init__(self, binary, path):
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "--log", "info", "run", "-c", path], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.log = []
        for text in self.process.stderr:
            self.log.append(text)
            if found := re.search(r"metrics: (http://[0-9.:]+/metrics)", text):
                self.metrics = found[1]
            if "the worker is ready" in text:
                break
        else:
            raise SystemExit("the worker ended:\n" + "".join(self.log))
        self.ready = time.monotonic() - self.started

    def figure(self, name):
        with urllib.request.urlopen(self.metrics) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(text.rsplit(" ", 1)[1]) for text in lines if re.match(name + r"[ {}]", text))

    def until(self, reached):
        while not reached():
            if self.process.poll() is not None:
                raise SystemExit("the worker ended:\n" + "".join(self.log + self.process.stderr.readlines()))
            time.sleep(0.02)

    def committed(self):
        return self.figure("palisade_events_committed_total")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def measure(args, interval, folder):
    (folder / "logs").mkdir(parents=True)
    path = config(folder, interval)
    sent = 0
    with open(folder / "logs/fw.log", "a", buffering=1 << 20) as log:
        log.writelines(line(0, key) for key in range(args.keys))
        sent += args.keys
        log.flush()
        worker = Worker(args.palisade, path)
        worker.until(lambda: worker.committed() >= sent)
        begun, steps = time.monotonic(), 0
        while time.monotonic() - begun < interval + 2:
            steps += 1
            log.writelines(line(steps, (sent + n) % args.keys) for n in range(RATE))
            log.flush()
            sent += RATE
            time.sleep(max(0.0, begun + steps - time.monotonic()))
        state = worker.figure("palisade_window_state_bytes")
        worker.kill()
        log.write(line(steps + 1, 0))
        log.flush()
    worker = Worker(args.palisade, path)
    times = {}

    def both():
        for name, metric in (("row", "palisade_events_committed_total"), ("step", 'palisade_ledger_entries_total.*"merge"')):
            if name not in times and worker.figure(metric) > 0:
                times[name] = time.monotonic() - worker.started
        return len(times) == 2

    worker.until(both)
    worker.kill()
    return {"ready": worker.ready, **times, "state_mb": state / 1e6, "lines": sent}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--palisade", default="target/release/palisade")
    args.add_argument("--keys", type=int, default=1_000_000)
    args.add_argument("--state-interval", default="10,60")
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--out", type=pathlib.Path)
    args = args.parse_args()
    out = args.out or pathlib.Path(tempfile.mkdtemp(prefix="palisade-restart-"))
    print("state interval   round   state MB   ready s   first new row s   first step s")
    for interval in map(int, args.state_interval.split(",")):
        rows = []
        for nth in range(args.rounds):
            folder = out / f"{interval}-{nth}"
            shutil.rmtree(folder, ignore_errors=True)
            got = measure(args, interval, folder)
            rows.append(got)
            print(f"{interval:14} {nth:7} {got['state_mb']:10.0f} {got['ready']:9.2f} {got['row']:17.2f} {got['step']:14.2f}", flush=True)
            shutil.rmtree(folder)
        for name in ("ready", "row", "step"):
            values = [row[name] for row in rows]
            print(f"{interval:14}  {name}: median {statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
