"""Draws the dashboards for review where no Grafana is: panels in their places, with their titles, units and thresholds, and what Prometheus
answers. It is no Grafana: colours, fonts and legends are its own.

usage: draw_dashboards.py PROMETHEUS DASHBOARDS RATE_INTERVAL SECONDS CHROMIUM PICTURES
"""
import html
import json
import math
import pathlib
import sys
import time
import urllib.parse
import urllib.request

from playwright.sync_api import sync_playwright

prometheus, dashboards, rate_interval, seconds, chromium, pictures = sys.argv[1:]
dashboards, pictures, seconds = pathlib.Path(dashboards), pathlib.Path(pictures), int(seconds)
VARIABLES = {"$__rate_interval": rate_interval, "$job": "palisade", "$instance": ".*", "$region": ".*"}
COLORS = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#e0b400", "#5794f2", "#fa6400"]
COLUMN, ROW = 58, 34
STYLE = """
body { margin: 16px; background: #111217; color: #ccccdc; font: 12px system-ui, sans-serif }
h1 { font-size: 16px } main { position: relative }
section { position: absolute; box-sizing: border-box; background: #181b1f; border: 1px solid #2c3235; padding: 6px 8px; overflow: hidden }
section.row { background: none; border: 0; font-weight: 600 }
h2 { font-size: 12px; margin: 0 0 2px } .key { white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
b { font-size: 26px; font-weight: 500 } td, th { text-align: left; padding-right: 12px } .none { color: #8e8e99 }
"""


def ask(path, **parameters):
    with urllib.request.urlopen(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def shown(value, unit):
    """A number as people read it."""
    if value is None or math.isnan(value):
        return "-"
    match unit:
        case "percentunit":
            return f"{value:.2%}"
        case "s":
            scale = [(1e-3, 1e6, "µs"), (1, 1e3, "ms"), (120, 1, "s"), (7200, 1 / 60, "min"), (math.inf, 1 / 3600, "h")]
        case "bytes":
            scale = [(1 << 10, 1, "B"), (1 << 20, 2**-10, "KiB"), (1 << 30, 2**-20, "MiB"), (math.inf, 2**-30, "GiB")]
        case _:
            scale = [(1e4, 1, ""), (1e7, 1e-3, "k"), (math.inf, 1e-6, "M")]
    factor, name = next((factor, name) for below, factor, name in scale if abs(value) < below)
    return f"{value * factor:.3g} {name}{'/s' if unit == 'cps' else ''}".strip()


def named(metric, legend):
    for label, value in metric.items():
        legend = legend.replace(f"{{{{{label}}}}}", value)
    return legend or ", ".join(f"{label}={value}" for label, value in metric.items() if label != "__name__") or "value"


def color_of(value, steps):
    """The colour of the highest step that the value has reached."""
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return {"green": "#73bf69", "red": "#f2495c", "orange": "#ff780a"}.get(reached[-1], reached[-1]) if reached else "#ccccdc"


def lines(panel, series, width, height, began):
    unit, steps = panel["fieldConfig"]["defaults"]["unit"], panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    values = [value for _, points in series for _, value in points if not math.isnan(value)]
    top = max([*values, 1e-9]) * 1.1
    left, low = 52, height - 16
    x = lambda at: left + (at - began) / seconds * (width - left)
    y = lambda value: low - value / top * (low - 6)
    out = [f'<svg width="{width}" height="{height}">']
    for part in (0, 0.5, 1):
        out.append(f'<line x1="{left}" x2="{width}" y1="{y(top * part)}" y2="{y(top * part)}" stroke="#2c3235"/>')
        out.append(f'<text x="0" y="{y(top * part) + 4}" fill="#8e8e99" font-size="10">{shown(top * part, unit)}</text>')
    for step in steps:
        if step["value"] is not None and step["value"] < top:
            out.append(f'<line x1="{left}" x2="{width}" y1="{y(step["value"])}" y2="{y(step["value"])}" stroke="{color_of(step["value"], steps)}" stroke-dasharray="4"/>')
    for number, (_, points) in enumerate(series):
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points if not math.isnan(value))
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[number % len(COLORS)]}" stroke-width="1.2"/>')
    out.append(f'<text x="{left}" y="{height - 2}" fill="#8e8e99" font-size="10">{seconds} s ago</text>')
    out.append(f'<text x="{width - 22}" y="{height - 2}" fill="#8e8e99" font-size="10">now</text></svg>')
    return "".join(out)


def heat(panel, series, width, height, began):
    """Cumulative buckets as cells: what lies between two bounds."""
    bounds = sorted(((float(name), dict(points)) for name, points in series), key=lambda bound: bound[0])
    times = sorted({at for _, points in bounds for at in points})
    most, cells = 1e-9, []
    for at in times:
        below = 0
        for number, (_, points) in enumerate(bounds):
            value = points.get(at, 0)
            cells.append((at, number, max(value - below, 0)))
            most, below = max(most, value - below), value
    left, low = 52, height - 16
    row, column = (low - 4) / max(len(bounds), 1), max((width - left) / max(len(times), 1), 1)
    out = [f'<svg width="{width}" height="{height}">']
    for at, number, value in cells:
        if value > 0:
            place = f'x="{left + (at - began) / seconds * (width - left):.1f}" y="{low - (number + 1) * row:.1f}"'
            out.append(f'<rect {place} width="{column:.1f}" height="{row - 1:.1f}" fill="#ff780a" opacity="{0.15 + 0.85 * value / most:.2f}"/>')
    for number, (bound, _) in enumerate(bounds):
        if number % 3 == 0:
            out.append(f'<text x="0" y="{low - number * row}" fill="#8e8e99" font-size="10">{shown(bound, "s") if bound < math.inf else "more"}</text>')
    return "".join(out) + "</svg>"


def content(panel, width, height, now):
    unit, kind = panel["fieldConfig"]["defaults"]["unit"], panel["type"]
    series, instants = [], []
    for target in panel["targets"]:
        expr = target["expr"]
        for name, value in VARIABLES.items():
            expr = expr.replace(name, value)
        if target.get("instant"):
            found = ask("query", query=expr, time=now)
            instants += [(named(one["metric"], target["legendFormat"]), float(one["value"][1])) for one in found]
        else:
            found = ask("query_range", query=expr, start=now - seconds, end=now, step=max(seconds // 120, 1))
            legend = "{{le}}" if kind == "heatmap" else target["legendFormat"]
            series += [(named(one["metric"], legend), [(float(at), float(value)) for at, value in one["values"]]) for one in found]
    if not series and not instants:
        return '<p class="none">no data</p>'
    if kind == "stat":
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        return " ".join(f'<b style="color:{color_of(value, steps)}">{shown(value, unit)}</b> {html.escape(name) if len(instants) > 1 else ""}' for name, value in instants)
    if kind == "table":
        return "<table>" + "".join(f"<tr><td>{html.escape(name)}<td>{shown(value, unit)}" for name, value in instants) + "</table>"
    if kind == "heatmap":
        return heat(panel, [one for one in series if one[0] != "+Inf"], width, height, now - seconds)
    keys = [f'<span style="color:{COLORS[n % len(COLORS)]}">━</span> {html.escape(name)} ' for n, (name, _) in enumerate(series)]
    return lines(panel, series, width, height - 16, now - seconds) + f'<div class="key">{"".join(keys)}</div>'


def page(dashboard, now):
    out, bottom = [], 0
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        width, height = at["w"] * COLUMN - 6, at["h"] * ROW - 6
        place = f'left:{at["x"] * COLUMN}px;top:{at["y"] * ROW}px;width:{width}px;height:{height}px'
        bottom = max(bottom, (at["y"] + at["h"]) * ROW)
        is_row = panel["type"] == "row"
        inside = "" if is_row else content(panel, width - 18, height - 34, now)
        out.append(f'<section class="{"row" if is_row else ""}" style="{place}"><h2>{html.escape(panel["title"])}</h2>{inside}</section>')
    title = html.escape(dashboard["title"])
    return f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{STYLE} main {{ height: {bottom}px; width: {24 * COLUMN}px }}</style><h1>{title}</h1><main>{"".join(out)}</main>'


now = time.time()
pictures.mkdir(parents=True, exist_ok=True)
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for path in sorted((dashboards / "grafana").glob("*.json")):
        tab = browser.new_page(viewport={"width": 24 * COLUMN + 32, "height": 900})
        tab.set_content(page(json.loads(path.read_text(encoding="utf-8")), now))
        tab.screenshot(path=pictures / f"dashboard-{path.stem}.png", full_page=True)
    browser.close()
