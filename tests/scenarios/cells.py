"""Run the cells of a notebook in a kernel, and end it: `cells.py again|kept|running|held`."""

import os
import sys
from signal import SIGTERM

from jupyter_client import KernelManager

how = sys.argv[1]
# To the output of the program: that of a cell goes to its notebook.
SAY = """
import os, threading, time
import graceexit

def say(text):
    os.write(2, text.encode() + b"\\n")
"""
REGISTER = """
def close():
    say("closed")

graceexit.on_exit(close)
"""
KEPT = """
if "item" in globals():
    graceexit.unregister(item)
item = graceexit.register(lambda: say("closed"))
"""
RUNNING = """
print("begun")
try:
    while True:
        time.sleep(0.01)
finally:
    say("unwound")
"""
HELD = """
print("begun")
with graceexit.hold():
    while not graceexit.exiting.is_set():
        time.sleep(0.01)
    say("saved")
say("not run")
"""
CELLS = {
    "again": [SAY, REGISTER, REGISTER],
    "kept": [SAY, KEPT, KEPT],
    "running": [SAY, REGISTER, RUNNING],
    "held": [SAY, REGISTER, HELD],
}

manager = KernelManager()
manager.kernel_spec.argv[0] = sys.executable
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready()
for cell in CELLS[how]:
    client.execute(cell)
    wanted = "stream" if "begun" in cell else "idle"
    while (message := client.get_iopub_msg()) and wanted not in {
        message["msg_type"],
        message["content"].get("execution_state"),
    }:
        pass
if how in {"again", "kept"}:
    manager.shutdown_kernel()
else:
    process = manager.provisioner.process
    os.kill(process.pid, SIGTERM)
    print("status", process.wait())
client.stop_channels()
