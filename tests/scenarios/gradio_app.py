"""An application of Gradio: `gradio_app.py PORT plain|drain`."""

import sys
import threading
import time

import gradio

import graceexit

port, how = sys.argv[1:]
stop = threading.Event()
thread = threading.Thread(target=lambda: (stop.wait(), print("stopped", flush=True)))
thread.start()
graceexit.register(thread, stop=stop)
graceexit.on_exit(lambda: print("closed", flush=True))


def predict(text):
    yield "..."  # so that the visitor is known to listen
    time.sleep(1)
    print("answers", flush=True)
    yield text.upper()


demo = gradio.Interface(predict, "text", "text")
if how == "drain":
    graceexit.on_exit(lambda: demo.server.close(), order=-1, timeout=10)  # noqa: PLW0108 - there is none before the launch
demo.launch(server_name="127.0.0.1", server_port=int(port), quiet=True)
