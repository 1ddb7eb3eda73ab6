"""Compares every table of a lake, as one engine reads it, with the generator's log, row by row; prints a JSON object a table.

usage: agree_with_truth.py duckdb|pyiceberg|spark TRUTH.parquet CATALOG_URI S3_ENDPOINT [JARS], with the keys in the environment.
A row is known by partition, offset and number within its record; of its values, those that the truth says are compared.
"""
import glob
import importlib.resources
import json
import os
import sys

engine, truth, uri, endpoint = sys.argv[1:5]
# Alerts are no records; what came too late for a window is a copy.
TABLES_WITHOUT_TRUTH = {"late_window"}
FOUND = "SELECT _partition_id AS p, _offset AS o, _record AS r, tenant_uid AS tenant, {port} AS port FROM {rows} WHERE left(_topic, 1) <> '_'"
WANTED = (
    'SELECT "partition" AS p, "offset" AS o, "record" AS r, tenant_uid AS tenant, {port} AS port FROM {truth} '
    "WHERE \"table\" = '{table}'"
)
COMPARED = (
    "SELECT count(f.p) AS found, count(w.p) AS wanted, "
    "sum(CASE WHEN f.p IS NULL THEN 1 ELSE 0 END) AS missing, sum(CASE WHEN w.p IS NULL THEN 1 ELSE 0 END) AS extra, "
    "sum(CASE WHEN f.p IS NOT NULL AND w.p IS NOT NULL AND (f.tenant <> w.tenant OR coalesce(f.port, -1) <> coalesce(w.port, -1)) "
    "THEN 1 ELSE 0 END) AS altered, count(*) - count(DISTINCT concat_ws('/', coalesce(f.p, w.p), coalesce(f.o, w.o), coalesce(f.r, w.r))) AS doubled "
    "FROM ({found}) f FULL OUTER JOIN ({wanted}) w ON f.p = w.p AND f.o = w.o AND f.r = w.r"
)


def compared(table, rows, truth, has_port):
    port = "dst_port" if has_port else "0"
    found, wanted = FOUND.format(rows=rows, port=port), WANTED.format(truth=truth, table=table, port=port)
    return COMPARED.format(found=found, wanted=wanted)


def told(table, names, values):
    print(json.dumps({"table": table} | {name: int(value or 0) for name, value in zip(names, values)}), flush=True)


def catalog():
    from pyiceberg.catalog import load_catalog

    keys = {"s3.access-key-id": os.environ["AWS_ACCESS_KEY_ID"], "s3.secret-access-key": os.environ["AWS_SECRET_ACCESS_KEY"]}
    return load_catalog("palisade", type="rest", uri=uri, **keys, **{"s3.endpoint": endpoint, "s3.region": os.environ["AWS_REGION"]})


def tables(of):
    return [(name[-1], of.load_table(name)) for name in sorted(of.list_tables("palisade")) if name[-1] not in TABLES_WITHOUT_TRUTH]


def duck():
    import duckdb

    return duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})


def by_duckdb():
    import duckdb

    db = duck()
    for name in ["httpfs", "avro", "iceberg"]:
        package = importlib.resources.files(f"duckdb_extension_{name}")
        db.load_extension(str(package / f"extensions/v{duckdb.__version__}/{name}.duckdb_extension"))
    key, secret, region = (os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"))
    host = endpoint.removeprefix("http://")
    db.execute(f"CREATE SECRET (TYPE s3, KEY_ID '{key}', SECRET '{secret}', REGION '{region}', ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false)")
    for table, loaded in tables(catalog()):
        rows = f"iceberg_scan('{loaded.metadata_location}')"
        result = db.execute(compared(table, rows, f"read_parquet('{truth}')", "dst_port" in loaded.schema().column_names))
        told(table, [column[0] for column in result.description], result.fetchone())


def by_pyiceberg():
    db = duck()  # compares; the rows are PyIceberg's
    for table, loaded in tables(catalog()):
        has_port = "dst_port" in loaded.schema().column_names
        columns = ["_topic", "_partition_id", "_offset", "_record", "tenant_uid"] + (["dst_port"] if has_port else [])
        db.register("found", loaded.scan(selected_fields=tuple(columns)).to_arrow())
        result = db.execute(compared(table, "found", f"read_parquet('{truth}')", has_port))
        told(table, [column[0] for column in result.description], result.fetchone())


def by_spark():
    from pyspark.sql import SparkSession

    name = "spark.sql.catalog.lake"
    builder = SparkSession.builder.appName("palisade-truth")
    for key, value in {
        name: "org.apache.iceberg.spark.SparkCatalog",
        f"{name}.type": "rest",
        f"{name}.uri": uri,
        f"{name}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{name}.s3.endpoint": endpoint,
        f"{name}.s3.path-style-access": "true",
        "spark.driver.extraClassPath": ":".join(sorted(glob.glob(f"{sys.argv[5]}/*.jar"))),
        "spark.master": "local[1]",
        "spark.ui.enabled": "false",
        "spark.driver.memory": os.environ.get("PALISADE_SPARK_MEMORY", "768m"),
        "spark.sql.shuffle.partitions": os.environ.get("PALISADE_SPARK_PARTITIONS", "1"),
        "spark.sql.session.timeZone": "UTC",
    }.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.read.parquet(truth).createOrReplaceTempView("truth")
    names = [row.tableName for row in spark.sql("SHOW TABLES IN lake.palisade").collect()]
    for table in sorted(set(names) - TABLES_WITHOUT_TRUTH):
        has_port = "dst_port" in spark.table(f"lake.palisade.{table}").columns
        query = compared(table, f"lake.palisade.{table}", "truth", has_port).replace('"', "`")
        row = spark.sql(query).first()
        told(table, row.asDict().keys(), row)


{"duckdb": by_duckdb, "pyiceberg": by_pyiceberg, "spark": by_spark}[engine]()
