"""OpenTelemetry: metrics are exported once a minute."""

import os

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

import graceexit

exporter = OTLPMetricExporter(endpoint=f"{os.environ['ADDRESS']}/v1/metrics")
provider = MeterProvider([PeriodicExportingMetricReader(exporter)])
graceexit.on_exit(provider.shutdown)
counter = provider.get_meter("app").create_counter("items")


def send(item):
    """Count an item."""
    counter.add(1, {"item": item})
