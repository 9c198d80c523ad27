"""The load: the run's partition is replaced in one step, so that running it twice is running it once.

With the Spark-BigQuery connector, indirect writing puts Parquet files into the temporary bucket and then starts one
load job into `table$YYYYMMDD` with WRITE_TRUNCATE, which is atomic. Without rows Spark still writes one Parquet file
with nothing but the schema, so the load job runs and empties the partition; stale rows never stay. (Dynamic
partition overwrite, the other way, would find no partition to replace and keep them.)
"""

from datetime import date

from pyspark.sql import DataFrame


def options(*, load_date: date, temporary_bucket: str) -> dict[str, str]:
    """The connector's options. Source: spark-bigquery-connector, README, "Properties"."""
    return {
        "writeMethod": "indirect",
        "temporaryGcsBucket": temporary_bucket,
        "intermediateFormat": "parquet",
        # Without it BigQuery reads a Parquet list as a record `list.element`, which is not the table's ARRAY<STRING>.
        "enableListInference": "true",
        "datePartition": f"{load_date:%Y%m%d}",
        "partitionField": "load_date",
        "partitionType": "DAY",
        "clusteredFields": "market",
        # The table is the infrastructure's: a misspelt name must fail, not make a table.
        "createDisposition": "CREATE_NEVER",
    }


def replace_partition(rows: DataFrame, *, table: str, load_date: date, temporary_bucket: str) -> None:
    """Replace the partition of this date with these rows, all of which must be of this date."""
    chosen = options(load_date=load_date, temporary_bucket=temporary_bucket)
    rows.write.format("bigquery").options(**chosen).mode("overwrite").save(table)
