"""The Spark job: one run's raw albums become the rows of that run's partition.

Shipped as `main.py` and one zip of this package to an image that has Spark and nothing else, so it imports
nothing but the standard library, pyspark and itself.

Modules: `arguments` checks the command line; `decision` reads what is to be loaded; `columns`
names the table's; `schemas` makes of them what comes in and what goes out; `transforms` turns DataFrames into
DataFrames; `objects` touches the bucket through Hadoop; `reading` counts part by part; `verdict` concludes what is good
and whether it is loaded; `sink` replaces the partition; `job` puts them in order. `package` packs all this, and is not
packed. It deliberately does not choose the parts of a load, create tables, or delete raw objects.
"""
