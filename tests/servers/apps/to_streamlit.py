"""Have somebody look at the page, in a process of its own; nobody is told what comes of it."""

import asyncio
import os
import subprocess
import sys

from streamlit.proto.BackMsg_pb2 import BackMsg
from tornado.websocket import websocket_connect


async def look():
    """Open the page, as a browser does, and stay there."""
    while True:
        try:
            page = await websocket_connect(f"ws://127.0.0.1:{os.environ['SERVICE']}/_stcore/stream")
            break
        except OSError:  # not listening yet
            await asyncio.sleep(0.05)
    message = BackMsg()
    message.rerun_script.query_string = ""
    await page.write_message(message.SerializeToString(), binary=True)
    while await page.read_message() is not None:
        pass


if sys.argv[1] == "look":
    asyncio.run(look())
elif sys.argv[1] == "put":
    subprocess.Popen([sys.executable, __file__, "look"], stdout=subprocess.DEVNULL)
