"""What checkers and editors make of the package; `make types` has them, and runs this."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import graceexit

HERE = Path(__file__).parent
CHECKERS = {
    "mypy": ("--strict",),
    "pyright": ("--pythonpath", sys.executable),
    "basedpyright": ("--pythonpath", sys.executable),
    "ty": ("check", "--output-format", "concise"),
}
ERROR = re.compile(r"(?m)^\s*(?:\S*/)?(\w+\.py):(\d+)(?::\d+)?(?::| -) error")


def needs(module):
    """Mark a test that only `make types` can run."""
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed; `make types` has it")


@pytest.fixture(scope="module", params=[pytest.param(one, marks=needs(one)) for one in CHECKERS])
def errors(request, tmp_path_factory):
    """Return the lines in which a checker finds errors, for each of the programs."""
    # Elsewhere, so that the settings of this project play no part.
    folder = tmp_path_factory.mktemp(request.param)
    names = ["right.py", "wrong.py"]
    for name in names:
        shutil.copy(HERE / "types" / name, folder)
    command = [sys.executable, "-m", request.param, *CHECKERS[request.param], *names]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found = ERROR.findall(run.stdout)
    assert found, run.stdout + run.stderr
    return {name: {int(line) for where, line in found if where == name} for name in names}


def test_what_is_right_is_accepted(errors):
    """Every public name, with the types that it gives."""
    assert errors["right.py"] == set()


def test_what_is_wrong_is_refused_on_its_line(errors):
    """A thread without `stop`, a callback with it, and whatever else would raise a TypeError."""
    lines = (HERE / "types" / "wrong.py").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, 1) if "# wrong" in line}
    assert errors["wrong.py"] == marked


def test_the_stub_is_what_make_stub_writes(monkeypatch):
    """Its signatures and docstrings are those of the methods."""
    monkeypatch.syspath_prepend(HERE.parent / "tools")
    written = Path(graceexit.__file__).with_name("__init__.pyi").read_text(encoding="utf-8")
    module = importlib.import_module("stub")
    assert ast.unparse(ast.parse(written)) == ast.unparse(ast.parse(module.stub()))


def test_the_page_of_the_api_is_what_make_api_writes(monkeypatch):
    """It has every public name, as the docstrings explain it."""
    page = HERE.parent / "docs" / "api.md"
    if not page.exists():
        pytest.skip("docs/api.md is not part of this copy")
    monkeypatch.syspath_prepend(HERE.parent / "tools")
    module = importlib.import_module("api")
    assert page.read_text(encoding="utf-8") == module.page()
    assert {*module.FUNCTIONS, *module.CLASSES, "exiting"} == set(graceexit.__all__)


@pytest.fixture
def completed(tmp_path_factory):
    """Return what an editor offers after `graceexit.` and some letters."""
    import jedi

    # Its own is that of all processes, which disturb each other there.
    jedi.settings.cache_directory = str(tmp_path_factory.mktemp("jedi"))

    def complete(letters):
        here = jedi.InterpreterEnvironment()
        script = jedi.Script(f"import graceexit\ngraceexit.{letters}", environment=here)
        return {found.name: found for found in script.complete()}

    return complete


@needs("jedi")
def test_an_editor_completes_the_public_names_alone(completed):
    """It offers nothing that the package needs only for itself."""
    names = completed("")
    assert {name for name in names if not name.startswith("_")} == set(graceexit.__all__)


@needs("jedi")
@pytest.mark.parametrize("name", ["register", "on_exit", "unregister", "install", "hold"])
def test_an_editor_shows_a_function_with_its_options(completed, name):
    """Not a variable, of whose type it would know nothing."""
    found = completed(name)[name]
    assert found.type == "function"
    given = {argument.name for sign in found.get_signatures() for argument in sign.params}
    assert given >= set(getattr(graceexit, name).__func__.__kwdefaults__ or ())
