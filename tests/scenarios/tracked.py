"""A run of mlflow that is ended by a signal: `tracked.py STORE plain|install|with|finally`."""

import sys
import time

import mlflow

import graceexit

store, how = sys.argv[1:]
mlflow.set_tracking_uri(store)
if how != "plain":
    graceexit.install()


def train(run):
    print("run", run.info.run_id)
    while True:
        time.sleep(0.01)


if how == "with":
    with mlflow.start_run() as run:
        train(run)
else:
    run = mlflow.start_run()
    try:
        train(run)
    finally:
        if how == "finally":  # on the main thread, for mlflow knows a run by its thread
            mlflow.end_run("KILLED" if graceexit.exiting.is_set() else "FINISHED")
