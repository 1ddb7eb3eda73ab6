"""Every query of the Grafana dashboards -> a Prometheus rule file on stdout, so that promtool parses them."""

import json
import pathlib
import sys

VARIABLES = {"$__rate_interval": "5m", "$job": "palisade", "$instance": ".*", "$region": ".*"}


def queries(node):
    if isinstance(node, dict):
        yield from ([node["expr"]] if "expr" in node else [])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from queries(child)


rules = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    for number, expr in enumerate(queries(json.loads(path.read_text(encoding="utf-8")))):
        for name, value in VARIABLES.items():
            expr = expr.replace(name, value)
        # A label keeps promtool from refusing two panels that show the same number.
        rules.append({"record": "grafana:query", "labels": {"panel": f"{path.stem}_{number}"}, "expr": expr})
if not rules:
    sys.exit(f"{sys.argv[1]}: no dashboard query found")
json.dump({"groups": [{"name": "grafana", "rules": rules}]}, sys.stdout)  # JSON is YAML
