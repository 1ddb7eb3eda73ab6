"""Asks Prometheus what every panel of the dashboards asks it, as Grafana does.

usage: ask_panels.py PROMETHEUS DASHBOARDS RATE_INTERVAL ONLY SPARSE...

ONLY is a JSON list of the queries to ask, as "empty" names them, or null for all.
Prints {"queries": how many, "empty": those without data, "faults": queries that fail, rules that are not well, metrics of the list that
are not exported (SPARSE ones may be absent), of another type, or without help}.
"""
import json
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request

prometheus, dashboards, rate_interval, only, *sparse = sys.argv[1:]
only = json.loads(only)
dashboards = pathlib.Path(dashboards)
VARIABLES = {"$__rate_interval": rate_interval, "$job": "palisade", "$instance": ".*", "$region": ".*"}


def ask(path, **parameters):
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


empty, faults, queries = [], [], 0
for path in sorted((dashboards / "grafana").glob("*.json")):
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            place = f"{path.stem}: {panel['title']}: {target['refId']}"
            if only is not None and place not in only:
                continue
            expr, queries = target["expr"], queries + 1
            for name, value in VARIABLES.items():
                expr = expr.replace(name, value)
            answer = ask("query", query=expr)
            if answer["status"] != "success":
                faults.append(f"{place}: {answer['error']}")
            elif not answer["data"]["result"]:
                empty.append(place)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            label = variable["query"]["query"].rsplit(",", 1)[1].strip(" )")
            if not ask(f"label/{label}/values")["data"]:
                faults.append(f"{path.stem}: no values of {label}")

for group in ask("rules")["data"]["groups"]:
    for rule in group["rules"]:
        if rule["health"] != "ok":
            faults.append(f"{rule['name']}: {rule['health']}: {rule.get('lastError')}")

about = ask("metadata")["data"]
for line in (dashboards / "metrics.txt").read_text(encoding="utf-8").splitlines():
    if line and not line.startswith("#"):
        name, kind = line.split()[:2]
        told = about.get(name, [{}])[0]
        if name in sparse and not told:
            continue
        if told.get("type") != kind or not told.get("help"):
            faults.append(f"{name}: {told or 'not exported'}")
print(json.dumps({"queries": queries, "empty": empty, "faults": faults}))
