"""paho-mqtt: `loop_start` sends in a thread."""

import os
from collections import deque

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

import graceexit

host, port = os.environ["ADDRESS"].split(":")
client = Client(CallbackAPIVersion.VERSION2)
client.connect(host, int(port))
client.loop_start()
last = deque(maxlen=1)  # messages go out in their order
graceexit.on_exit(client.disconnect)
graceexit.on_exit(lambda: [one.wait_for_publish() for one in last])


def send(item):
    """Publish an item."""
    last.append(client.publish("items", item, qos=1))
