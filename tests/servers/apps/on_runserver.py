"""Django's development server, which starts itself anew when the file WATCHED has changed."""

import os
import sys
from pathlib import Path

import on_django  # noqa: F401
from django.core.management import execute_from_command_line
from django.utils.autoreload import autoreload_started


def watch(sender, **_):
    """Watch one file more."""
    sender.extra_files.add(Path(os.environ["WATCHED"]))


autoreload_started.connect(watch)
execute_from_command_line(sys.argv)
