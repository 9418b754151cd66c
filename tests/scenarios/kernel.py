"""Start a Jupyter kernel, interrupt a cell of it, and end it in the way told."""

import os
import sys
from signal import SIGTERM

from jupyter_client import KernelManager

CELL = """
import os, threading, time
import graceexit

def say(text):
    os.write(2, text)  # to the output of the program: that of a cell goes to its notebook

stop = threading.Event()
thread = threading.Thread(target=lambda: (stop.wait(), say(b"stopped\\n")))
thread.start()
graceexit.register(thread, stop=stop)
graceexit.on_exit(lambda: say(b"closed\\n"))
print("begun")
try:
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    say(f"exiting {graceexit.exiting.is_set()} alive {thread.is_alive()}\\n".encode())
    raise
"""

manager = KernelManager()
manager.kernel_spec.argv[0] = sys.executable
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready()
client.execute(CELL)
while (message := client.get_iopub_msg())["msg_type"] != "stream":
    pass
manager.interrupt_kernel()
while (message := client.get_iopub_msg())["msg_type"] != "error":
    pass
print(message["content"]["ename"])
# Nothing is asked of the kernel any more: with and without graceexit, ipykernel 7.3 sleeps for
# ever over a request that comes as the interrupted cell ends, in 8 of 240 runs.
if sys.argv[1] == "shutdown":
    manager.shutdown_kernel()
else:
    process = manager.provisioner.process
    os.kill(process.pid, SIGTERM)
    print("status", process.wait())
client.stop_channels()
