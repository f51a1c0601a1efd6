#!/usr/bin/python3
"""tests/bench/plot.py FIGURES.json OUT.svg: draws what `make bench` measured.

Whole lives as dots on a logarithmic scale, with a line from p10 to p99, and the start against how many live.
"""
import json
import math
import sys
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, ROW = 760, 190, 90, 26
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .small { font-size: 11px; fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 } .range { stroke-width: 2 }
.ours { fill: #0969da; stroke: #0969da } .floor { fill: #818b98; stroke: #818b98 } .peer { fill: #bc4c00; stroke: #bc4c00 }
text.ours, text.floor, text.peer { stroke: none }
.page { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .small { fill: #9198a1 } .grid { stroke: #3d444d } .page { fill: #0d1117 }
.ours { fill: #4493f8; stroke: #4493f8 } .peer { fill: #db6d28; stroke: #db6d28 }
}
"""


class Axis:
    """Values to places, logarithmically; whole decades at the ends of what is shown."""

    def __init__(self, values, left, right):
        self.low, self.high = math.log10(min(values)), math.log10(max(values))
        self.low, self.high = math.floor(self.low * 2) / 2, math.ceil(self.high * 2) / 2
        if self.high == self.low:
            self.high += 0.5
        self.left, self.right = left, right

    def place(self, value):
        return self.left + (math.log10(value) - self.low) / (self.high - self.low) * (self.right - self.left)

    def ticks(self):
        for decade in range(math.floor(self.low), math.ceil(self.high) + 1):
            for step in (1, 3):
                value = step * 10.0 ** decade
                if self.low - 1e-9 <= math.log10(value) <= self.high + 1e-9:
                    yield value


def milliseconds(usec):
    value = usec / 1000
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def kind_of(name):
    return "floor" if name.startswith("floor") else "ours" if name.startswith("shoal") else "peer"


def label_of(name):
    return name.replace(" none", ", no network").replace("shoal up", "shoal up, whole program")


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def panel(top, title, rows):
    """rows: (label, kind, spread) in microseconds. The elements, and where the panel ends."""
    values = [row[key] for _, _, row in rows for key in ("p10", "p50", "p99")]
    axis = Axis(values, LEFT, WIDTH - RIGHT)
    bottom = top + 34 + ROW * len(rows)
    out = [text(16, top + 14, title, "title")]
    for value in axis.ticks():
        x = axis.place(value)
        out.append(f'<line x1="{x:.1f}" y1="{top + 26}" x2="{x:.1f}" y2="{bottom}" class="grid"/>')
        out.append(text(x, bottom + 15, milliseconds(value), "small", "middle"))
    for number, (label, kind, row) in enumerate(rows):
        y = top + 34 + ROW * number + ROW / 2
        out.append(text(LEFT - 12, y + 4, label, "", "end"))
        out.append(f'<line x1="{axis.place(row["p10"]):.1f}" y1="{y:.1f}" x2="{axis.place(row["p99"]):.1f}" y2="{y:.1f}" '
                   f'class="range {kind}"/>')
        out.append(f'<circle cx="{axis.place(row["p50"]):.1f}" cy="{y:.1f}" r="5" class="{kind}"><title>{escape(label)}: '
                   f'p50 {milliseconds(row["p50"])}, p10 {milliseconds(row["p10"])}, p99 {milliseconds(row["p99"])}</title></circle>')
        out.append(text(WIDTH - RIGHT + 14, y + 4, milliseconds(row["p50"]), kind))
    return out, bottom + 34


def draw(results):
    """The SVG's text; empty when nothing that it shows was measured."""
    body, y = [], 12
    lives = results.get("lives", {}).get("contenders")
    if lives:
        rows = sorted(((label_of(name), kind_of(name), row["life"]) for name, row in lives.items()), key=lambda row: row[2]["p50"])
        made, y = panel(y, "One sandbox, from the decision to its end (dot: median, line: p10 to p99)", rows)
        body += made
    starts = results.get("live", {}).get("start")
    if starts:
        rows = [(f"{int(level):,} live", "ours", row) for level, row in starts.items()]
        made, y = panel(y + 6, "shoal: from the decision to execve, with so many live on the same network", rows)
        body += made
    if not body:
        return ""
    about = results["about"]
    foot = [f"{about['cpus']} x {about['cpu']}, {about['memory_gib']} GiB, {about['system']}, Linux {about['kernel']}, {about['shoal']}",
            f"{about['time']}; load average {about['load_before']:.1f}; {about['priority']} priority, root file system and busybox the "
            "same for all", "what each program does and does not do: docs/PERFORMANCE.md"]
    for line in foot:
        body.append(text(16, y + 6, line, "small"))
        y += 16
    height = y + 4
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'role="img" aria-label="Start and life of a sandbox, measured">\n<style>{STYLE}</style>\n'
            f'<rect width="100%" height="100%" class="page"/>\n' + "\n".join(body) + "\n</svg>\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as figures:
        drawn = draw(json.load(figures))
    if not drawn:
        sys.exit(f"plot: {sys.argv[1]} has neither lives nor live")
    with open(sys.argv[2], "w") as out:
        out.write(drawn)


if __name__ == "__main__":
    main()
