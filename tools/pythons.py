"""
List the Pythons of this machine that graceexit supports, the oldest first, one path a line.

They are those that `pyenv versions` lists, and of those on PATH the minor versions that pyenv has
not; a free-threaded one is a build of its own, and comes before the other of its minor version, so
that the last of the list has a GIL if any of that version has. A Python that cannot make a virtual
environment with pip is none, such as Debian's without python3-venv. Runs on any Python 3.
"""

import os
import re
import shutil
import subprocess

OLDEST = (3, 10)
PROGRAM = """
import ensurepip, sys, venv
print(*sys.version_info[:3] + (sys.abiflags or '-', sys.executable))
"""


def on_pyenv():
    """Yield the programs of pyenv."""
    root = run("pyenv", "root").strip() if shutil.which("pyenv") else ""
    for name in run("pyenv", "versions", "--bare").split() if root else ():
        yield os.path.join(root, "versions", name, "bin", "python")


def on_path():
    """Yield the programs on PATH that may be a Python."""
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


def look_at(candidates):
    """Yield what to sort the Pythons by, its first three being version and build, and the path."""
    for candidate in candidates:
        printed = run(candidate, "-c", PROGRAM)
        if printed:
            major, minor, micro, build, path = printed.split(None, 4)
            version = (int(major), int(minor))
            if version >= OLDEST:
                yield (version, build == "-", build, int(micro)), path.strip()


def main():
    """Print one Python for each version and build."""
    found = {}
    for key, path in look_at(on_pyenv()):
        found.setdefault(key, path)
    builds = {key[:3] for key in found}
    for key, path in look_at(on_path()):
        if key[:3] not in builds:
            builds.add(key[:3])
            found[key] = path
    for key in sorted(found):
        print(found[key])


main()
