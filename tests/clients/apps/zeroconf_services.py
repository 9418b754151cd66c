"""zeroconf: others forget a service when it says goodbye, or after more than an hour."""

import os

from zeroconf import ServiceInfo, Zeroconf

import graceexit

kind = os.environ["ADDRESS"]
zeroconf = Zeroconf(interfaces=["127.0.0.1"])
graceexit.on_exit(zeroconf.close)


def send(item):
    """Register a service."""
    service = ServiceInfo(kind, item + kind, port=80, addresses=[b"\x7f\0\0\1"])
    zeroconf.register_service(service, cooperating_responders=True)
