"""Visit an application: `visits.py streamlit|gradio|run|edit PORT`; the last two are marimo's."""

import json
import re
import sys
import time
from urllib.request import Request, urlopen

kind, port = sys.argv[1:]
address = f"127.0.0.1:{port}"


def streamlit():
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    with connect(f"ws://{address}/_stcore/stream") as socket:
        for _ in range(2):
            message = BackMsg()
            message.rerun_script.query_string = ""
            socket.send(message.SerializeToString())
            while ForwardMsg.FromString(socket.recv()).WhichOneof("type") != "script_finished":
                pass
        print("visited", flush=True)
        for _ in socket:
            pass


def gradio():
    from gradio_client import Client

    client = Client(f"http://{address}", verbose=False)
    for output in client.submit("hello", api_name="/predict"):
        print("gets", output, flush=True)


def marimo():
    from websockets.sync.client import connect

    with connect(f"ws://{address}/ws?session_id=s_visit1") as socket:
        if kind == "edit":
            page = urlopen(f"http://{address}/").read().decode()
            headers = {
                "Content-Type": "application/json",
                "Marimo-Session-Id": "s_visit1",
                "Marimo-Server-Token": re.search(r'serverToken": ?"([^"]+)"', page)[1],
            }
            body = json.dumps({"objectIds": [], "values": [], "autoRun": True}).encode()
            urlopen(Request(f"http://{address}/api/kernel/instantiate", body, headers)).read()
        for _ in socket:
            pass


while True:
    try:
        urlopen(f"http://{address}/").read()
        break
    except OSError:  # it does not listen yet
        time.sleep(0.1)
{"streamlit": streamlit, "gradio": gradio}.get(kind, marimo)()
