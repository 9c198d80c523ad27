"""Spark on one machine: how a job is submitted, and its connectors.

Modules: `submit` words the command line of spark-submit; `connectors` finds or fetches Google's; `class_archive`
records what a job loads; `data_source` holds the top-level module `pyspark_bigquery`, which Spark finds by its name and
which stands in for BigQuery's connector where that is not there.
Not here: packing the job (`spark_job.package`), and starting the process, which is the Dataproc stand-in's affair.
"""
