"""influxdb-client: points wait for a batch."""

import os

from influxdb_client import InfluxDBClient, Point

import graceexit

client = InfluxDBClient(os.environ["ADDRESS"], "token", org="app")
write_api = client.write_api()
graceexit.on_exit(write_api.close)


def send(item):
    """Write an item."""
    write_api.write("items", record=Point("items").field("item", item))
