"""The pages are written for GitHub; the site's Markdown wants a little more of them."""

import importlib.util
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent / "tools"


@pytest.fixture
def site():
    """Return tools/site.py; it is not the standard library's module of that name."""
    spec = importlib.util.spec_from_file_location("tools_site", TOOLS / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_list_has_an_empty_line_before_it_and_four_spaces_where_it_goes_on(site):
    """Otherwise it would be a part of the paragraph, and its block of code would end it."""
    page = (
        "Two things:\n* one\n  goes on\n\n  ```python\n  if x:\n      y()\n  ```\n"
        "* two\n\nThe end.\n"
    )
    assert site.laid_out(page) == (
        "Two things:\n\n* one\n    goes on\n\n    ```python\n    if x:\n        y()\n    ```\n"
        "* two\n\nThe end.\n"
    )


def test_a_block_of_code_stays_as_it_is(site):
    """What looks like a list in it is none."""
    page = "Text.\n\n```text\nwork:\n* one\n  two\n```\n"
    assert site.laid_out(page) == page


def test_links_lead_to_a_page_of_the_site_or_to_the_repository(site, tmp_path):
    """A picture comes along, and somebody else's link stays."""
    site.gather(tmp_path)
    index = (tmp_path / "index.md").read_text(encoding="utf-8")
    assert "(limits.md)" in index
    assert "(rehearsal.svg)" in index
    assert (tmp_path / "rehearsal.svg").exists()
    assert f"({site.FILES}/examples/06_celery.py)" in index
    assert "](docs/" not in index
    limits = (tmp_path / "limits.md").read_text(encoding="utf-8")
    assert "(https://github.com/python/cpython/issues/85300)" in limits


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (
            '<link rel="stylesheet" href="https://fonts.example/a.css">',
            "https://fonts.example/a.css",
        ),
        ("<script src=https://cdn.example/a.js></script>", "https://cdn.example/a.js"),
        ('<img alt="x" src="https://img.example/a.png">', "https://img.example/a.png"),
        ("<style>@import url(https://fonts.example/b.css)</style>", "https://fonts.example/b.css"),
        ('<a href="https://elsewhere.example/">a link</a>', None),
        ('<link rel="canonical" href="https://graceexit.example/">', None),
        ('<script src="../assets/a.js"></script>', None),
    ],
)
def test_what_a_browser_would_fetch_from_another_host_is_found(site, tmp_path, text, host):
    """A link that a reader has to follow is none of it."""
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    assert site.foreign(tmp_path) == ([f"page.html: {host}"] if host else [])
