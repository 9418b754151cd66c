"""
Take one mechanism after the other out of the package, and see a test fail each time.

python tools/mutants.py [NAME...]
python tools/mutants.py --check

`tests/mutants.toml` is the table. An entry says in which module what stands there, what replaces
it, which test must fail then and, where that is not all of them, on which Pythons:

    [leave-the-join]
    module = "_exit"
    there = '''
    if self.phase == LEAVING and is_joining(frame):
        raise Leave
    '''
    instead = ''
    test = "test_endings.py::test_a_stuck_thread_is_left_behind_and_the_status_is_kept[ends-7]"
    pythons = ">=3.13"

What stands there has to stand there once. Whole lines do so at whatever depth, and what replaces
them gets the same.

Each is put into a copy of the package that is installed in a virtual environment of its own, in
front of what the tests need besides, so that the test and the programs that it starts import that
copy and nothing else. The checkout stays as it is. First every one of the tests has to pass with an
unchanged copy. Prints a line for each mutant, and the survivors; the exit status is 1 if there are
any. `--check` only says which entries no longer apply, and which tests are no longer there.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent

from packaging.specifiers import SpecifierSet

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest needs there

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "tests" / "mutants.toml"
AT_ONCE = 4  # most of the time they wait for programs, as `make test` does
LIMIT = 15  # seconds for a program; a mutant that hangs has been noticed
LAST = re.compile(r"\d+ (?:passed|failed|error|skipped)[^\n]*\n*$")
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider")


class Mutant:
    """One entry of the table."""

    def __init__(
        self, name: str, *, module: str, there: str, instead: str, test: str, pythons: str = ""
    ) -> None:
        self.name = name
        self.test = f"tests/{test}"
        self.pythons = SpecifierSet(pythons)
        self._file = f"graceexit/{module.replace('.', '/')}.py"
        self._there = there
        self._instead = instead

    def apply(self, place: Path) -> tuple[Path, str]:
        """Return the file in *place* that it changes, and what that has then."""
        path = place / self._file
        text = path.read_text(encoding="utf-8")
        if not self._there.endswith("\n"):  # a part of a line
            found = text.count(self._there)
            changed = text.replace(self._there, self._instead)
        else:
            lines = [f"(?P=depth){re.escape(line)}\n" for line in self._there.splitlines()]
            pattern = "".join(lines).replace("(?P=depth)", "^(?P<depth> *)", 1)
            pattern = pattern.replace("(?P=depth)\n", "\n")  # an empty line has no depth
            found = len(re.findall(f"(?m){pattern}", text))
            changed = re.sub(f"(?m){pattern}", lambda at: indent(self._instead, at["depth"]), text)
        if found != 1:
            raise ValueError(f"{found} times in {self._file}:\n{self._there}")
        return path, changed


def mutants_of(table: Path) -> dict[str, Mutant]:
    """Return the entries of *table*, by their names."""
    entries = tomllib.loads(table.read_text(encoding="utf-8"))
    return {name: Mutant(name, **entry) for name, entry in entries.items()}


def check(mutants: list[Mutant]) -> list[str]:
    """Return what is wrong with the entries and the names of the tests."""
    wrong = []
    for mutant in mutants:
        try:
            path, changed = mutant.apply(ROOT)
            compile(changed, path, "exec")
        except (ValueError, SyntaxError) as error:
            wrong.append(f"{mutant.name}: {error}")
    tests = sorted({mutant.test for mutant in mutants})
    collect = [sys.executable, *PYTEST, "--collect-only", "-q", *tests]
    collected = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True, check=False)
    said = collected.stdout + collected.stderr
    missing = [line for line in said.splitlines() if line.startswith("ERROR")]
    return wrong + (missing if missing or not collected.returncode else [said])


def run(tests: list[str], mutant: Mutant | None) -> tuple[str, str]:
    """Run the tests with a copy of the package, changed or not; return how it went and all said."""
    with TemporaryDirectory() as directory:
        # A virtual environment with the copy, and then everything that this one has.
        place = Path(directory)
        venv.create(place, symlinks=True)
        bases = {"base": directory, "platbase": directory}
        packages = Path(sysconfig.get_path("purelib", vars=bases))
        more = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        (packages / "tests.pth").write_text(more, encoding="utf-8")
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "graceexit", packages / "graceexit", ignore=ignore)
        if mutant:
            path, changed = mutant.apply(packages)
            path.write_text(changed, encoding="utf-8")

        # The tests, which make sure that they import what is installed there.
        options = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "--installed"]
        options += ["-o", f"faulthandler_timeout={2 * LIMIT}"]  # after the stacks of its programs
        options += ["-o", "faulthandler_exit_on_timeout=true"]
        options += ["-x"] if mutant else ["-p", "xdist", "-n", str(AT_ONCE)]
        command = [place / "bin" / "python", *PYTEST, *options, *(ROOT / test for test in tests)]
        changes = {"LIMIT_OF_A_PROGRAM": str(LIMIT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        try:
            tested = subprocess.run(
                command,
                cwd=place,
                env=os.environ | changes,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="backslashreplace",
                check=False,
                timeout=4 * LIMIT if mutant else None,
            )
        except subprocess.TimeoutExpired:  # a thread of a test that has failed keeps pytest alive
            return "killed", ""
    last = LAST.search(tested.stdout)
    if tested.returncode == 1:
        return "killed", tested.stdout
    if tested.returncode or not last:
        return "error", tested.stdout
    return "survived" if "passed" in last[0] else "skipped", tested.stdout


def one_run(mutant: Mutant) -> tuple[Mutant, str, str, float]:
    """Run one mutant's test; return the mutant, how it went, all that was said, and seconds."""
    began = time.monotonic()
    if platform.python_version() not in mutant.pythons:
        return mutant, "skipped", "", 0.0
    how, said = run([mutant.test], mutant)
    return mutant, how, said, time.monotonic() - began


def main() -> int:
    """Check, or run all or those named."""
    names = sys.argv[1:]
    only_check = names == ["--check"]
    every = mutants_of(TABLE)
    if unknown := set(names) - {*every, "--check"}:
        sys.exit(f"tests/mutants.toml has no entry {unknown.pop()}")
    mutants = [every[name] for name in (every if only_check else names or every)]
    if wrong := check(mutants):
        print(*wrong, sep="\n")
        return 1
    if only_check:
        return 0

    how, said = run(sorted({mutant.test for mutant in mutants}), None)
    if how != "survived":
        print(said, "The tests do not pass with the package as it is.", sep="\n")
        return 1
    results: dict[str, list[str]] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutant, how, said, seconds in pool.map(one_run, mutants):
            results.setdefault(how, []).append(mutant.name)
            test = mutant.test.partition("::")[2]
            print(f"{how:8}  {seconds:3.0f} s  {mutant.name}: {test}", flush=True)
            if how == "error":
                print(said)
    counts = ", ".join(f"{len(names)} {how}" for how, names in results.items())
    print(f"{len(mutants)} mutants: {counts}")
    print("survivors:", ", ".join(results.get("survived", [])) or "none")
    return 1 if results.keys() & {"survived", "error"} else 0


if __name__ == "__main__":
    sys.exit(main())
