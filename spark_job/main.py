"""Entry of the Spark job: `spark-submit --py-files spark_job.zip main.py --input … --run-id …`.

Exit code 0: the partition is replaced. 1: nothing was loaded; the last line and the result say why.
2: wrong arguments.
"""

import logging
import sys
from collections.abc import Sequence

from pyspark.sql import SparkSession

from spark_job.arguments import ArgumentError, parse
from spark_job.job import JobError, run


def main(argv: Sequence[str]) -> int:
    """Run the job with these arguments and give its exit code; unexpected exceptions go through and fail the job."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        arguments = parse(argv)
    except ArgumentError as error:
        logging.getLogger("spark_job").error("%s", error)
        return 2
    name = f"new-releases {arguments.run_id} revision {arguments.revision}"
    spark = SparkSession.builder.appName(name).getOrCreate()
    try:
        run(spark, arguments)
    except JobError as error:
        logging.getLogger("spark_job").error("%s", error)
        return 1
    finally:
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
