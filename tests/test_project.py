"""What is tested is what is installed, and what is installed is the package alone."""

from __future__ import annotations

import re
import sys
from importlib.metadata import files, metadata
from pathlib import Path

import pytest

import graceexit

TESTS = Path(__file__).parent


# The kinds of programs that real users have.
LOST_SOMETHING = """
    a main thread that joins its worker
    a last batch that needs a pool
    an async callback that needs names
    a pool that is made later
    SIGTERM in asyncio
    a first registration by a thread
    somebody whom linger cuts off
    registrations that come and go
    items that each register one more
    a text that hangs
    threads that end beside a stuck one
    a file that is descriptor 2
    two copies of the package
    a signal that is blocked
    an awaitable
    a handler that C code has replaced
    eventlet
    a greenlet
    a second SIGTERM after asyncio
    a stuck thread in a child
    SIGTERM in a nursery
    mistakes
    many threads that have ended
    many threads of one order
    a log of several workers
    a queue of a child
    SIGTERM after Ctrl-C
    the last item of a grace
    a process that overruns
    Ctrl-C under grace
    a message in hand
    an exception that is lost in __del__
    a queue that the main thread fills
    a pool that the main thread fills
    a process that the main thread starts
    a program that the main thread starts
    a counter of multiprocessing
    a context manager that is a generator
    a thread that raises SIGTERM
    joblib in a thread
    a program whose output is followed
    an asyncio consumer that always has messages
    a wait_for that is always served
    a service at its memory limit
    a child that writes
    a handler that calls ours
    a thread that hands over what it has
    a log that an item closes
    a fork beside threads that register
"""
MUST_NOT_BREAK = """
    a thread that feeds a pool
    a job that submits itself
    a bounded pool
    a pool with a worker of its own
    a pool of greenlets
    a job of the last line
    a pool, and nothing registered
    a child that has registered nothing
    a limit of threads
    a fork by an item
    a fork beside the items
    pools of a fork and of its parent
    a pool of processes
    a library that drains in a hook
    the last of all hooks
    a queue of a child that is terminated
    many messages of a child
    a reader that comes late
    a grandchild that a thread waits for
    asyncio in a child
    a hook with arguments
    two copies with one pool
    a signal as a hook is registered
    a main task that calls sys.exit
    a loop that does not turn
    SIGTERM in trio
    a processor beside a join
    an item that registers thousands
    a future of another loop
    a child that leaves its session
    a report into a pipe
"""


def test_programs_import_the_graceexit_that_the_tests_import(program):
    """A program never finds another one by way of its working directory or its environment."""
    show = program(sys.executable, "-c", "import graceexit; print(graceexit.__file__)")
    assert show.finish() == ([graceexit.__file__], 0)


def test_the_wheel_holds_the_package_and_nothing_else(pytestconfig):
    """No folder of the checkout but graceexit/ is installed; the type marker and licence are."""
    if not pytestconfig.getoption("installed"):
        pytest.skip("about the wheel, which `.ci/run` tests; this run tests the checkout")
    installed = files("graceexit") or []
    assert {path.parts[0] for path in installed} == {
        "graceexit",
        f"graceexit-{graceexit.__version__}.dist-info",
    }
    names = {path.name for path in installed}
    assert {"py.typed", "__init__.pyi", "LICENSE"} <= names
    assert Path(graceexit.__file__).parent.parent.name == "site-packages"


def test_no_module_imports_one_that_stands_above_it():
    """Types included: a module is given what it needs of those."""
    imports = re.compile(r"(?m)^ *(?:from|import) graceexit(?:\.| import )(_[a-z]+)")
    paths = Path(graceexit.__file__).parent.glob("_*.py")
    known = {path.stem: set(imports.findall(path.read_text(encoding="utf-8"))) for path in paths}
    for name in ("__init__", "__main__"):
        del known[name]
    while free := {name for name, others in known.items() if not others & known.keys()}:
        known = {name: others for name, others in known.items() if name not in free}
    assert not known


def test_each_kind_of_program_that_real_users_have_is_a_scenario():
    """`make field` runs a form of each, and none of another kind."""
    kinds = [line.strip() for line in (LOST_SOMETHING + MUST_NOT_BREAK).splitlines() if line]
    tests = "".join(path.read_text(encoding="utf-8") for path in TESTS.glob("test_*.py"))
    assert sorted(kinds) == sorted(set(re.findall(r'mark\.field\(kind="(.+)"\)', tests)))


def test_the_page_of_the_index_has_only_links_that_lead_somewhere_there():
    """Beside it there is no file of the project, so links and pictures have whole addresses."""
    text = metadata("graceexit")["Description"]
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
    [picture] = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert picture.endswith(f"/v{graceexit.__version__}/docs/rehearsal.svg")
