"""What the tables of pages have in common that are made of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

END = "<!-- the end of what is made -->"


def line(words: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(words)} |"


def measured(dates: Iterable[str], pythons: Iterable[str], versions: Iterable[str]) -> str:
    """Return when, and with what, results were found."""
    days = sorted(set(dates))
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    python = " and ".join(sorted(set(pythons)))
    names = ", ".join(sorted(set(versions) - {""}))
    return f"Measured {when} on Linux with Python {python}: {names}."


def split(page: str, begin: str) -> tuple[str, str, str]:
    """Return what stands before the tables, the tables, and what stands after them."""
    before, _, rest = page.partition(begin)
    made, _, after = rest.partition(END)
    return before + begin, made, END + after
