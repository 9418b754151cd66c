"""A timeline as text, for a terminal or a log."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graceexit._rehearsal.timeline import Row, Timeline

LABELS = 36  # columns for the labels, at most
BARS = 20  # columns for the bars, at least
WORDS = 72  # columns for sentences, at least

GLYPHS = {
    False: {"process": "=", "main": ".", "thread": "#", "callback": "#", "cut off": "~"},
    True: {"process": "━", "main": "┄", "thread": "█", "callback": "█", "cut off": "▒"},
}
COLORS = {"process": "36", "main": "2", "thread": "32", "callback": "34", "cut off": "31"}
BAD, BOLD, FAINT = "31", "1", "2"
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass
class Style:
    """How the place is that the text is for."""

    width: int = 100
    color: bool = False
    unicode: bool = False


def draw(timeline: Timeline, style: Style) -> str:
    """Return the drawing and what was lost, without a newline at the end."""
    indented = [f"{'  ' * row.depth}{row.label}" for row in timeline.rows]
    notes = max((len(row.note) for row in timeline.rows), default=0)
    labels = min(max(map(len, [*indented, timeline.title])), LABELS)
    bars = max(style.width - labels - notes - 4, BARS)
    lines = [_axis(timeline, labels, bars, style)]
    for row, label in zip(timeline.rows, indented, strict=True):
        bar = _bar(row, timeline.seconds, bars, style)
        start = _paint(_cut(label, labels).ljust(labels), BOLD if row.depth == 0 else "", style)
        note = _paint(row.note, BAD if row.bad else "", style)
        lines.append(f"{start}  {bar}  {note}".rstrip())
    lines.append("")
    width = max((len(name) for name, _ in timeline.summary), default=0)
    lines += [f"{name.ljust(width)}  {text}" for name, text in timeline.summary]
    for loss in timeline.losses:
        lines += [_paint(line, BAD, style) for line in _wrap(loss.what, "LOST  ", style.width)]
        for more in loss.more:
            spaces = len(more) - len(more.lstrip())
            lines += _wrap(more.lstrip(), " " * (6 + spaces), style.width)
    for note in timeline.notes:
        lines += _wrap(note, "NOTE  ", style.width)
    lines.append(_paint(timeline.verdict, BAD if timeline.losses else "32", style))
    return "\n".join(lines)


def step(seconds: float, room: float) -> float:
    """Return the distance of the marks of the axis, if there is room for so many."""
    return next((one for one in STEPS if seconds / one <= room), seconds)


def ticks(seconds: float, room: float) -> list[float]:
    """Return where the axis has a mark."""
    distance = step(seconds, room)
    return [distance * number for number in range(int(seconds / distance + 1e-9) + 1)]


def _axis(timeline: Timeline, labels: int, bars: int, style: Style) -> str:
    """Return the first line: what was sent, and the seconds since."""
    axis = [" "] * (bars + 8)
    for tick in ticks(timeline.seconds, bars / 8):
        at = round(tick / timeline.seconds * (bars - 1))
        word = f"{tick:g} s" if tick == 0 else f"{tick:g}"
        if not any(mark != " " for mark in axis[max(at - 1, 0) : at + len(word) + 1]):
            axis[at : at + len(word)] = word
    for time, name in timeline.marks[1:]:
        at = min(round(time / timeline.seconds * (bars - 1)), bars)
        word = f"^{name}"
        axis[at : at + len(word)] = word
    title = _paint(_cut(timeline.title, labels).ljust(labels), BOLD, style)
    return f"{title}  {_paint(''.join(axis).rstrip(), FAINT, style)}"


def _bar(row: Row, seconds: float, bars: int, style: Style) -> str:
    """Return the bar of a row, in so many columns; what lasts no time is a column wide."""
    if row.begun is None or row.ended is None:
        return " " * bars
    begin = min(int(row.begun / seconds * bars), bars - 1)
    end = min(max(round(row.ended / seconds * bars), begin + 1), bars)
    glyph = GLYPHS[style.unicode][row.kind]
    if row.bad and not style.unicode:
        glyph = {"=": "X", "#": "!"}.get(glyph, glyph)
    body = _paint(glyph * (end - begin), BAD if row.bad else COLORS[row.kind], style)
    return f"{' ' * begin}{body}{' ' * (bars - end)}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 2]}.."


def _wrap(text: str, head: str, width: int) -> list[str]:
    """Return *text* in lines, the first with *head* and the others below it."""
    # A line to be copied stays one.
    if text.startswith("graceexit."):
        return [head + text]
    return textwrap.wrap(
        text,
        max(width, WORDS),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _paint(text: str, color: str, style: Style) -> str:
    return f"\x1b[{color}m{text}\x1b[0m" if color and text and style.color else text
