"""The job whose classes are recorded: the Spark job on one small part, with a Python data source that drops the rows.

Submitted by `local.spark.class_archive`, and by nothing else; it loads what a real job loads, and needs no emulator.
"""

import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from spark_job import job
from spark_job.arguments import Arguments, parse


class Dropping(DataSource):
    """Writes as the stand-in for BigQuery's connector does, to nowhere."""

    def writer(self, schema: StructType, overwrite: bool) -> DataSourceArrowWriter:  # noqa: ARG002, FBT001 -- Spark's
        """One that drops what it gets."""
        return _Dropping()


class _Dropping(DataSourceArrowWriter):
    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        for _ in iterator:
            pass
        return WriterCommitMessage()


def _drop(rows: DataFrame, _arguments: Arguments) -> None:
    rows.write.format("dropping").mode("overwrite").save()


if __name__ == "__main__":
    spark = SparkSession.builder.appName("recording").getOrCreate()
    spark.dataSource.register(Dropping)
    job.run(spark, parse(sys.argv[1:]), load=_drop)
    spark.stop()
