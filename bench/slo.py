#!/usr/bin/env python3
"""Whether the promises hold: a worker that follows Kafka at 70 % and at 130 % of what this machine can do.

usage: slo.py [--palisade BINARY] [--maximum EVENTS] [--probe 60] [--steady 600] [--beyond 300] [--partitions 8]

Worker, broker and load generator share the machine, and Prometheus with the rules of dashboards/prometheus scrapes the worker.

1. maximum: 50,000 records wait in Kafka for each of PROBE seconds; the events a second that become queryable while they do, beside a load
   generator that sends half as many to another topic. Not measured again if --maximum says it.
2. steady: 70 % of that for STEADY seconds. The share of events that are queryable within 30 s, and of alerts that are durable within 10 s.
3. beyond: 130 % for BEYOND seconds; left out if that is 0. The lag grows and the budget burns: when PalisadeFreshnessBurn fires is told.
   Then the rest is read.

The load of 2 and 3 comes to a worker that is at work: a thousand events a second go before it for 20 seconds, while it joins its group.

After 2 and 3 `palisade loadgen score` looks for every event of the generator's log in the tables.
"""
import argparse
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from kafka import CACHE, HERE, Servers, free_port

# Before a load, seconds and events a second: until the worker has joined its group.
AHEAD, TRICKLE = 20, 1_000

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


class Worker:
    """A worker of its own warehouse and topic, and what it says of itself."""

    def __init__(self, args, servers, folder, topic):
        self.args, self.servers, self.folder, self.topic = args, servers, folder, topic
        self.port, self.warehouse = free_port(), folder / f"warehouse-{topic}"
        self.config = folder / f"{topic}.yaml"
        self.config.write_text(
            f"warehouse: {{path: {self.warehouse}, files_per_day_max: 1000000000}}\n"
            f"sources: [{{name: {topic}, tenant: acme, kafka: {{brokers: '{servers.kafka}', topic: {topic}, group: {topic}}}}}]\n"
            "enrich: {country: builtin, intel: [builtin]}\n"
            f"worker: {{flush_interval: 2s, commit_interval: 5s, step_interval: 1s}}\ntelemetry: {{listen: '127.0.0.1:{self.port}'}}\n"
        )

    def start(self):
        log = open(self.folder / f"{self.topic}.log", "wb")
        self.process = subprocess.Popen([self.args.palisade, "run", "-c", self.config], stdout=log, stderr=log)
        while True:
            try:
                if urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready").status == 200:
                    return self
            except OSError:
                time.sleep(0.2)

    def metrics(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics").read().decode()
        return [(m[1], m[2] or "", float(m[3])) for m in map(SAMPLE.match, text.splitlines()) if m]

    def total(self, name, having=""):
        return sum(value for series, labels, value in self.metrics() if series == name and having in labels)

    def share(self, name, seconds):
        """Of a histogram's values, those within a bound that it has."""
        within = self.total(f"{name}_bucket", f'le="{seconds}"')
        count = self.total(f"{name}_count")
        return within, count

    def lag(self):
        return self.total("palisade_source_lag_records")

    def latency(self):
        return json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status"))["latency_ms"]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait() != 0:
            sys.exit(f"the worker of {self.topic} ended with {self.process.returncode}")

    def score(self):
        """Every event of the generator's log, looked for in the tables."""
        command = [self.args.palisade, "loadgen", "score", "--output", "json", "--warehouse", self.warehouse]
        told = subprocess.run([*command, "--truth", self.folder / f"truth-{self.topic}"], capture_output=True, text=True)
        if not told.stdout:
            sys.exit(f"loadgen score: {told.stderr}")
        return json.loads(told.stdout)


def fill(args, servers, folder, topic, *how):
    command = [args.palisade, "loadgen", "--topic", topic, "--seed", "7", "--tenants", "2", *how]
    command += ["--partitions", str(args.partitions), "--kafka", servers.kafka, "--out", folder / f"truth-{topic}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


class Prometheus:
    def __init__(self, folder, worker):
        self.port, config = free_port(), folder / "prometheus.yaml"
        config.write_text(
            f"global: {{scrape_interval: 5s, evaluation_interval: 5s}}\nrule_files: ['{HERE}/dashboards/prometheus/rules.yaml']\n"
            f"scrape_configs: [{{job_name: palisade, static_configs: [{{targets: ['127.0.0.1:{worker.port}']}}]}}]\n"
        )
        command = [CACHE / "bin/prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / worker.topic}-prometheus"]
        log = open(folder / "prometheus.log", "wb")
        self.process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)

    def firing(self):
        try:
            answer = json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/alerts"))
        except OSError:
            return set()
        alerts = [a for a in answer["data"]["alerts"] if a["state"] == "firing"]
        return {f"{a['labels']['alertname']} {a['labels'].get('window', '')}".strip() for a in alerts} - {"PalisadeWatchdog"}

    def stop(self):
        self.process.kill()
        self.process.wait()


def maximum(args, servers, folder):
    """Events a second while more waits than is read. A load generator takes its share of the machine meanwhile, as in the other parts."""
    rate = 50_000
    filled = fill(args, servers, folder, "probe", "--events", str(rate * args.probe))
    if filled.wait() != 0:
        sys.exit(f"loadgen ended with {filled.returncode}")
    worker = Worker(args, servers, folder, "probe").start()
    beside = fill(args, servers, folder, "beside", "--rate", str(rate // 2), "--duration", f"{args.probe}s")
    time.sleep(args.probe / 4)
    before, began = worker.total("palisade_queryable_latency_seconds_count"), time.time()
    time.sleep(args.probe / 3)
    most = (worker.total("palisade_queryable_latency_seconds_count") - before) / (time.time() - began)
    if worker.lag() == 0:
        sys.exit(f"everything was read within {args.probe * 7 / 12:.0f} s: fill in more than {rate:,} events a second of the probe")
    for process in (beside, worker.process):
        process.kill()
        process.wait()
    return most


def part(args, servers, folder, topic, rate, seconds):
    """A worker under a constant rate: what became of it."""
    worker = Worker(args, servers, folder, topic)
    curve = folder / f"{topic}.csv"
    curve.write_text(f"0,{TRICKLE}\n{AHEAD},{int(rate)}\n")
    sender, began = fill(args, servers, folder, topic, "--curve", curve, "--duration", f"{AHEAD + seconds}s"), time.time() + AHEAD
    time.sleep(2)  # the topic is there
    worker.start()
    prometheus, fired, peak = Prometheus(folder, worker), {}, 0
    while sender.poll() is None:
        for alert in prometheus.firing() - fired.keys():
            fired[alert] = round(time.time() - began)
        peak = max(peak, worker.lag())
        time.sleep(2)
    if sender.returncode != 0:
        sys.exit(f"loadgen ended with {sender.returncode}")
    left = worker.lag()
    while worker.lag() > 0 or worker.total("palisade_records_in_flight") > 0:
        time.sleep(1)
    (fast, events), (early, alerts) = worker.share("palisade_queryable_latency_seconds", 30), worker.share("palisade_alert_latency_seconds", 10)
    latency = worker.latency()
    worker.stop()
    prometheus.stop()
    score = worker.score()
    print(f"\n{topic}: {rate:,.0f} events/s for {seconds} s")
    print(f"  {events:,.0f} events, {fast / events:.4%} queryable within 30 s (p50 {latency['queryable']['p50'] / 1e3:.1f} s, "
          f"p99 {latency['queryable']['p99'] / 1e3:.1f} s, p99.9 {latency['queryable']['p999'] / 1e3:.1f} s)")
    print(f"  {alerts:,.0f} alerts, {early / max(alerts, 1):.2%} durable within 10 s (p99 {latency['alert']['p99'] / 1e3:.1f} s)")
    print(f"  lag: {peak:,.0f} records at most, {left:,.0f} at the end of the load, 0 after it")
    print(f"  firing, seconds after the start: {fired or 'nothing'}")
    print(f"  of the generator's {score['events_generated']:,} events {score['missing']:,} are missing, {score['doubled']:,} are there twice", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--palisade", type=pathlib.Path, default=HERE / "target/release/palisade")
    parser.add_argument("--maximum", type=int)
    parser.add_argument("--probe", type=int, default=60)
    parser.add_argument("--steady", type=int, default=600)
    parser.add_argument("--beyond", type=int, default=300)
    parser.add_argument("--partitions", type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="palisade-slo-") as folder:
        folder = pathlib.Path(folder)
        servers = Servers(folder)
        try:
            most = args.maximum or maximum(args, servers, folder)
            print(f"maximum: {most:,.0f} events/s become queryable", flush=True)
            part(args, servers, folder, "steady", most * 0.7, args.steady)
            if args.beyond:
                part(args, servers, folder, "beyond", most * 1.3, args.beyond)
        finally:
            servers.stop()


main()
