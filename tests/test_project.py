"""What is tested is what is installed, and what is installed is the package alone."""

from __future__ import annotations

import re
import sys
from importlib.metadata import files, metadata
from pathlib import Path

import pytest

import graceexit


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


def test_the_page_of_the_index_has_only_links_that_lead_somewhere_there():
    """Beside it there is no file of the project, so links and pictures have whole addresses."""
    text = metadata("graceexit")["Description"]
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 10
    assert [link for link in links if not link.startswith("https://")] == []
    [picture] = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert picture.endswith(f"/v{graceexit.__version__}/docs/rehearsal.svg")
