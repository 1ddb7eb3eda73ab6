"""Takes a data file out of a warehouse's table, or puts one in twice: a batch that is lost, a batch that is doubled.

usage: edit_with_pyiceberg.py drop|double TABLE WAREHOUSE

Only metadata changes. Prints the rows of the file.
"""
import os
import sys

from pyiceberg.catalog.sql import SqlCatalog

what, name, root = sys.argv[1], sys.argv[2], os.path.abspath(sys.argv[3])
catalog = SqlCatalog("palisade", uri=f"sqlite:///{root}/catalog.db", warehouse=f"file://{root}")
table = catalog.load_table(("palisade", name))
# The largest, so that no table is left as it was.
file = max((task.file for task in table.scan().plan_files()), key=lambda file: file.record_count)
with table.transaction() as transaction:
    if what == "drop":
        with transaction.update_snapshot().overwrite() as snapshot:
            snapshot.delete_data_file(file)
    else:
        with transaction.update_snapshot().fast_append() as snapshot:
            snapshot.append_data_file(file)
print(file.record_count)
