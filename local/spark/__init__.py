"""Spark on one machine: how the job is packed, how it is submitted, and what stands in for BigQuery's connector.

Modules: `package` builds what is shipped; `submit` words the command line of spark-submit; `data_source` holds the
top-level module `pyspark_bigquery`, which Spark finds by its name. Not here: starting the process, which is the
Dataproc stand-in's affair.
"""
