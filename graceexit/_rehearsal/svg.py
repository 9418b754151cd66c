"""A timeline as a picture, for a README or a pull request; light or dark as the reader has it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from graceexit._rehearsal.text import ticks

if TYPE_CHECKING:
    from graceexit._rehearsal.timeline import Row, Timeline

WIDTH = 860
EDGE = 20
LINE = 22
LABELS = 225
NOTES = 222
CHARACTER = 6.7  # the width of one, in the font's size of 12
BARS = WIDTH - 2 * EDGE - LABELS - NOTES

STYLE = """
    .back { fill: #ffffff; stroke: #d0d7de } text { fill: #1f2328 } .faint { fill: #59636e }
    .grid { stroke: #d0d7de } .mark { stroke: #cf222e } .bad { fill: #cf222e }
    .process { fill: #afb8c1 } .main { fill: #d4a72c } .thread { fill: #2da44e }
    .callback { fill: #0969da } .cutoff, .lost { fill: #cf222e } .ok { fill: #1a7f37 }
    text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
    .head { font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      .back { fill: #0d1117; stroke: #3d444d } text { fill: #f0f6fc } .faint { fill: #9198a1 }
      .grid { stroke: #2a313c } .mark { stroke: #f85149 } .bad { fill: #f85149 }
      .process { fill: #656c76 } .main { fill: #d29922 } .thread { fill: #3fb950 }
      .callback { fill: #4493f8 } .cutoff, .lost { fill: #f85149 } .ok { fill: #3fb950 }
    }
""".rstrip()


def draw(timeline: Timeline, command: str) -> str:
    """Return the picture: the command, the rows, and in a few lines what was lost."""
    top = EDGE + 2 * LINE
    below = top + LINE * len(timeline.rows)
    words = [(f"{name}: {text}", "faint") for name, text in timeline.summary]
    words += [(loss.what, "bad") for loss in timeline.losses]
    words.append((timeline.verdict, "bad" if timeline.losses else "ok"))
    height = below + LINE * len(words) + EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"  <title>{escape(f'{timeline.title} of {command}. {timeline.verdict}')}</title>",
        f"  <style>{STYLE}\n  </style>",
        f'  <rect class="back" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        _text(EDGE, EDGE + 8, _cut(f"$ {command}", WIDTH - 2 * EDGE), "head"),
        _text(EDGE, top - 12, timeline.title, "faint"),
    ]
    for tick in ticks(timeline.seconds, BARS / 60):
        at = _x(tick, timeline.seconds)
        parts.append(f'  <path class="grid" d="M{at:.1f} {top - 6}V{below}"/>')
        name = f"{tick:g} s"
        parts.append(_text(at, top - 12, name, "faint", anchor="middle"))
    for time, name in timeline.marks[1:]:
        at = _x(time, timeline.seconds)
        parts.append(f'  <path class="mark" d="M{at:.1f} {top - 6}V{below}"/>')
        parts.append(_text(at + 3, below + 2, name, "bad"))
    for number, row in enumerate(timeline.rows):
        parts += _row(row, timeline.seconds, top + LINE * number)
    for number, (text, kind) in enumerate(words):
        parts.append(_text(EDGE, below + LINE * (number + 1), _cut(text, WIDTH - 2 * EDGE), kind))
    return "\n".join([*parts, "</svg>", ""])


def _row(row: Row, seconds: float, top: float) -> list[str]:
    """Return what a row consists of."""
    indent = EDGE + 14 * row.depth
    label = _cut(row.label, EDGE + LABELS - 10 - indent)
    kind = "head" if row.kind == "process" and row.depth == 0 else ""
    parts = [_text(indent, top + 14, label, kind)]
    if row.begun is not None and row.ended is not None:
        begin, end = _x(row.begun, seconds), _x(row.ended, seconds)
        tall = {"process": 8, "main": 4}.get(row.kind, 12)
        shade = "lost" if row.bad else row.kind.replace(" ", "")
        parts.append(
            f'  <rect class="{shade}" x="{begin:.1f}" y="{top + 10 - tall / 2:g}" '
            f'width="{max(end - begin, 2):.1f}" height="{tall}" rx="2"/>'
        )
    note = _cut(row.note, NOTES - 10)
    parts.append(_text(WIDTH - EDGE - NOTES + 14, top + 14, note, "bad" if row.bad else "faint"))
    return parts


def _x(time: float, seconds: float) -> float:
    return EDGE + LABELS + min(time / seconds, 1.0) * BARS


def _text(x: float, y: float, text: str, kind: str, anchor: str = "") -> str:
    middle = f' text-anchor="{anchor}"' if anchor else ""
    named = f' class="{kind}"' if kind else ""
    return f'  <text{named} x="{x:.1f}" y="{y:g}"{middle}>{escape(text)}</text>'


def _cut(text: str, width: float) -> str:
    room = int(width / (CHARACTER + 0.55))
    return text if len(text) <= room else f"{text[: room - 1]}…"
