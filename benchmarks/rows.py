"""
The rows of the table: what is measured, for which ways, and what is to be reached.

A row is a function that measures and returns a `Row`. Ways take turns in each round, and another
one begins the next round, so that what the machine does meanwhile meets all of them. Each sample
comes from a fresh interpreter.
"""

import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from children import output_of, pause, started

HERE = Path(__file__).parent
OURS = "graceexit"
PEERS = {
    "pyterminate": "pyterminate",
    "safe-exit": "safe_exit",
    "multiexit": "multiexit",
    "aiorun": "aiorun",
}
A_ROW = 60.0  # seconds, after which a row begins no more rounds
NO_LIST = "has no list of what is to be run"
ONE_CALLBACK = "takes one shutdown_callback, for an asyncio loop that it runs itself"
NO_TIMEOUT = "runs on the main thread, without a timeout"
COLLECTOR = (
    "Python's collector goes through all objects again whenever there are a quarter more of them,"
    " and an item is an object; the next line is without its share"
)
CACHES = (
    "a million items do not fit into the caches of the processor, a thousand do; the next line"
    " compares with a thousand that are not there either"
)
# Which step of growing() is compared, less what, and why it may not be reached.
GROWTH = [
    ("register", "", {}, COLLECTOR),
    ("register", ", less what the collector takes", {"collector": False}, ""),
    ("unregister", "", {}, CACHES),
    ("unregister", " that has left the caches", {"cold": ", cold"}, ""),
    ("run", "", {}, COLLECTOR),
    ("run", ", less what the collector takes", {"collector": False}, ""),
]
NO_THREADS = "has no threads to stop: a function stops and joins one after the other"


@dataclass
class Figure:
    """
    One number that is to be reached.

    It is the median with its quartiles (or the worst, without). `most` or `least` is to be reached,
    `floor` is the same number for what sets the limit, and `why` says why it may not be reached.
    """

    what: str
    unit: str
    value: float
    low: float | None = None
    high: float | None = None
    most: float | None = None
    least: float | None = None
    floor: float | None = None
    floor_is: str = ""
    why: str = ""

    @property
    def reached(self):
        """Return whether it is."""
        above = self.least is None or self.value >= self.least
        return above and (self.most is None or self.value <= self.most)


@dataclass
class Row:
    """
    What one row has measured.

    Attributes:
        series: For each way and each thing measured, the samples in the order of the rounds.
        cannot: The ways that cannot do it, and why.
    """

    title: str
    unit: str
    how: str
    series: dict = field(default_factory=dict)
    cannot: dict = field(default_factory=dict)
    figures: list = field(default_factory=list)

    def add(self, way, **samples):
        """Keep one sample of each thing."""
        for name, value in samples.items():
            series = self.series.setdefault(way, {}).setdefault(name, [])
            series.append(float(f"{value:.4g}"))

    def reach(self, what, samples, *, unit=None, worst=False, **limits):
        """Add a figure: the median of *samples*, or the worst."""
        unit = self.unit if unit is None else unit
        numbers = [max(samples)] if worst else middle(samples)
        self.figures.append(Figure(what, unit, *numbers, **limits))

    def as_json(self):
        """Return what is kept."""
        figures = [asdict(figure) | {"reached": figure.reached} for figure in self.figures]
        return {**asdict(self), "figures": figures}


@dataclass
class Bench:
    """How much is measured, and who is told how far it is."""

    quick: bool
    most_rounds: int | None
    turn: int = 0  # whose turn it is to begin

    def count(self, full, quick):
        """Return how many rounds there are to be."""
        return min(quick if self.quick else full, self.most_rounds or full)

    def rounds(self, full, quick):
        """Give the number of each round; on a machine that has much to do there may be fewer."""
        until = time.monotonic() + A_ROW
        for number in range(self.count(full, quick)):
            if number > 1 and time.monotonic() > until:
                break
            yield number

    def say(self, text):
        """Say how far it is."""
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def interleave(self, row, rounds, ways, sample):
        """Have each way give *row* one sample in each round."""
        for way in ways:
            module = PEERS.get(way)
            if module and importlib.util.find_spec(module) is None:
                row.cannot[way] = "is not installed"
        ways = [way for way in ways if way not in row.cannot]
        for number in rounds:
            self.say(f"{row.title}: round {number + 1}")
            self.turn += 1
            first = self.turn % len(ways)
            for way in ways[first:] + ways[:first]:
                row.add(way, **sample(way))


def middle(samples):
    """Return the median and the quartiles."""
    if len(samples) == 1:
        return samples * 3
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return statistics.median(samples), low, high


def measured(what, way, number, *option):
    """Return what measure.py measures in a fresh interpreter."""
    program = HERE / "measure.py"
    return json.loads(output_of(sys.executable, program, what, way, number, *option))


def ratios(one, other):
    """Return the ratio of each pair of one round."""
    return [a / b for a, b in zip(one, other, strict=True)]


def importing(bench):
    """Import each package where `signal` and `threading` have been imported."""
    row = Row(
        "import, over `import signal, threading`",
        "s",
        "wall time of the statement in a fresh interpreter; bytecode compiled before",
    )
    modules = {OURS: OURS, **PEERS}
    modules |= {"atexit": "atexit", "weakref": "weakref", "contextlib": "contextlib"}
    program = (
        "import signal, threading, time; a = time.perf_counter_ns(); c = time.process_time_ns();"
        " import {}; print(time.perf_counter_ns() - a, time.process_time_ns() - c)"
    )

    def sample(way):
        wall, cpu = output_of(sys.executable, "-c", program.format(modules[way])).split()
        return {"wall": int(wall) / 1e9, "processor": int(cpu) / 1e9}

    bench.interleave(Row("import", "s", ""), [0], list(modules), sample)  # compiles
    bench.interleave(row, bench.rounds(25, 5), list(modules), sample)
    ours = row.series[OURS]["wall"]
    row.reach(
        "import, over `import signal, threading`",
        ours,
        most=1e-3,
        why="five modules are found and loaded; the times of the peers, in the second table, show"
        " how quick the machine was",
    )
    peers = [row.series[way]["wall"] for way in PEERS if way in row.series]
    if peers:
        nearest = min(peers, key=statistics.median)
        row.reach("the quickest peer's import, over ours", ratios(nearest, ours), unit="x", least=1)
    return row


def registering(bench):
    """Register callbacks, and threads."""
    row = Row("register one of 1,000", "s", "mean over ten times 1,000 different callbacks")
    row.cannot = {"executor": NO_LIST, "thread each": NO_LIST, "aiorun": ONE_CALLBACK}
    ways = [OURS, "plain loop", "atexit", "weakref.finalize", "ExitStack", *PEERS]

    def sample(way):
        samples = {"callback": measured("register", way, 1000)}
        if way == OURS:
            samples["thread"] = measured("register_thread", way, 1000)
        return samples

    bench.interleave(row, bench.rounds(15, 3), ways, sample)
    floor = statistics.median(row.series["plain loop"]["callback"])
    for kind in ("callback", "thread"):
        row.reach(
            f"`register` of a {kind}",
            row.series[OURS][kind],
            most=1e-6,
            floor=floor,
            floor_is="an object of six slots, put into a dict",
        )
    return row


def remembering(bench):
    """Count the bytes that a registration keeps."""
    row = Row(
        "memory for an item",
        "B",
        "tracemalloc: the object and its part of the dict; the number of items varies, as the room"
        " in a dict does",
    )
    row.cannot = {"executor": NO_LIST, "thread each": NO_LIST, "aiorun": ONE_CALLBACK}
    ways = [OURS, "plain loop", "atexit", "weakref.finalize", "ExitStack", *PEERS]
    sizes = iter([5000, 7000, 9000, 11000, 13000, 15000, 18000])

    def sample(way):
        samples = {"callback": measured("memory", way, size)}
        if way == OURS:
            samples["thread"] = measured("memory", way, size, "thread")
        return samples

    for number in bench.rounds(7, 2):
        size = next(sizes)
        bench.interleave(row, [number], ways, sample)
    floor = max(row.series["plain loop"]["callback"])
    for kind in ("callback", "thread"):
        row.reach(
            f"memory for a {kind}, at most",
            row.series[OURS][kind],
            worst=True,
            most=250,
            floor=floor,
            floor_is="an object of six slots in a dict",
        )
    return row


def growth(series, step, sizes, *, collector=True, cold=""):
    """Return what a step costs for most items over what it costs for few."""

    def costs(size, cold):
        whole = series[f"{step}{cold} of {size:,}"]
        if collector:
            return whole
        share = series[f"{step}, collector{cold} of {size:,}"]
        return [one - other for one, other in zip(whole, share, strict=True)]

    return ratios(costs(sizes[-1], ""), costs(sizes[0], cold))


def growing(bench):
    """Register up to a million callbacks, unregister every other one, run the rest."""
    sizes = [1000, 4000] if bench.quick else [1000, 10_000, 100_000, 1_000_000]
    row = Row(
        f"{sizes[-1]:,} items against 1,000",
        "s",
        "the cost of one item in each step, for different callbacks, and how much of it is the"
        " collector's. Where a size would take more than ten seconds, a way stops; cold: what the"
        " step needs has left the processor's caches",
    )
    row.cannot = {
        "ExitStack": "cannot unregister",
        "executor": NO_LIST,
        "thread each": NO_LIST,
        "aiorun": ONE_CALLBACK,
    }
    always = [OURS, "plain loop"]
    ways = [*always, "atexit", "weakref.finalize", "pyterminate", "safe-exit", "multiexit"]

    def sample(way):
        samples = {"": measured("steps", way, size)}
        if way in always and size == sizes[0]:
            samples[", cold"] = measured("steps", way, size, "cold")
        return {
            f"{step}{cold} of {size:,}": value
            for cold, steps in samples.items()
            for step, value in steps.items()
        }

    def seconds(way, size):
        steps = [row.series[way][f"{step} of {size:,}"][-1] for step in ("unregister", "run")]
        return size * (row.series[way][f"register of {size:,}"][-1] + sum(steps) / 2)

    def expected(way, size, before):
        # What is quadratic takes a hundred times as long for ten times as many.
        now = seconds(way, size)
        return now * (now / seconds(way, before) if before else 30)

    for number in bench.rounds(3, 1):
        going, before = ways, None
        for size in sizes:
            bench.interleave(row, [number], going, sample)
            others = [way for way in going if way in row.series and way not in always]
            going = always + [way for way in others if expected(way, size, before) < 10]
            before = size

    for step, less, part, why in GROWTH:
        row.reach(
            f"{step} one of {sizes[-1]:,}, over one of 1,000{less}",
            growth(row.series[OURS], step, sizes, **part),
            unit="x",
            most=1.5,
            floor=statistics.median(growth(row.series["plain loop"], step, sizes, **part)),
            floor_is="plain objects in a dict, the same steps",
            why=why,
        )
    return row


def running(bench):
    """Run callbacks that do nothing."""
    row = Row(
        "run a callback that does nothing",
        "s",
        "mean of one, 10,000 registered (pyterminate, multiexit and a thread each: 1,000)."
        " graceexit, the executor and a thread each have a timeout for it, the others none",
    )
    row.cannot = {"aiorun": ONE_CALLBACK}
    ways = [OURS, "plain loop", "executor", "thread each"]
    ways += ["atexit", "weakref.finalize", "ExitStack", *PEERS]
    few = ("pyterminate", "multiexit", "thread each")

    def sample(way):
        number = 1000 if bench.quick or way in few else 10_000
        return {"run": measured("run", way, number)}

    bench.interleave(row, bench.rounds(15, 2), ways, sample)
    ours = row.series[OURS]["run"]
    row.reach(
        "run of an empty callback, with its timeout",
        ours,
        most=1e-6,
        floor=statistics.median(row.series["plain loop"]["run"]),
        floor_is="a loop that takes it out of a dict and calls it",
    )
    each = row.series["thread each"]["run"]
    row.reach("a thread for each callback, over that", ratios(each, ours), unit="x", least=100)
    return row


def stopping(bench):
    """Stop threads that each need a while."""
    number = 20 if bench.quick else 100
    row = Row(
        f"stop {number} threads that need 100 ms each",
        "s",
        "from the first that is told to the last that is gone; the slowest by its own clock",
    )
    row.cannot = {"aiorun": ONE_CALLBACK, "executor": NO_LIST, "thread each": NO_LIST}
    others = ("atexit", "weakref.finalize", "safe-exit", "multiexit")
    row.cannot |= dict.fromkeys(others, NO_THREADS)
    slow = ["ExitStack", "pyterminate"]  # for all: they call one function after the other
    for round_ in bench.rounds(2, 1):
        for ways in ([OURS], [OURS], [OURS], slow):
            bench.interleave(row, [round_], ways, lambda way: measured("stop_threads", way, number))
    ours = row.series[OURS]
    whole = ratios(ours["whole"], ours["slowest"])
    row.reach(f"{number} threads, over the slowest of them", whole, unit="x", most=1.1)
    return row


def overrunning(bench):
    """See how late the next callback begins when one does not end."""
    row = Row(
        "lateness of a timeout",
        "s",
        "the time between the starts of two callbacks that never end, less the timeout of 20 ms",
    )
    row.cannot = dict.fromkeys(("atexit", "weakref.finalize", "ExitStack", *PEERS), NO_TIMEOUT)
    row.cannot["aiorun"] = "has one timeout for all asyncio tasks together, none for a callback"
    ways = [OURS, "timed lock", "executor", "thread each"]
    number = 10 if bench.quick else 40
    for round_ in bench.rounds(5, 2):
        bench.say(f"{row.title}: round {round_ + 1}")
        for way in ways:
            for late in measured("lateness", way, number):
                row.add(way, late=late)
    ours, floor = row.series[OURS]["late"], row.series["timed lock"]["late"]
    is_floor = "a lock, acquired with that timeout"
    row.reach(
        "lateness of a timeout",
        ours,
        most=1e-3,
        floor=statistics.median(floor),
        floor_is=is_floor,
    )
    row.reach(
        f"lateness of a timeout, the worst of {len(ours)}",
        ours,
        worst=True,
        most=20e-3,
        floor=max(floor),
        floor_is=is_floor,
    )
    return row


def terminating(bench):
    """Send SIGTERM, and see when the first function runs and when the process is gone."""
    row = Row(
        "SIGTERM to the first function",
        "s",
        "from just before kill() in the parent to the first line of the function, by"
        " CLOCK_MONOTONIC in both; the program sleeps meanwhile",
    )
    bare = "bare handler"
    clock = time.CLOCK_MONOTONIC

    def sample(way):
        program = HERE / "terminated.py"
        pipe = subprocess.PIPE
        with started(sys.executable, program, way, 1, stdout=pipe, stderr=pipe) as process:
            process.stdout.readline()
            pause(0.05)  # it sleeps by now
            sent = time.clock_gettime_ns(clock)
            os.kill(process.pid, signal.SIGTERM)
            began = int(process.stdout.readline())
            process.wait()
            gone = time.clock_gettime_ns(clock)
        return {"first": (began - sent) / 1e9, "gone": (gone - sent) / 1e9}

    bench.interleave(row, bench.rounds(40, 4), [OURS, bare, *PEERS], sample)
    ours, others = row.series[OURS]["first"], row.series[bare]["first"]
    row.reach(
        "SIGTERM to the first item, more than a handler that raises SystemExit and `atexit`",
        [a - b for a, b in zip(ours, others, strict=True)],
        most=1e-3,
    )
    return row


def resting(bench):
    """Count what a process has and does that only waits."""
    seconds = 1 if bench.quick else 5
    row = Row(
        "at rest",
        "",
        f"threads, file descriptors, and voluntary context switches in {seconds} s, of a program"
        " that sleeps; read from /proc",
    )
    if not Path("/proc/self/task").exists():
        row.cannot[OURS] = "there is no /proc"
        return row
    ways = [OURS, "bare handler", *PEERS]
    ways = [way for way in ways if way not in PEERS or importlib.util.find_spec(PEERS[way])]

    def look(pid):
        proc = Path(f"/proc/{pid}")
        tasks = [(task / "status").read_text() for task in (proc / "task").iterdir()]
        switches = [text.partition("\nvoluntary_ctxt_switches:")[2].split()[0] for text in tasks]
        return len(tasks), len(list((proc / "fd").iterdir())), sum(map(int, switches))

    bench.say(row.title)
    with ExitStack() as running:
        processes = {}
        for way in ways:
            program = (sys.executable, HERE / "terminated.py", way, 3600)
            process = running.enter_context(started(*program, stdout=subprocess.PIPE))
            process.stdout.readline()
            processes[way] = process.pid
        pause(0.5)
        before = {way: look(pid) for way, pid in processes.items()}
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pause(0.1)
        for way, pid in processes.items():
            threads, files, switches = look(pid)
            wakeups = (switches - before[way][2]) / seconds
            row.add(way, threads=threads, files=files, wakeups=wakeups)
    for name, what in (
        ("threads", "threads at rest, more than without"),
        ("files", "file descriptors at rest, more than without"),
        ("wakeups", "wake-ups per second at rest, more than without"),
    ):
        ours, others = row.series[OURS][name], row.series["bare handler"][name]
        row.reach(what, [ours[0] - others[0]], worst=True, most=0)
    return row


ROWS = {
    "import": importing,
    "register": registering,
    "memory": remembering,
    "steps": growing,
    "run": running,
    "threads": stopping,
    "lateness": overrunning,
    "sigterm": terminating,
    "rest": resting,
}
