"""
List the Pythons of this machine that graceexit supports, the oldest first, one path a line.

They are the ones that `pyenv versions` lists, or where there is no pyenv those on PATH, each
version once. Runs on any Python 3.
"""

import os
import re
import shutil
import subprocess

OLDEST = (3, 10)
PROGRAM = "import sys; print(*sys.version_info[:3] + (sys.abiflags or '-', sys.executable))"


def candidates():
    """Yield the programs that may be a Python."""
    if shutil.which("pyenv"):
        root = run("pyenv", "root").strip()
        for name in run("pyenv", "versions", "--bare").split():
            yield os.path.join(root, "versions", name, "bin", "python")
        return
    for directory in os.get_exec_path():
        if os.path.isdir(directory):
            for name in sorted(os.listdir(directory)):
                if re.match(r"^python3(\.\d+t?)?$", name):
                    yield os.path.join(directory, name)


def run(*argv):
    """Return what the command prints; nothing if it fails."""
    try:
        return subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
            check=False,
        ).stdout
    except OSError:
        return ""


def main():
    """Print one Python for each version and build."""
    found = {}
    for candidate in candidates():
        printed = run(candidate, "-c", PROGRAM)
        if printed:
            major, minor, micro, build, path = printed.split(None, 4)
            version = (int(major), int(minor), int(micro))
            if version >= OLDEST:
                found.setdefault((version, build), path.strip())
    for version in sorted(found):
        print(found[version])


main()
