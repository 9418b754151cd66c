"""
The command line: `python -m graceexit rehearse ... -- COMMAND ...`.

Nothing of the library imports this module, or what it imports.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from graceexit._rehearsal import svg, text
from graceexit._rehearsal.rehearsal import CannotBeginError, Options, Rehearsal
from graceexit._rehearsal.screen import Screen, style_of
from graceexit._rehearsal.timeline import Timeline, as_json, timeline

NOTHING_LOST, LOST, NOT_BEGUN = 0, 1, 2
INTERRUPTED = 130  # as of a program that Ctrl-C has ended

ABOUT = """\
Rehearse the shutdown of a service: start it, keep it busy, send it SIGTERM, and see
whether every process is gone in time and what was lost. It works on any command. A
service that uses graceexit has its items drawn; of any Python process that does not
end in time you see where its threads hang, and the line to write.

    python -m graceexit rehearse --url http://127.0.0.1:8000/ -- gunicorn app:app
    python -m graceexit rehearse --until 'ready.' -- celery -A tasks worker -l info
    python -m graceexit rehearse --signal INT --to group -- python service.py
"""
AFTERWARDS = """\
exit status:
  0  nothing was lost
  1  something was: an item did not run or was left behind, a request that was sent
     before the signal had no answer, or a process had to be killed
  2  the rehearsal could not begin: the command is not there, it ended at once, or it
     was never ready

The drawing goes to stdout, the command's output to stderr. docs/rehearsal.md has
more, such as a check in CI.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before `--`."""
    top = argparse.ArgumentParser(
        prog="python -m graceexit rehearse",
        usage="python -m graceexit rehearse [options] -- COMMAND ...",
        description=ABOUT,
        epilog=AFTERWARDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    ready = top.add_argument_group("when it is ready (else: when it has printed nothing for 1 s)")
    ready.add_argument("--url", help="it answers here; requests are kept in flight")
    ready.add_argument("--until", metavar="TEXT", help="it has printed this")
    ready.add_argument(
        "--ready-within",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="give up after so long (60)",
    )
    ready.add_argument(
        "--clients", type=_count, default=4, metavar="N", help="requests in flight at any time (4)"
    )
    ready.add_argument(
        "--after",
        type=_seconds,
        metavar="SECONDS",
        help="so long before the signal is sent (1 with --url, else 0)",
    )
    end = top.add_argument_group("how it is ended")
    end.add_argument(
        "--signal",
        type=_signal,
        default=signal.SIGTERM,
        metavar="NAME",
        help="TERM, INT, ... (TERM)",
    )
    end.add_argument(
        "--to",
        choices=["main", "group", "worker"],
        default="main",
        help="main: the process of COMMAND, as Docker and Kubernetes do it (the default); "
        "group: every process of its group, as Ctrl-C and systemd; "
        "worker: one of its workers, and the main process when that is gone",
    )
    end.add_argument(
        "--again", type=_seconds, metavar="SECONDS", help="send the signal again so much later"
    )
    end.add_argument(
        "--within",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="whoever is not gone by then is asked for its stacks and killed (30, as Kubernetes)",
    )
    out = top.add_argument_group("what is written")
    out.add_argument("--json", type=Path, metavar="FILE", help="everything that was seen")
    out.add_argument("--svg", type=Path, metavar="FILE", help="the drawing as a picture")
    return top


def main(argv: list[str]) -> int:
    """Do what the command line says, and return the exit status."""
    words, command = argv, []
    if "--" in argv:
        at = argv.index("--")
        words, command = argv[:at], argv[at + 1 :]
    rehearse = parser()
    if not words or words[0] in {"-h", "--help", "help"}:
        rehearse.print_help()
        return NOTHING_LOST if words else NOT_BEGUN
    if words[0] != "rehearse":
        rehearse.error(f"there is no {words[0]!r}; write: python -m graceexit rehearse ...")
    if sys.platform == "win32":
        rehearse.error("it needs a POSIX system")
    args = rehearse.parse_args(words[1:])
    if not command:
        rehearse.error("write -- and then the command, as in: rehearse -- python service.py")
    for file in filter(None, (args.json, args.svg)):
        if why := why_unwritable(file):  # said now, not when all is over
            rehearse.error(f"{file} cannot be written: {why}")
    options = Options(
        command=command,
        url=_url(rehearse, args.url),
        until=args.until,
        clients=args.clients,
        after=args.after,
        signum=args.signal,
        to=args.to,
        again=args.again,
        within=args.within,
        ready_within=args.ready_within,
    )
    return rehearsed(options, args.json, args.svg)


def rehearsed(options: Options, json_file: Path | None, svg_file: Path | None) -> int:
    """Rehearse, and show what came of it."""
    screen = Screen(sys.stderr)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    rehearsal = Rehearsal(options, screen)
    try:
        facts = rehearsal.run()
    except CannotBeginError as error:
        rehearsal.close()
        screen.say(f"graceexit: the rehearsal of {shlex.join(options.command)} could not begin:")
        for line in (str(error), *error.more):
            screen.say(f"graceexit: {line}")
        if screen.tail:
            screen.say("graceexit: its last output stands above")
        return NOT_BEGUN
    except OSError as error:  # such as that no more files can be opened
        screen.say(f"graceexit: the rehearsal could not go on: {error}")
        return NOT_BEGUN
    except KeyboardInterrupt:
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(signum, signal.SIG_IGN)
        rehearsal.close()
        screen.say("graceexit: interrupted; everything that was started has been killed")
        return INTERRUPTED
    finally:
        rehearsal.close()
    drawn = timeline(facts)
    if json_file is not None:
        json_file.write_text(json.dumps(as_json(facts), indent=2) + "\n", encoding="utf-8")
    if svg_file is not None:
        svg_file.write_text(svg.draw(drawn, shlex.join(options.command)), encoding="utf-8")
    show(drawn)
    return LOST if drawn.losses else NOTHING_LOST


def show(drawn: Timeline) -> None:
    """Print the drawing; that nobody reads it changes nothing."""
    out = sys.stdout
    if out is None:  # closed from the beginning
        return
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")
    try:
        out.write(text.draw(drawn, style_of(out)) + "\n")
        out.flush()
    except OSError:
        # As the documentation of `signal` has it: Python would flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def why_unwritable(file: Path) -> str:
    """Say why a file cannot be written, nothing if it can."""
    if not file.parent.is_dir():
        return "there is no such folder"
    if file.is_dir():
        return "it is a folder"
    may = os.access(file if file.exists() else file.parent, os.W_OK)
    return "" if may else "you may not"


def _interrupt(*_: object) -> NoReturn:
    """End the rehearsal as Ctrl-C does."""
    raise KeyboardInterrupt


def _seconds(word: str) -> float:
    """Return a number above zero."""
    value = float(word)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} is not a number of seconds above zero")
    return value


def _count(word: str) -> int:
    """Return a whole number above zero."""
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a number above zero")
    return value


def _signal(word: str) -> int:
    """Return the number of a signal by its name, with SIG or without, or by its number."""
    try:
        if word.isdigit():
            return int(signal.Signals(int(word)))
        return int(signal.Signals[f"SIG{word.upper().removeprefix('SIG')}"])
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"there is no signal {word}") from None


def _url(rehearse: argparse.ArgumentParser, word: str | None) -> str | None:
    """Return the URL if it is one that can be asked."""
    if word is None:
        return None
    if not word.startswith(("http://", "https://")):
        rehearse.error(f"argument --url: {word} does not begin with http:// or https://")
    try:
        named = urlsplit(word).hostname and urlsplit(word).port != 0
    except ValueError:
        named = False
    if not named:
        rehearse.error(f"argument --url: {word} has no host or no port that can be asked")
    return word


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
