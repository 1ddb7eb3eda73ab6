#!/usr/bin/env python3
"""Kafka to Iceberg: what an event costs, how fast messages come out of Kafka, and how long a commit takes on each catalog.

usage: kafka.py [--palisade BINARY] [--events 1000000] [--partitions 8] [--rounds 3] [--seconds 60] [--rate 5000]
                [--parts fetch,throughput,latency]

Starts Apache Kafka (KRaft), an S3 server and Iceberg's REST catalog on loopback, as `.ci/setup` caches them, and stops them.

1. fetch: `cargo bench --workspace --bench kafka` on that broker.
2. throughput: a topic of EVENTS events of a mixed fleet (`palisade loadgen`), read to its end by `palisade run --until-end` in ROUNDS rounds for
   each warehouse, in turn: CPU seconds of that process alone, every rule on, every column, country and intelligence.
3. latency: for each warehouse a worker that follows a topic at RATE events a second for SECONDS seconds and commits every second: percentiles of a
   committer's turn over all tables, from the worker's own histogram, linear within a bucket.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from engines import measured

HERE = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "palisade"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush-hush", "AWS_REGION": "us-east-1"}


def libraries(name):
    """The jars that `.ci/setup` copied."""
    return str(max((CACHE / name).glob("*/libs")) / "*")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Servers:
    def __init__(self, folder):
        self.folder, self.running = folder, []
        self.kafka = f"127.0.0.1:{self.start_kafka()}"
        self.s3 = f"http://127.0.0.1:{self.start_s3()}"

    def start(self, name, command, port, env=None):
        log = open(self.folder / f"{name}.log", "wb")
        self.running.append(subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})}))
        for _ in range(600):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            time.sleep(0.1)
        sys.exit(f"{name} does not answer: {self.folder / name}.log")

    def start_kafka(self):
        port, controller, config = free_port(), free_port(), self.folder / "server.properties"
        config.write_text(
            "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"
            f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n"
            f"log.dirs={self.folder / 'kafka'}\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            "share.coordinator.state.topic.replication.factor=1\n"
        )
        java = ["java", "-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", libraries("kafka")]
        formatted = [*java, "kafka.tools.StorageTool", "format", "--standalone", "-t", "UGFsaXNhZGVCZW5jaCsrKw", "-c", config]
        subprocess.run(formatted, check=True, stdout=subprocess.DEVNULL)
        self.start("kafka", [*java, "kafka.Kafka", config], port)
        time.sleep(3)  # it listens before it has elected itself
        return port

    def start_s3(self):
        port = free_port()
        (self.folder / "objects/lake").mkdir(parents=True)
        (self.folder / "attributes").mkdir()
        command = [CACHE / "bin/versitygw", "--access", "key", "--secret", "hush-hush", "--quiet", "--port", f"127.0.0.1:{port}", "posix"]
        return self.start("s3", [*command, "--sidecar", self.folder / "attributes", self.folder / "objects"], port)

    def start_catalog(self, name):
        """A catalog of its own: tables of two warehouses have the same names."""
        port = free_port()
        env = {
            "CATALOG_URI": f"jdbc:sqlite:{self.folder / name}.db",
            "CATALOG_WAREHOUSE": "s3://lake/",
            "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO",
            "CATALOG_S3_ENDPOINT": self.s3,
            "CATALOG_S3_PATH__STYLE__ACCESS": "true",
            "CATALOG_REST_PORT": str(port),
        }
        java = ["java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", libraries("iceberg-rest")]
        return self.start(name, [*java, "org.apache.iceberg.rest.RESTCatalogServer"], port, {**KEYS, **env})

    def stop(self):
        for server in self.running:
            server.kill()
            server.wait()


class Bench:
    def __init__(self, args, servers, folder):
        self.args, self.servers, self.folder = args, servers, folder

    def warehouses(self, run):
        remote = (
            f"path: s3://lake/{run}, storage: {{endpoint: '{self.servers.s3}', allow_http: true}}, "
            f"catalog: {{type: rest, uri: 'http://127.0.0.1:{self.servers.start_catalog(run)}'}}"
        )
        return {"local files, SQLite": f"path: {self.folder / run}", "S3, REST": remote}

    def config(self, warehouse, topic, worker):
        path = self.folder / "palisade.yaml"
        path.write_text(
            f"warehouse: {{{warehouse}}}\n"
            f"sources: [{{name: firewall, tenant: acme, kafka: {{brokers: '{self.servers.kafka}', topic: {topic}, group: bench}}}}]\n"
            "enrich: {country: builtin, intel: [builtin]}\n"
            f"worker: {{{worker}}}\ntelemetry: {{listen: '127.0.0.1:0'}}\n"
        )
        return path

    def fill(self, topic, *how):
        command = [self.args.palisade, "loadgen", "--topic", topic, "--seed", "7", "--tenants", "2", *how]
        command += ["--partitions", str(self.args.partitions), "--kafka", self.servers.kafka, "--out", self.folder / f"truth-{topic}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def throughput(self):
        filled = self.fill("bulk", "--events", str(self.args.events))
        if filled.wait() != 0:
            sys.exit(f"loadgen ended with {filled.returncode}")
        size = sum(path.stat().st_size for path in (self.folder / "kafka").glob("bulk-*/*.log"))
        costs = {}
        for turn in range(self.args.rounds):
            for name, warehouse in self.warehouses(f"bulk{turn}").items():
                config = self.config(warehouse, "bulk", "")
                command = [str(self.args.palisade), "run", "--until-end", "--output", "json", "-c", str(config)]
                figures = measured(command, self.folder / "run.log", {**os.environ, **KEYS})
                costs.setdefault(name, []).append(figures)
                shutil.rmtree(self.folder / f"bulk{turn}", ignore_errors=True)
                print(f"round {turn}: {name}: {figures['cpu']:.2f} CPU-s, {figures['wall']:.2f} s", flush=True)
        print(f"\n{self.args.events:,} events in {self.args.partitions} partitions, {size / self.args.events:,.0f} bytes each in Kafka's log\n")
        print("| warehouse | CPU-s / M events: median (least - most) | events / CPU-s | wall s | MiB |\n|---|---|---|---|---|")
        for name, runs in costs.items():
            cpu = sorted(run["cpu"] / self.args.events * 1e6 for run in runs)
            wall, mib = statistics.median(run["wall"] for run in runs), max(run["mib"] for run in runs)
            median = statistics.median(cpu)
            print(f"| {name} | {median:.2f} ({cpu[0]:.2f} - {cpu[-1]:.2f}) | {1e6 / median:,.0f} | {wall:.1f} | {mib:,.0f} |")

    def latency(self):
        print("\n| warehouse | turns | p50 s | p99 s | tables' commits |\n|---|---|---|---|---|")
        for nth, (name, warehouse) in enumerate(self.warehouses("live").items()):
            topic = f"live{nth}"
            sent = self.fill(topic, "--rate", str(self.args.rate), "--duration", f"{self.args.seconds}s")
            time.sleep(2)
            config = self.config(warehouse, topic, "flush_interval: 1s, commit_interval: 1s")
            command = [self.args.palisade, "--log", "info", "run", "-c", config]
            worker = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, **KEYS})
            metrics = next(found[1] for line in worker.stderr if (found := re.search(r"metrics: (http://[0-9.:]+/metrics)", line)))
            sent.wait()
            text = urllib.request.urlopen(metrics).read().decode()
            worker.send_signal(signal.SIGTERM)
            worker.communicate()
            buckets = re.findall(r'palisade_commit_duration_seconds_bucket\{[^}]*le="([^"]+)"\} (\d+)', text)
            buckets = [(float(bound), int(count)) for bound, count in buckets]
            commits = sum(int(n) for n in re.findall(r'palisade_table_commits_total\{outcome="committed"[^}]*\} (\d+)', text))
            turns = buckets[-1][1]
            print(f"| {name} | {turns} | {quantile(buckets, 0.5):.3f} | {quantile(buckets, 0.99):.3f} | {commits} |", flush=True)


def quantile(buckets, share):
    """Linear within the bucket, as Prometheus does."""
    wanted, below, bound = share * buckets[-1][1], 0, 0.0
    for upper, count in buckets:
        if count >= wanted:
            return bound if upper == float("inf") else bound + (upper - bound) * (wanted - below) / max(count - below, 1)
        below, bound = count, upper
    return bound


def main():
    target = os.environ.get("CARGO_TARGET_DIR", HERE / "target")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--palisade", type=pathlib.Path, default=pathlib.Path(target) / "release/palisade")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--parts", default="fetch,throughput,latency", help="which to run (default: %(default)s)")
    args = parser.parse_args()
    args.palisade = args.palisade.resolve()
    with tempfile.TemporaryDirectory(prefix="palisade-kafka-") as name:
        folder = pathlib.Path(name)
        servers = Servers(folder)
        try:
            if "fetch" in args.parts:
                fetch = ["cargo", "bench", "--locked", "--workspace", "--bench", "kafka", "--", servers.kafka]
                subprocess.run(fetch, check=True, cwd=HERE)
            bench = Bench(args, servers, folder)
            if "throughput" in args.parts:
                bench.throughput()
            if "latency" in args.parts:
                bench.latency()
        finally:
            servers.stop()


if __name__ == "__main__":
    main()
