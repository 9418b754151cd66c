"""
PySpark, with a worker in the middle of a partition.

A partition cleans up at its end, for Spark ends the worker's process without Python's hooks.
SIGTERM would have the program end before its job; in a thread of its own the job comes to its end.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import service
from pyspark.sql import SparkSession

os.environ["OUTPUT"] = f"/proc/{os.getpid()}/fd/1"


def partition(_):
    """Do what takes a while."""
    import elsewhere  # noqa: F401

    try:
        yield service.answer()
    finally:
        if not service.PLAIN:
            import graceexit

            graceexit.shutdown()


spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
job = spark.sparkContext.parallelize([0], 1).mapPartitions(partition)
ThreadPoolExecutor(1).submit(job.collect).result()
while True:
    time.sleep(0.05)
