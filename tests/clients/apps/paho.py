"""paho-mqtt: `loop_start` sends in a thread."""

import os

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

import graceexit

host, port = os.environ["ADDRESS"].split(":")
client = Client(CallbackAPIVersion.VERSION2)
client.connect(host, int(port))
client.loop_start()
sent = []


@graceexit.on_exit
def close():
    """Wait for what was sent: `disconnect` alone does not."""
    for one in sent:
        one.wait_for_publish()
    client.disconnect()
    client.loop_stop()


def send(item):
    """Publish an item."""
    sent.append(client.publish("items", item, qos=1))
