"""An offline run of wandb: `tracked_wandb.py FOLDER plain|install|on_exit|with|finally`."""

import sys
import time

import wandb

import graceexit

folder, how = sys.argv[1:]
if how != "plain":
    graceexit.install()
run = wandb.init(mode="offline", dir=folder, project="graceexit")
for number in range(100):
    run.log({"number": number})


def train():
    print("run", run.settings.sync_file, flush=True)
    while True:
        time.sleep(0.01)


if how == "on_exit":
    graceexit.on_exit(run.finish, timeout=20)
if how == "with":
    with run:
        train()
else:
    try:
        train()
    finally:
        if how == "finally":
            signum = graceexit.exiting.signum
            run.finish(exit_code=128 + signum if signum else 0)
