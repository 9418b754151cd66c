"""
Take one mechanism after the other out of the package, and see a test fail each time.

python tools/mutants.py [NAME...]
python tools/mutants.py --check

A mutant is a patch in `tests/mutants`. Its head says what it takes out, which test must fail then
and, where that is not all of them, on which Pythons:

    The main thread is not made to leave the join.
    Test: tests/test_endings.py::test_a_stuck_thread_is_left_behind_and_the_status_is_kept[ends-7]
    Python: >=3.13

Each is applied to a copy of the package that is installed in a virtual environment of its own, in
front of what the tests need besides, so that the test and the programs that it starts import that
copy and nothing else. The checkout stays as it is. First every one of the tests has to pass with an
unchanged copy. Prints a line for each mutant, and the survivors; the exit status is 1 if there are
any. `--check` only says which patches no longer apply, and which tests are no longer there.
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

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
AT_ONCE = 4  # most of the time they wait for programs, as `make test` does
LIMIT = 15  # seconds for a program; a mutant that hangs has been noticed
LAST = re.compile(r"\d+ (?:passed|failed|error|skipped)[^\n]*\n*$")
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider")


class Mutant:
    """One patch, and what its head says."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        head, *files = re.split(r"^--- .*\n\+\+\+ b/", text, flags=re.MULTILINE)
        self.name = path.stem
        self.what, *fields = head.splitlines()
        known = dict(field.split(": ", 1) for field in fields)
        self.test = known["Test"]
        self.pythons = SpecifierSet(known.get("Python", ""))
        self._changes = [  # in which file, from what, to what
            (file.partition("\n")[0], side(hunk, " -"), side(hunk, " +"))
            for file in files
            for hunk in re.split(r"^@@.*\n", file, flags=re.MULTILINE)[1:]
        ]

    def apply(self, place: Path) -> dict[Path, str]:
        """Return the texts of the files in *place* that it changes."""
        texts: dict[Path, str] = {}
        for file, before, after in self._changes:
            path = place / file
            text = texts.get(path) or path.read_text(encoding="utf-8")
            if text.count(before) != 1:
                raise ValueError(f"{self.name}: {text.count(before)} times in {file}:\n{before}")
            texts[path] = text.replace(before, after)
        return texts


def side(hunk: str, marks: str) -> str:
    """Return the lines of *hunk* that have one of the marks, without it."""
    return "".join(line[1:] for line in hunk.splitlines(keepends=True) if line[0] in marks)


def check(mutants: list[Mutant]) -> list[str]:
    """Return what is wrong with the patches and the names of the tests."""
    wrong = []
    for mutant in mutants:
        try:
            mutant.apply(ROOT)
        except ValueError as error:
            wrong.append(str(error))
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
        for path, text in mutant.apply(packages).items() if mutant else ():
            path.write_text(text, encoding="utf-8")

        # The tests, which make sure that they import what is installed there.
        options = ["-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "--installed"]
        options += ["-o", f"faulthandler_timeout={2 * LIMIT}"]  # after the stacks of its programs
        options += ["-o", "faulthandler_exit_on_timeout=true"]
        options += [] if mutant else ["-p", "xdist", "-n", str(AT_ONCE)]
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
    every = {path.stem: path for path in sorted((ROOT / "tests" / "mutants").glob("*.patch"))}
    if unknown := set(names) - {*every, "--check"}:
        sys.exit(f"There is no tests/mutants/{unknown.pop()}.patch")
    mutants = [Mutant(every[name]) for name in (every if only_check else names or every)]
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
            print(f"{how:8}  {seconds:3.0f} s  {mutant.name}: {mutant.what}", flush=True)
            if how == "error":
                print(said)
    counts = ", ".join(f"{len(names)} {how}" for how, names in results.items())
    print(f"{len(mutants)} mutants: {counts}")
    print("survivors:", ", ".join(results.get("survived", [])) or "none")
    return 1 if results.keys() & {"survived", "error"} else 0


if __name__ == "__main__":
    sys.exit(main())
