"""Writes the Grafana dashboards beside this file: `python3 dashboards/generate.py [FOLDER]`.

A panel is a title, what it says and its queries. `metric{...}` gets the selectors of the dashboard's variables.
"""
import json
import pathlib
import re
import sys

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24


def selected(expr, selectors):
    """The query with the selectors in each of its series; recorded ones are of no worker."""
    name = r"(?<![\w:])((?:palisade|process)_\w+|palisade:\w+:\w+)(\{)?"
    of = lambda series: re.sub(r',instance=~"[^"]*"', "", selectors) if ":" in series else selectors
    return re.sub(name, lambda m: f"{m[1]}{{{of(m[1])}{',' if m[2] else '}'}", expr)


def quantiles(metric, *shares, by="", where=""):
    """Queries for percentiles of a histogram, with their legends."""
    of = lambda share: f"histogram_quantile({share}, sum by (le{by and ', ' + by}) (rate({metric}_bucket{where}[$__rate_interval])))"
    return [(of(share), f"p{share * 100:g}" + (f" {{{{{by}}}}}" if by else "")) for share in shares]


def within(metric, seconds, window):
    """The share of a histogram's events within a bound, over a window. `le` is written with and without ".0"."""
    whole = f"sum(increase({metric}_count[{window}]))"
    return f'sum(increase({metric}_bucket{{le=~"{seconds}([.]0)?"}}[{window}])) / {whole}'


def named(expr):
    """A query by rule, with the names of rules: one each, also while workers load another."""
    return f"({expr}) * on (rule) group_left (name) topk by (rule) (1, max by (rule, name) (palisade_rule_info))"


class Panel:
    def __init__(self, title, says, *queries, kind="timeseries", unit="short", width=8, height=7, steps=(), below=None, decimals=None):
        self.title, self.says, self.kind, self.unit = title, says, kind, unit
        self.queries = [q if isinstance(q, tuple) else (q, "") for q in queries]
        self.width, self.height, self.steps, self.below, self.decimals = width, height, steps, below, decimals

    def thresholds(self):
        base, steps = (self.below or "green"), [{"color": color, "value": value} for value, color in self.steps]
        return {"mode": "absolute", "steps": [{"color": base, "value": None}, *steps]}

    def target(self, number, expr, legend):
        target = {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "editorMode": "code"}
        if self.kind in ("stat", "table"):
            return target | {"range": False, "instant": True} | ({"format": "table"} if self.kind == "table" else {})
        return target | {"range": True} | ({"format": "heatmap"} if self.kind == "heatmap" else {})

    def defaults(self):
        defaults = {"unit": self.unit, "noValue": "no data"}
        if self.decimals is not None:
            defaults["decimals"] = self.decimals
        if self.kind == "timeseries":
            defaults |= {"min": 0, "custom": {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}}
            defaults["custom"] |= {"thresholdsStyle": {"mode": "line"}} if self.steps else {}
        return defaults | ({"thresholds": self.thresholds()} if self.steps else {})

    def options(self):
        match self.kind:
            case "stat":
                reduce = {"calcs": ["lastNotNull"], "fields": "", "values": False}
                return {"colorMode": "value", "graphMode": "none", "textMode": "auto", "reduceOptions": reduce}
            case "heatmap":
                color = {"mode": "scheme", "scheme": "Oranges", "steps": 64}
                tooltip = {"show": True, "yHistogram": False}
                return {"calculate": False, "yAxis": {"unit": self.unit}, "color": color, "cellGap": 1, "tooltip": tooltip}
            case "table":
                return {"showHeader": True, "cellHeight": "sm"}
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}

    def json(self, selectors, number, x, y):
        targets = [self.target(n, selected(expr, selectors), legend) for n, (expr, legend) in enumerate(self.queries)]
        return {
            "id": number, "type": self.kind, "title": self.title, "description": self.says, "datasource": SOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y}, "targets": targets,
            "fieldConfig": {"defaults": self.defaults(), "overrides": []}, "options": self.options(),
        }  # fmt: skip


def variable(name, label, query, many=True, refresh=2):
    every = {"includeAll": True, "allValue": ".*", "multi": True} if many else {"includeAll": False, "multi": False}
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "definition": query, "refresh": refresh, "sort": 1, "current": {}, "hide": 0} | every  # fmt: skip


DATASOURCE = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}, "hide": 0}
JOB = variable("job", "Job", "label_values(palisade_build_info, job)", many=False)
REGION = variable("region", "Region", 'label_values(palisade_build_info{job="$job"}, region)')
WORKER = variable("instance", "Worker", 'label_values(palisade_build_info{job="$job",region=~"$region"}, instance)')
OF_REGION = 'job="$job",region=~"$region"'
OF_WORKER = OF_REGION + ',instance=~"$instance"'


def dashboard(name, title, says, variables, selectors, rows):
    panels, y = [], 0
    for heading, row in rows:
        panels.append({"id": len(panels) + 1, "type": "row", "title": heading, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}})  # fmt: skip
        y, x, height = y + 1, 0, 0
        for panel in row:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            panels.append(panel.json(selectors, len(panels) + 1, x, y))
            x, height = x + panel.width, max(height, panel.height)
        y += height
    others = {"type": "dashboards", "title": "Palisade", "tags": ["palisade"], "asDropdown": True, "includeVars": True, "keepTime": True}
    return {
        "uid": f"palisade-{name}", "title": f"Palisade: {title}", "description": says, "tags": ["palisade"], "schemaVersion": 39,
        "version": 1, "editable": True, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-3h", "to": "now"},
        "timezone": "utc", "annotations": {"list": []}, "links": [others],
        "templating": {"list": [DATASOURCE, *variables]}, "panels": panels,
    }  # fmt: skip


QUERYABLE, ALERT = "palisade_queryable_latency_seconds", "palisade_alert_latency_seconds"
GOOD = dict(kind="stat", unit="percentunit", width=6, height=4, decimals=4, below="red")

PROMISE = [
    Panel("Queryable within 30 s, 30 days", "SLO: 99.9 % of events.", within(QUERYABLE, 30, "30d"), steps=[(0.999, "green")], **GOOD),
    Panel("Error budget left, 30 days", "Of the 0.1 % of events that may be slower than 30 s. Below 0: the SLO is broken.",
          f"1 - (1 - {within(QUERYABLE, 30, '30d')}) / 0.001", steps=[(0, "green")], **GOOD),
    Panel("Alerts within 10 s, 7 days", "SLO: 99 %, from receipt of the oldest event that the deciding step merged.",
          within(ALERT, 10, "7d"), steps=[(0.99, "green")], **GOOD),
    Panel("Oldest event that waits", "What latency, measured on arrival, does not show while nothing arrives.",
          "time() - min(palisade_oldest_event_timestamp_seconds > 0) or vector(0)",
          kind="stat", unit="s", width=6, height=4, steps=[(30, "red")]),
    Panel("Burn rate of the freshness SLO", "1 = the budget lasts exactly 30 days. 14.4 over an hour and over 5 minutes pages.",
          *[(f"palisade:queryable_slow:ratio_rate{w} / 0.001", f"{{{{region}}}} {w}") for w in ("5m", "1h", "6h", "3d")],
          unit="none", steps=[(14.4, "red")]),
    Panel("Burn rate of the detection SLO", "1 = the budget lasts exactly 7 days. 16.8 over an hour and over 5 minutes pages.",
          *[(f"palisade:alert_slow:ratio_rate{w} / 0.01", f"{{{{region}}}} {w}") for w in ("5m", "1h", "6h", "3d")],
          unit="none", steps=[(16.8, "red")]),
    Panel("Firing alerts", "The watchdog, which always fires, is left out.",
          ('sum by (alertname, severity) (ALERTS{alertname=~"Palisade.+",alertname!="PalisadeWatchdog",alertstate="firing"})',
           "{{alertname}} ({{severity}})"), unit="none"),
]  # fmt: skip

RATES = [
    Panel("Received", "Events a second, by source.",
          ("sum by (source) (rate(palisade_events_received_total[$__rate_interval]))", "{{source}}"), unit="cps", width=6),
    Panel("Committed", "Rows a second that became queryable, by table.",
          ("sum by (table) (rate(palisade_events_committed_total[$__rate_interval]))", "{{table}}"), unit="cps", width=6),
    Panel("Dead letters", "Records a second, by reason. A new reason or a jump after a device upgrade: look at the table dead_letter.",
          ("sum by (reason) (rate(palisade_dead_letters_total[$__rate_interval]))", "{{reason}}"), unit="cps", width=6),
    Panel("In flight", "Events received and not yet queryable; and those that a rebalance left to another worker, which reads them again.",
          ("sum by (instance) (palisade_records_in_flight)", "{{instance}}"),
          ("sum(increase(palisade_events_abandoned_total[$__rate_interval]))", "left to others"), width=6),
]  # fmt: skip

HEAT = Panel("Receipt to queryable, all events", "Two bands mean that some partitions wait for a different thing.",
             (f"sum by (le) (increase({QUERYABLE}_bucket[$__rate_interval]))", "{{le}}"), kind="heatmap", unit="s")  # fmt: skip

DELAYS = [
    Panel("Receipt to queryable", "Per event.", *quantiles(QUERYABLE, 0.5, 0.99, 0.999),
          ("max(palisade_queryable_latency_max_seconds)", "largest"), unit="s", steps=[(30, "red")]),
    Panel("Receipt to alert", "Per alert.", *quantiles(ALERT, 0.5, 0.99), ("max(palisade_alert_latency_max_seconds)", "largest"),
          unit="s", steps=[(10, "red")]),
    HEAT,
]  # fmt: skip

LAGS = [
    Panel("Watermark age", "Grows without end: one partition is silent but not caught up, or a device's clock is far behind.",
          ("time() - max by (topic) (palisade_watermark_timestamp_seconds)", "{{topic}}"), unit="s", width=6),
    Panel("Event to receipt", "By the event's own time: devices that send late, and clocks that are behind. Windows wait for it, latency does not.",
          *quantiles("palisade_event_delay_seconds", 0.5, 0.99, by="source"),
          ("max by (source) (palisade_event_delay_max_seconds)", "largest {{source}}"), unit="s", width=6),
    Panel("Lag in records", "Offsets that wait in Kafka, by source.",
          ("sum by (source) (palisade_source_lag_records)", "{{source}}"), width=6),
    Panel("Lag in seconds", "How old the last record is that was read, of the partition that is furthest behind.",
          ("max by (source) (palisade_source_lag_seconds)", "{{source}}"), unit="s", width=6),
]  # fmt: skip

COMMITS = [
    Panel("Table commits", "By outcome. Fenced: another committer was first, which is harmless now and then.",
          ("sum by (outcome) (rate(palisade_table_commits_total[$__rate_interval]))", "{{outcome}}"), unit="cps", width=6),
    Panel("A committer's turn", "Over all tables. A slow rise over days asks for table maintenance.",
          *quantiles("palisade_commit_duration_seconds", 0.5, 0.99), unit="s", width=6),
    Panel("Ledger entries", "Commit points a second: source ranges and merge steps; and those that another worker was faster with.",
          ("sum by (chain) (rate(palisade_ledger_entries_total[$__rate_interval]))", "{{chain}}"),
          ("sum by (chain) (rate(palisade_ledger_conflicts_total[$__rate_interval]))", "{{chain}}, taken"), unit="cps", width=6),
    Panel("Bytes that wait for tables", "At `worker.uncommitted_size` sources pause.",
          ("sum by (instance) (palisade_uncommitted_bytes)", "{{instance}}"),
          ("sum(palisade_sources_paused)", "paused sources"), unit="bytes", width=6),
]  # fmt: skip

DETECTION = [
    Panel("Alerts", "An hour, by rule; new ones only.",
          (named('sum by (rule) (increase(palisade_alerts_total{kind="create"}[1h]))'), "{{name}}"), width=6),
    Panel("Delivery", "Alerts an hour that receivers took, attempts that failed, alerts that they refused for good.",
          ("sum by (receiver) (increase(palisade_alerts_sent_total[1h]))", "{{receiver}}"),
          ("sum by (receiver) (increase(palisade_alert_send_failures_total[1h]))", "{{receiver}}, failed"),
          ("sum by (receiver) (increase(palisade_alerts_refused_total[1h]))", "{{receiver}}, refused"), width=6),
    Panel("Until the receiver has it", "From receipt of a filter rule's event, or the step that decided a window.",
          *quantiles("palisade_alert_sent_latency_seconds", 0.5, 0.99, by="receiver"),
          ("max by (receiver) (palisade_alert_sent_latency_max_seconds)", "largest {{receiver}}"), unit="s", width=6),
    Panel("Failing delivery", "For how long nothing has reached a receiver; 0 while nothing fails.",
          ("time() - max by (receiver) (palisade_alert_delivery_failing_since_timestamp_seconds > 0)"
           " or max by (receiver) (palisade_alert_delivery_failing_since_timestamp_seconds)", "{{receiver}}"),
          unit="s", width=6),
]  # fmt: skip

WINDOWS = [
    Panel("Revisions, and alerts kept back", "An hour, by rule: late rows or a window's close changed an alert that was out; or an "
          "exception or suppression kept one back. Expired: it left, since its exception is over.",
          (named('sum by (rule) (increase(palisade_alerts_total{kind="update"}[1h]))'), "{{name}}, revised"),
          (named("sum by (rule, by) (increase(palisade_alerts_held_total[1h]))"), "{{name}}, {{by}}"), width=6),
    Panel("Open windows", "Memory that they hold.",
          ("sum by (instance) (palisade_window_state_bytes)", "{{instance}}"), unit="bytes", width=4),
    Panel("Keys of open windows", "Of all rules, and of correlations and watches; a rule has a limit of its own.",
          ("sum by (instance) (palisade_window_state_keys)", "{{instance}}"), width=4),
    Panel("Windows closed", "A second. Zero with traffic: the watermark stands still.",
          ("sum(rate(palisade_windows_closed_total[$__rate_interval]))", "closed"), unit="cps", width=4),
    Panel("Rows that windows missed", "Late: stored, but the window had closed. Beyond the limit: of keys that a rule had no room for. "
          "Failed: a rule's expression; the log names the rule. In the future: their own time moves no window.",
          ("sum(rate(palisade_late_rows_total[$__rate_interval]))", "late"),
          ("sum(rate(palisade_time_suspect_rows_total[$__rate_interval]))", "in the future"),
          ("sum(rate(palisade_key_limit_rows_total[$__rate_interval]))", "beyond the limit"),
          ("sum(rate(palisade_rule_failures_total[$__rate_interval])) or vector(0)", "failed"), unit="cps", width=6),
    Panel("What rules cost", "Cores in use, by the ten dearest rules.",
          (named("topk(10, sum by (rule) (rate(palisade_rule_cpu_seconds_total[$__rate_interval])))"), "{{name}}"), width=6),
    Panel("CPU time of an evaluation", "A row, or a group of a window; of the ten dearest rules. `rules.row_budget` bounds it.",
          (named("topk(10, sum by (rule) (rate(palisade_rule_cpu_seconds_total[$__rate_interval]))"
                 " / sum by (rule) (rate(palisade_rule_evaluations_total[$__rate_interval])))"), "{{name}}"), unit="s", width=6),
]  # fmt: skip

RESOURCES = [
    Panel("CPU", "Cores in use.", ("sum by (instance) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{instance}}"), width=6),
    Panel("Events a core second", "Received events by CPU seconds: what the fleet costs.",
          ("sum(rate(palisade_events_received_total[$__rate_interval])) / sum(rate(process_cpu_seconds_total[$__rate_interval]))",
           "events"), width=6),
    Panel("Memory", "Resident set.", ("process_resident_memory_bytes", "{{instance}}"), unit="bytes", width=6),
    Panel("Versions", "Workers on each version of the program, and of what else was changed last.",
          ("count by (version) (palisade_build_info)", "{{version}}"),
          ('count by (name, version) (palisade_version_info{name=~"config|rules"})', "{{name}} {{version}}"),
          kind="stat", width=6),
]  # fmt: skip

QUEUES = [
    Panel("Queue rows", "The stage after the first full queue is the slow one.",
          ("sum by (queue) (palisade_queue_rows)", "{{queue}}")),
    Panel("Queue bytes", "Bytes held, by queue.", ("sum by (queue) (palisade_queue_bytes)", "{{queue}}"), unit="bytes"),
    Panel("Queue wait", "From the wish to enter to leaving, per row.", *quantiles("palisade_queue_wait_seconds", 0.5, 0.99, by="queue"),
          ("max by (queue) (palisade_queue_wait_max_seconds)", "largest {{queue}}"), unit="s"),
    Panel("Steps", "From receipt to decoded, and to the ledger entry: from there nothing is lost.",
          *quantiles("palisade_step_latency_seconds", 0.5, 0.99, by="step"),
          ("max by (step) (palisade_step_latency_max_seconds)", "largest {{step}}"), unit="s"),
    Panel("Read", "Records a second, by source.",
          ("sum by (source) (rate(palisade_records_read_total[$__rate_interval]))", "{{source}}"), unit="cps"),
    Panel("Rebalances", "Partitions that came and went, an hour.",
          ("sum by (source) (increase(palisade_partitions_assigned_total[1h]))", "{{source}}, assigned"),
          ("sum by (source) (increase(palisade_partitions_revoked_total[1h]))", "{{source}}, revoked")),
    Panel("Partitions and topics that are not read", "Until somebody acts; and offsets that the source deleted before they were read.",
          ("sum by (source, reason) (palisade_partitions_stopped)", "{{source}}, {{reason}}"),
          ("sum by (pattern) (palisade_topics_refused)", "{{pattern}}, refused"),
          ("sum by (source) (increase(palisade_offsets_lost_total[1h]))", "{{source}}, lost")),
    Panel("Traces", "Spans a second for the collector that `telemetry.traces` names; failed: it refused them, or the worker ended; dropped: "
          "it was away for too long.",
          ("sum by (outcome) (rate(palisade_trace_spans_total[$__rate_interval]))", "{{outcome}}"), unit="cps"),
]  # fmt: skip

ENRICHMENT = [
    Panel("Table reloads", "Changed enrichment tables that were loaded, and checks at which one could not be.",
          ("sum by (table, outcome) (increase(palisade_enrich_table_reloads_total[1h]))", "{{table}}, {{outcome}}")),
    Panel("Table age", "Time since the newest file of the table in force was written.",
          ("time() - min by (table) (palisade_enrich_table_modified_timestamp_seconds)", "{{table}}"), unit="s"),
    Panel("Table entries", "Entries of the tables in force, and entries of their files that are not understood.",
          ("max by (table) (palisade_enrich_table_entries)", "{{table}}"),
          ("max by (table) (palisade_enrich_table_skipped)", "{{table}}, skipped")),
]  # fmt: skip

RULES = [
    Panel("Drift", "An hour, by kind: log types, longer layouts and names that a source sent for the first time and no decoder knows. The "
          "log names them; a jump follows a device upgrade.",
          ("sum by (kind) (increase(palisade_drift_total[1h]))", "{{kind}}"), width=6),
    Panel("Mapping reloads", "Changed mapping files that were loaded, and checks at which they could not be: the last good ones stay.",
          ("sum by (outcome) (increase(palisade_mapping_reloads_total[1h]))", "{{outcome}}"), width=6),
    Panel("Rule reloads", "Changed rule files that were loaded, and checks at which they could not be: the last good rules stay.",
          ("sum by (outcome) (increase(palisade_rule_reloads_total[1h]))", "{{outcome}}"), width=6),
    Panel("Rules disabled", "Out of force because they failed over and over, or took too long; the others run on.",
          (named("max by (rule) (palisade_rule_disabled)") + " or vector(0)", "{{name}}"), width=6),
]  # fmt: skip

UPKEEP = [
    Panel("Collected objects", "Objects of the ledger that were collected in the last hour, by kind.",
          ("sum by (kind) (increase(palisade_upkeep_objects_deleted_total[1h]))", "{{kind}}")),
    Panel("Collected bytes", "Bytes of the objects that were collected in the last hour.",
          ("sum(increase(palisade_upkeep_bytes_deleted_total[1h]))", "bytes"), unit="bytes"),
    Panel("Collection", "Hours since a turn of collection found every chain as it should be; chains of which nothing is collected; turns "
          "that failed in the last hour.",
          ("(time() - max(palisade_upkeep_last_success_timestamp_seconds > 0)) / 3600", "hours since"),
          ("max(palisade_upkeep_chains_faulty)", "faulty chains"),
          ("sum(increase(palisade_upkeep_failures_total[1h]))", "failed turns")),
]  # fmt: skip

EXTENT = [
    Panel("Files", "Data files of the largest table of a class.", ("max by (table) (palisade_table_files)", "{{table}}")),
    Panel("Snapshots", "Snapshots of the largest table of a class.", ("max by (table) (palisade_table_snapshots)", "{{table}}")),
    Panel("Stretch of intervals", "How many times as long flush and commit intervals are, as tables have too many small files.",
          ("max by (instance) (palisade_interval_stretch)", "{{instance}}"), steps=[(1.01, "red")]),
]  # fmt: skip

CLASSES = [
    Panel("Receipt to queryable, by table", "Per row.", *quantiles("palisade_class_latency_seconds", 0.99, by="table"),
          ("max by (table) (palisade_class_latency_max_seconds)", "largest {{table}}"), unit="s", width=12),
    Panel("Age of the newest row", "Since it was received. Grows while nothing of the class comes, or while its table takes nothing in.",
          ("time() - max by (table) (palisade_class_newest_timestamp_seconds)", "{{table}}"), unit="s", width=12),
]  # fmt: skip

by_label = lambda label, title: [
    Panel(f"Queryable within 30 s, by {title}, 1 day", "SLO: 99.9 % of events.",
          (f'sum by ({label}) (increase({QUERYABLE}_bucket{{le=~"30([.]0)?"}}[1d])) / sum by ({label}) (increase({QUERYABLE}_count[1d]))',
           f"{{{{{label}}}}}"), unit="percentunit", width=12, steps=[(0.999, "green")], below="red", decimals=4),
    Panel(f"Receipt to queryable, p99 by {title}", "Per event.", *quantiles(QUERYABLE, 0.99, by=label),
          (f"max by ({label}) (palisade_queryable_latency_max_seconds)", f"largest {{{{{label}}}}}"), unit="s", width=12, steps=[(30, "red")]),
]  # fmt: skip

DASHBOARDS = [
    dashboard("fleet", "fleet", "All regions, from promise to cause: SLO, traffic, latency, watermark and lag, commits, detection, resources.",
              [JOB], 'job="$job"',
              [("SLO", PROMISE), ("Regions", by_label("region", "region")), ("Traffic", RATES), ("Latency", DELAYS),
               ("Watermark and lag", LAGS), ("Commits", COMMITS), ("Detection", DETECTION), ("Resources", RESOURCES)]),
    dashboard("region", "region", "One region's workers, from promise to cause.", [JOB, REGION, WORKER], OF_WORKER,
              [("SLO", PROMISE), ("Workers", by_label("instance", "worker")), ("Traffic", RATES), ("Latency", DELAYS),
               ("Watermark and lag", LAGS), ("Commits", COMMITS), ("Detection", DETECTION), ("Resources", RESOURCES)]),
    dashboard("tenants", "tenant tiers", "What each tier of tenants gets of the promises, and each source.", [JOB, REGION], OF_REGION,
              [("Tiers", by_label("tier", "tier")), ("Sources", by_label("source", "source")), ("Lag", LAGS), ("Traffic", RATES)]),
    dashboard("tables", "tables and commits", "How tables take in what the ledger has, and what they look like.",
              [JOB, REGION], OF_REGION, [("Commits", COMMITS), ("Freshness", CLASSES), ("Extent", EXTENT), ("Upkeep", UPKEEP)]),
    dashboard("detection", "detection", "Alerts, windows and rules.", [JOB, REGION], OF_REGION,
              [("Alerts", DETECTION), ("Latency", [DELAYS[1], LAGS[0]]), ("Windows", WINDOWS), ("Rules and mappings", RULES),
               ("Enrichment", ENRICHMENT)]),
    dashboard("internals", "internals", "Queues, steps, rebalances and resources of workers.", [JOB, REGION, WORKER], OF_WORKER,
              [("Queues and steps", QUEUES), ("Resources", RESOURCES), ("Lag", LAGS)]),
]  # fmt: skip

if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "grafana"
    for made in DASHBOARDS:
        text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        (folder / f"{made['uid'].removeprefix('palisade-')}.json").write_text(text, encoding="utf-8")
