"""The load: the run's partition is replaced in one step, so that running it twice is running it once.

With the Spark-BigQuery connector, indirect writing puts Parquet files into the temporary bucket and then starts one
load job into `table$YYYYMMDD` with WRITE_TRUNCATE, which is atomic. Without rows Spark still writes one Parquet file
with nothing but the schema, so the load job runs and empties the partition; stale rows never stay.

What of this rests on an option is held by `tests/contract/test_bigquery_connector.py`.
"""

from datetime import date

from pyspark.sql import DataFrame


def options(*, load_date: date, revision: int, temporary_bucket: str) -> dict[str, str]:
    """The connector's options. Source: spark-bigquery-connector, README, "Properties"."""
    return {
        "writeMethod": "indirect",
        "temporaryGcsBucket": temporary_bucket,
        "intermediateFormat": "parquet",
        # Without it BigQuery reads a Parquet list as a record `list.element`, which is not the table's ARRAY<STRING>.
        "enableListInference": "true",
        # Without it the same load job would name the table, and replace all of it.
        "datePartition": f"{load_date:%Y%m%d}",
        "partitionField": "load_date",
        "partitionType": "DAY",
        "clusteredFields": "market",
        # The table is the infrastructure's: a misspelt name must fail, not make a table.
        "createDisposition": "CREATE_NEVER",
        # It is the default, but a session may say DYNAMIC, and the option of a write wins over that. With DYNAMIC the
        # connector was seen to ask for a new table beside this one, under a name that holds the day, which BigQuery
        # refuses: nothing would be loaded.
        "partitionOverwriteMode": "STATIC",
        # The connector draws the load job's id and tells it only in an error; by these labels the job is found.
        "bigQueryJobLabel.run": load_date.isoformat(),
        "bigQueryJobLabel.revision": str(revision),
    }


def replace_partition(
    rows: DataFrame, *, table: str, load_date: date, revision: int, temporary_bucket: str
) -> None:
    """Replace the partition of this date with these rows, all of which must be of this date."""
    chosen = options(load_date=load_date, revision=revision, temporary_bucket=temporary_bucket)
    rows.write.format("bigquery").options(**chosen).mode("overwrite").save(table)
