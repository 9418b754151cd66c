"""The plots, in SVG: the same numbers give the same file."""

from statistics import median

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from report import COLUMNS, shown
from rows import OURS, middle

mpl.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": OURS,
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.5,
        "legend.frameon": False,
        "legend.fontsize": 8,
    }
)
RED, GREY = "#c0392b", "#95a5a6"
# A way has the same colour in every plot.
WAYS = [OURS, *COLUMNS[1:], "plain loop", "timed lock", "bare handler"]
OTHERS = [
    one for number, one in enumerate(mpl.color_sequences["tab20"]) if number // 2 != 3
]  # no red
COLOURS = dict(zip(WAYS, [RED, *OTHERS], strict=False))


def draw(name, results, path):
    """Draw one plot, of the rows that are there."""
    figure = Figure(figsize=(9, 0), layout="constrained")
    DRAW[name](figure, results["rows"])
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def costs(figure, rows):
    """Draw bars, the quickest above."""
    figure.set_figheight(5.2)
    panels = [
        ("import", "wall", "import, over signal and threading", 1e-3),
        ("register", "callback", "register a callback", 1e-6),
        ("memory", "callback", "memory for a callback", 250),
        ("run", "run", "run an empty callback", 1e-6),
    ]
    for axes, (name, what, title, most) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        row = rows.get(name, {"series": {}, "unit": ""})
        medians = {
            way: median(series[what]) for way, series in row["series"].items() if what in series
        }
        ways = sorted((way for way in medians if medians[way] > 0), key=medians.get, reverse=True)
        values = [medians[way] for way in ways]
        colours = [RED if way == OURS else GREY for way in ways]
        axes.barh(ways, values, color=colours, height=0.7)
        for place, way in enumerate(ways):
            samples = row["series"][way][what]
            _, low, high = middle(samples)
            axes.plot([low, high], [place, place], color="black", linewidth=1)
            value = f"  {shown(medians[way], row['unit'])}"
            axes.text(max(high, medians[way]), place, value, va="center", fontsize=8)
        axes.axvline(most, color="black", linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.margins(x=0.3)
        axes.set_title(f"{title} (dotted: to reach, {shown(most, row['unit'])})")
        tidy(axes.xaxis, row["unit"])


def growth(figure, rows):
    """Draw the cost of an item over the number of items."""
    figure.set_figheight(3.4)
    series = rows.get("steps", {"series": {}})["series"]
    steps = ("register", "unregister", "run")
    for axes, step in zip(figure.subplots(1, 3, sharey=True), steps, strict=True):
        for way, things in sorted(series.items(), key=place_of):
            width = 2 if way == OURS else 1
            style = {"color": COLOURS[way], "linewidth": width, "marker": "."}
            whole, collector = (
                [median(things[name]) for name in things if name.startswith(f"{start} of ")]
                for start in (step, f"{step}, collector")
            )
            names = [name for name in things if name.startswith(f"{step} of ")]
            sizes = [int(name.rpartition(" ")[2].replace(",", "")) for name in names]
            axes.plot(sizes, whole, label=way, **style)
            if way in (OURS, "plain loop"):
                rest = [one - other for one, other in zip(whole, collector, strict=True)]
                axes.plot(sizes, rest, linestyle=":", label=f"{way}, less the collector", **style)
        axes.set(title=f"{step}, for one item", xlabel="items", xscale="log", yscale="log")
        axes.xaxis.set_minor_locator(NullLocator())
        tidy(axes.yaxis, "s")
    if series:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right")


def times(figure, rows):
    """Draw which part of the samples is below each time."""
    figure.set_figheight(3.2)
    panels = [
        ("lateness", "late", "lateness of a timeout of 20 ms", 1e-3),
        ("sigterm", "first", "SIGTERM to the first function", None),
    ]
    for axes, (name, what, title, most) in zip(figure.subplots(1, 2), panels, strict=True):
        series = rows.get(name, {"series": {}})["series"]
        for way, things in sorted(series.items(), key=place_of):
            width = 2 if way == OURS else 1
            axes.ecdf(things[what], color=COLOURS[way], linewidth=width, label=way)
        if most:
            axes.axvline(most, color="black", linestyle=":", linewidth=1)
        axes.set(title=title, xscale="log", ylabel="share of the samples", ylim=(0, 1.02))
        tidy(axes.xaxis, "s")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right")


def load(figure, rows):
    """Draw the ratio of each pair, and the time of each stop."""
    figure.set_figheight(3.2)
    left, right = figure.subplots(1, 2)
    labels = []
    for server in ("granian", "uvicorn"):
        series = rows.get(server, {"series": {}})["series"]
        if not series:
            continue
        others = sorted(way for way in series if way != "without")  # "with graceexit" first
        for way in others:
            pairs = zip(series[way]["requests"], series["without"]["requests"], strict=True)
            ratio = [100 * (one / other - 1) for one, other in pairs]
            place = len(labels)
            colour = RED if OURS in way else GREY
            spots = [place + 0.3 * (n / max(len(ratio) - 1, 1) - 0.5) for n in range(len(ratio))]
            left.plot(spots, ratio, ".", color=colour, markersize=5)
            left.plot([place - 0.25, place + 0.25], [median(ratio)] * 2, color="black")
            labels.append(f"{server}\n{way.replace('without, a', 'a')}")
    left.axhspan(-2, 2, color="#ecf0f1")
    left.set_xticks(range(len(labels)), labels, fontsize=7.5)
    left.set(title="requests per second, over a server without graceexit", ylabel="%")
    stops = rows.get("restarts", {"series": {}})["series"].get(OURS, {}).get("stop", [])
    right.bar(range(1, len(stops) + 1), stops, color=RED)
    right.set(title="restarts of Granian: SIGTERM to the end", xlabel="restart", ylabel="s")
    right.xaxis.get_major_locator().set_params(integer=True)


def tidy(axis, unit):
    """Write values with their unit, and no smaller marks."""
    axis.set_major_formatter(lambda value, _: shown(float(f"{value:.3g}"), unit))
    axis.set_minor_locator(NullLocator())


def place_of(series):
    """Return the place of a way among the others; *series* is a pair that begins with its name."""
    return WAYS.index(series[0])


DRAW = {"costs": costs, "growth": growth, "times": times, "load": load}
