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
"""


def execute(code):
    """Run a cell and print what it prints or raises."""

    def show(message):
        content = message["content"]
        print(*(content[key].strip() for key in ("text", "ename") if key in content))

    client.execute_interactive(
        code,
        stop_on_error=False,
        output_hook=lambda m: m["msg_type"] in ("stream", "error") and show(m),
    )


manager = KernelManager()
manager.kernel_spec.argv[0] = sys.executable
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready()
execute(CELL)
client.execute("print('begun')\nwhile True: time.sleep(0.01)", stop_on_error=False)
while (message := client.get_iopub_msg())["msg_type"] != "stream":
    pass
manager.interrupt_kernel()
while (message := client.get_iopub_msg())["msg_type"] != "error":
    pass
print(message["content"]["ename"])
execute("print('exiting', graceexit.exiting.is_set(), 'alive', thread.is_alive())")
if sys.argv[1] == "shutdown":
    manager.shutdown_kernel()
else:
    process = manager.provisioner.process
    os.kill(process.pid, SIGTERM)
    print("status", process.wait())
client.stop_channels()
