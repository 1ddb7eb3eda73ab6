"""Compaction, retention and erasure of Palisade's tables with Spark, while workers run. docs/maintenance.md says what is safe.

spark-submit --packages org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.10.1,org.apache.iceberg:iceberg-aws-bundle:1.10.1 \\
    maintain.py --uri https://catalog.example.com/api/catalog --delete network_activity "time < TIMESTAMP '2026-01-01'" --rewrite network_activity

The steps are taken in the order delete, rewrite, manifests, expire, partition, report. Each prints a JSON object a line.
"""
import argparse
import glob
import json
import re

from pyspark.sql import SparkSession

# Modes in which no delete file is left behind: readers that know none see what is deleted no more.
COPY_ON_WRITE = {f"write.{what}.mode": "copy-on-write" for what in ("delete", "update", "merge")}
# Rows that a worker commits while a deletion runs are not its business, and no reason to fail.
ISOLATION = {"write.delete.isolation-level": "snapshot"}
# A worker commits every few seconds; a commit that it overtook is made again rather than the whole rewrite.
RETRIES = {"commit.retry.num-retries": "20"}


def arguments():
    parser = argparse.ArgumentParser(description="Maintains Palisade's tables while workers run.")
    parser.add_argument("--uri", required=True, help="the REST catalog, without /v1")
    parser.add_argument("--catalog-warehouse", help="which of the catalog's warehouses")
    parser.add_argument("--namespace", default="palisade")
    parser.add_argument("--s3-endpoint", help="another server than the cloud's own")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", help="more of Spark's configuration")
    parser.add_argument("--jars", help="a folder of jars, without spark-submit")
    parser.add_argument("--delete", nargs=2, action="append", default=[], metavar=("TABLE", "CONDITION"))
    parser.add_argument("--rewrite", action="append", default=[], metavar="TABLE")
    parser.add_argument("--min-input-files", type=int, default=5, help="files of a day that are worth a rewrite")
    parser.add_argument("--manifests", action="append", default=[], metavar="TABLE")
    parser.add_argument("--expire", nargs=2, action="append", default=[], metavar=("TABLE", "OLDER_THAN"))
    parser.add_argument("--retain-last", type=int, default=100)
    parser.add_argument("--partition", nargs=2, action="append", default=[], metavar=("TABLE", "hour|day|month"), help="while no worker runs")
    parser.add_argument("--report", action="append", default=[], metavar="TABLE", help="rows and files")
    return parser.parse_args()


def session(args):
    catalog = "spark.sql.catalog.palisade"
    builder = SparkSession.builder.appName("palisade-maintenance")
    settings = {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.session.timeZone": "UTC",
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        f"{catalog}.type": "rest",
        f"{catalog}.uri": args.uri,
        f"{catalog}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
    }
    if args.catalog_warehouse:
        settings[f"{catalog}.warehouse"] = args.catalog_warehouse
    if args.s3_endpoint:
        settings |= {f"{catalog}.s3.endpoint": args.s3_endpoint, f"{catalog}.s3.path-style-access": "true"}
    if args.jars:
        settings["spark.driver.extraClassPath"] = ":".join(sorted(glob.glob(f"{args.jars}/*.jar")))
    settings |= dict(pair.split("=", 1) for pair in args.conf)
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


class Maintenance:
    def __init__(self, args):
        self.args = args
        self.spark = session(args)

    def name(self, table):
        return f"palisade.{self.args.namespace}.{table}"

    def prepare(self, table):
        """Properties that maintenance beside workers needs; set once."""
        has = {row.key: row.value for row in self.spark.sql(f"SHOW TBLPROPERTIES {self.name(table)}").collect()}
        wanted = COPY_ON_WRITE | ISOLATION | ({} if int(has.get("commit.retry.num-retries", "0")) > 0 else RETRIES)
        lacking = ", ".join(f"'{key}' = '{value}'" for key, value in wanted.items() if has.get(key) != value)
        if lacking:
            self.spark.sql(f"ALTER TABLE {self.name(table)} SET TBLPROPERTIES ({lacking})")

    def call(self, step, table, sql):
        # Within a statement the table stays as it was found; what workers committed before it is to be seen.
        self.spark.sql(f"REFRESH TABLE {self.name(table)}")
        row = self.spark.sql(sql).first()
        told = row.asDict() if row else {}
        print(json.dumps({"step": step, "table": table} | told, default=str), flush=True)

    def procedure(self, step, table, more=""):
        self.call(step, table, f"CALL palisade.system.{step}(table => '{self.name(table)}'{more})")

    def partition(self, table, unit):
        """Partitions what comes from now on by another unit of time."""
        if unit not in ("hour", "day", "month"):
            raise SystemExit(f"--partition {table}: {unit} is not hour, day or month")
        rows = self.spark.sql(f"DESCRIBE EXTENDED {self.name(table)}").collect()
        now = [row.data_type for row in rows if re.fullmatch(r"Part \d+", row.col_name)]
        self.call("partition", table, f"ALTER TABLE {self.name(table)} REPLACE PARTITION FIELD {now[0]} WITH {unit}s(time) AS time_{unit}")

    def run(self):
        args = self.args
        tables = [t for t, _ in args.delete] + args.rewrite + args.manifests + [t for t, _ in args.expire]
        for table in dict.fromkeys(tables):
            self.prepare(table)
        for table, condition in args.delete:
            self.call("delete", table, f"DELETE FROM {self.name(table)} WHERE {condition}")
        for table in args.rewrite:
            options = f", options => map('min-input-files', '{args.min_input_files}')"
            self.procedure("rewrite_data_files", table, options)
        for table in args.manifests:
            self.procedure("rewrite_manifests", table)
        for table, older_than in args.expire:
            more = f", older_than => TIMESTAMP '{older_than}', retain_last => {args.retain_last}"
            self.procedure("expire_snapshots", table, more)
        for table, unit in args.partition:
            self.partition(table, unit)
        for table in args.report:
            rows, files = f"count(*) AS rows FROM {self.name(table)}", f"SELECT count(*) FROM {self.name(table)}.files"
            self.call("report", table, f"SELECT ({files}) AS files, {rows}")


Maintenance(arguments()).run()
