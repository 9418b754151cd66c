"""
Run the rehearsals of docs/rehearsal.md, and write what they print into the page, and the picture.

A Python block begins with the name of its file. The text block that follows a command is what the
command prints.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "rehearsal.md"
BLOCK = re.compile(r"```(python|console|text)\n(.*?)```", re.DOTALL)
WIDTH = "94"
PORT = "8000"  # as it stands in the page


def main() -> None:
    """Do it."""
    output = ""
    with TemporaryDirectory() as folder:

        def renewed(block: re.Match[str]) -> str:
            nonlocal output
            kind, text = block[1], block[2]
            if kind == "python":
                write(text, Path(folder))
            elif kind == "console":
                output = run(text, Path(folder))
            else:
                return f"```text\n{output}```"
            return block[0]

        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(BLOCK.sub(renewed, page), encoding="utf-8")
        shutil.copy(Path(folder) / "rehearsal.svg", DOCS / "rehearsal.svg")


def write(text: str, folder: Path) -> None:
    """Write a program of the page into its file."""
    name = text.partition("\n")[0].removeprefix("# ")
    (folder / name).write_text(text, encoding="utf-8")


def run(text: str, folder: Path) -> str:
    """Run a command of the page, on a port that is free, and return what it prints on stdout."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = shlex.split(text.strip().removeprefix("$ ").replace(PORT, str(port)))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    printed = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": WIDTH},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
    for picture in folder.glob("*.svg"):
        drawn = picture.read_text(encoding="utf-8").replace(str(port), PORT)
        picture.write_text(drawn, encoding="utf-8")
    return printed.replace(str(port), PORT)


if __name__ == "__main__":
    main()
