// The console's page. Text from events goes into text nodes only; nothing here makes HTML of it.

const MOMENTS_MAX = 600; // ten minutes
const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const views = [...document.querySelectorAll("main > section")].map((section) => section.id);

/** An element with its attributes and children. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") Object.entries(value).forEach(([event, act]) => node.addEventListener(event, act));
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

function s(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const count = (n) => number.format(Math.round(n));
const share = (part) => `${(part * 100).toFixed(part > 0.9999 || part < 0.1 ? 2 : 1)} %`;

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 120) return `${value.toFixed(1)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return value < 172800 ? `${Math.round(value / 3600)} h` : `${Math.round(value / 86400)} d`;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Makes the children of a node those of the items: each is kept by its key, so that focus and what is open stay. */
function reconcile(parent, items, key, create, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let before = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    let node = known.get(id);
    if (node) known.delete(id);
    else {
      node = create(item);
      node.dataset.key = id;
    }
    if (node === before) before = before.nextElementSibling;
    else parent.insertBefore(node, before);
    update(node, item);
  }
  known.forEach((node) => node.remove());
}

/** Rows of text, by key; a cell that begins with a node is that node. */
function rows(parent, items, key, cells) {
  const fill = (row, item) => {
    cells(item).forEach(([text, kind], index) => {
      const cell = row.children[index] ?? row.appendChild(h(index === 0 ? "th" : "td", { class: kind, scope: index === 0 ? "row" : undefined }));
      if (text instanceof Node) {
        if (!cell.firstChild) cell.append(text);
      } else if (cell.textContent !== text) cell.textContent = text;
    });
  };
  reconcile(parent, items, key, () => h("tr"), fill);
}

// What the worker says, once a second.

const history = [];
let now = null;

const between = (of) => {
  const [a, b] = [history.at(-2), history.at(-1)];
  return a && b ? Math.max(0, of(b) - of(a)) / Math.max(0.001, (b.at_us - a.at_us) / 1e6) : 0;
};
const sum = (counts) => Object.values(counts ?? {}).reduce((all, n) => all + n, 0);
/** The share of an error budget that is left; nothing is left of one that was overspent, by however much. */
const left = (slow, all, allowed) => (all ? Math.max(-0.01, 1 - slow / all / allowed) : 1);
const budgetText = (part) => (part < 0 ? "spent" : share(part));

function take(moment) {
  // Another process at the same address counts from the beginning.
  if (now && moment.events.received < now.events.received) history.length = 0;
  now = moment;
  history.push({
    at_us: moment.at_us,
    received: moment.events.received,
    rows: sum(moment.rows),
    dead: sum(moment.events.dead_letters),
    alerts: moment.alerts,
    queryable: moment.latency_ms.queryable,
    alert: moment.latency_ms.alert,
    budget: [left(moment.budget.slow_events, moment.budget.events, 0.001), left(moment.budget.late_alerts, moment.budget.alerts, 0.01)],
  });
  if (history.length > MOMENTS_MAX) history.shift();
  const ready = moment.ready;
  state(ready ? "live" : "not ready", ready ? "good" : "bad");
  $("worker").textContent = `version ${moment.version}${moment.region ? `, region ${moment.region}` : ""}`;
  show();
}

function state(text, kind) {
  const pill = $("state");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `pill ${kind}`;
}

// Views.

const draw = {
  overview() {
    const { events, latency_ms: latency, budget } = now;
    const [eventsLeft, alertsLeft] = history.at(-1).budget;
    const waits = events.oldest_received_us ? (now.at_us - events.oldest_received_us) / 1e6 : 0;
    const tiles = [
      ["Events a second", count(between((m) => m.received))],
      ["Received", count(events.received)],
      ["Not yet queryable", count(events.in_flight)],
      ["Oldest of them", seconds(waits), waits > 30],
      ["Queryable, p99", seconds(latency.queryable.p99 / 1e3), latency.queryable.p99 > 30000],
      ["Alert, p99", seconds(latency.alert.p99 / 1e3), latency.alert.p99 > 10000],
      ["Budget, events", budgetText(eventsLeft), eventsLeft < 0],
      ["Budget, alerts", budgetText(alertsLeft), alertsLeft < 0],
    ];
    reconcile($("tiles"), tiles, ([name]) => name, ([name]) => h("div", {}, h("dt", {}, name), h("dd")), (node, [, text, bad]) => {
      node.lastChild.textContent = text;
      node.lastChild.className = bad ? "bad" : "";
    });
    const queue = (name) => `${count(now.queue_rows[name] ?? 0)} rows wait`;
    const nodes = [
      ["Sources", `${count(between((m) => m.received))} events/s`, `${now.partitions.length} partitions`],
      ["Decode, enrich, detect", queue("shard"), `p99 ${seconds(latency.decoded.p99 / 1e3)}`],
      ["Ledger", "from here nothing is lost", `p99 ${seconds(latency.ledger.p99 / 1e3)}`],
      ["Windows", queue("merge"), `${count(between((m) => m.alerts))} alerts/s`],
      ["Tables", `${count(between((m) => m.rows))} rows/s`, `p99 ${seconds(latency.queryable.p99 / 1e3)}`],
      ...Object.entries(now.alert_sent_ms).map(([name, sent]) => [`Receiver ${name}`, `${count(sent.count)} alerts`, `p99 ${seconds(sent.p99 / 1e3)}`]),
    ];
    reconcile($("flow"), nodes, ([name]) => name, ([name]) => h("li", {}, h("strong", {}, name), h("span"), h("span")), (node, [, first, second]) => {
      node.children[1].textContent = first;
      node.children[2].textContent = second;
    });
    const rate = history.map((m, i) => (i ? Math.max(0, m.received - history[i - 1].received) / Math.max(0.001, (m.at_us - history[i - 1].at_us) / 1e6) : null));
    chart($("chart-rate"), [["received", rate]], (v) => `${count(v)}/s`);
    const steps = (of) => [["p50", history.map((m) => m[of].p50 / 1e3)], ["p99", history.map((m) => m[of].p99 / 1e3)], ["p99.9", history.map((m) => m[of].p999 / 1e3)]];
    chart($("chart-queryable"), steps("queryable"), seconds);
    chart($("chart-alert"), steps("alert"), seconds);
    chart($("chart-budget"), [["events", history.map((m) => m.budget[0])], ["alerts", history.map((m) => m.budget[1])]], budgetText, 1);
  },

  partitions() {
    const age = (us) => (us === null ? "–" : seconds(Math.max(0, (now.at_us - us) / 1e6)));
    rows($("partition-rows"), now.partitions, (p) => p.partition, (p) => [
      [p.partition], [p.lag === null ? "–" : count(p.lag), "number"], [age(p.watermark_us), "number"], [age(p.received_us), "number"],
    ]);
  },

  detections() {
    $("detections-note").textContent = now.recent
      ? `The newest ${now.recent.length} of ${count(now.alerts)} alerts of this worker, as they leave.`
      : "Alerts are shown on a loopback address, or with the token (see SQL).";
    const key = (alert) => Object.entries(alert.key).map(([name, value]) => `${name}=${value}`).join(" ");
    const create = (alert) => h("li", { class: alert.severity },
      h("strong", {}, alert.title), " ", h("span", { class: "quiet" }, `${alert.severity}${alert.kind === "update" ? ", revised" : ""}`),
      h("p", {}, key(alert)),
      h("p", { class: "quiet" }, `${alert.rule}, tenant ${alert.tenant}, ${new Date(alert.at_us / 1e3).toISOString()}`),
      h("button", { type: "button", class: "link", "aria-expanded": "false", on: { click: (event) => evidence(event.currentTarget, alert) } }, "Evidence"));
    reconcile($("alert-list"), now.recent ?? [], (alert) => alert.revision, create, () => {});
  },

  "dead-letters"() {
    rows($("reason-rows"), Object.entries(now.events.dead_letters), ([reason]) => reason, ([reason, n]) => [[reason], [count(n), "number"]]);
  },
  rules() {},
  tables() {},
  sql() {},
};

/** Lines over time; null is a gap. */
function chart(node, lines, unit, top) {
  const highest = Math.max(top ?? 0, ...lines.flatMap(([, values]) => values.filter((v) => v !== null)), 1e-9);
  const lowest = Math.min(0, ...lines.flatMap(([, values]) => values.filter((v) => v !== null)));
  const span = Math.max(history.length, 60);
  const x = (i) => ((span - history.length + i) / (span - 1)) * 600;
  const y = (v) => 118 - ((v - lowest) / (highest - lowest)) * 110;
  const path = (values) => values.map((v, i) => (v === null ? "" : `${i === 0 || values[i - 1] === null ? "M" : "L"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`)).join("");
  if (!node.firstChild) {
    const svg = s("svg", { viewBox: "0 0 600 120", preserveAspectRatio: "none", role: "img" });
    svg.append(s("path", { class: "grid", d: "M0 8H600M0 118H600" }), ...lines.map((_, i) => s("path", { class: "abc"[i] })));
    const legend = lines.map((_, i) => {
      const mark = s("svg", { class: "key", viewBox: "0 0 24 12", "aria-hidden": "true" });
      mark.append(s("path", { class: "abc"[i], d: "M0 6H24" }));
      return h("span", {}, mark, h("span"));
    });
    node.append(svg, h("p", {}, ...legend, h("span")));
  }
  const [svg, legend] = node.children;
  const last = lines.map(([name, values]) => `${name} ${unit(values.at(-1) ?? 0)}`);
  lines.forEach(([, values], i) => {
    svg.children[i + 1].setAttribute("d", path(values));
    legend.children[i].lastChild.textContent = last[i];
  });
  legend.lastChild.textContent = `top ${unit(highest)}, last ${seconds(history.length)}`;
  svg.setAttribute("aria-label", last.join(", "));
}

// What is asked for when somebody looks.

async function ask(path, options) {
  const answer = await fetch(`api/${path}`, options);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.status === 204 ? null : answer.json();
}

/** Asks, and says in a note what went wrong. */
async function asked(note, path, then, options) {
  try {
    note.textContent = "";
    then(await ask(path, options));
  } catch (error) {
    note.textContent = error.message;
  }
}

function evidence(button, alert) {
  const item = button.parentElement;
  const open = item.querySelector("pre");
  button.setAttribute("aria-expanded", String(!open));
  if (open) {
    open.remove();
    return;
  }
  const text = h("pre", { tabindex: "0", "aria-label": `Evidence of ${alert.title}` }, "…");
  item.append(text);
  asked(text, `alerts/${encodeURIComponent(alert.revision)}`, ({ rows: found }) => {
    text.textContent = found.length ? JSON.stringify(found[0], null, 2) : "Its row is not queryable yet.";
  });
}

function result(node, { columns, rows: found }, label) {
  const cell = (value) => (value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const isNumber = (name) => found.length > 0 && found.every((row) => row[name] === undefined || typeof row[name] === "number");
  const kinds = columns.map((name) => (isNumber(name) ? "number" : "wrap"));
  const head = h("tr", {}, ...columns.map((name, i) => h("th", { scope: "col", class: kinds[i] }, name)));
  const body = found.map((row) => h("tr", {}, ...columns.map((name, i) => h("td", { class: kinds[i] }, cell(row[name])))));
  const table = h("table", {}, h("thead", {}, head), h("tbody", {}, ...body));
  node.replaceChildren(h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table));
}

const look = {
  "dead-letters"() {
    asked($("dead-note"), "dead-letters", (answer) => {
      $("dead-note").textContent = answer.count ? `The newest ${answer.count}.` : "There are none.";
      if (answer.count) result($("dead-result"), answer, "The newest dead letters");
      else $("dead-result").replaceChildren();
    });
  },
  rules() {
    asked($("rules-note"), "rules", (rules) => {
      rules.sort((a, b) => b.spent_us - a.spent_us || a.name.localeCompare(b.name));
      rows($("rule-rows"), rules, (rule) => rule.uid, (rule) => [
        [rule.title, "wrap"], [rule.level], [count(rule.alerts), "number"], [count(rule.asked), "number"],
        [seconds(rule.spent_us / 1e6), "number"], [rule.asked ? `${(rule.spent_us / rule.asked).toFixed(1)} µs` : "–", "number"],
        [count(rule.failed), "number"], [rule.disabled ? "disabled" : "in force"],
      ]);
    });
  },
  tables() {
    asked($("tables-note"), "tables", (tables) => {
      const button = (table) => h("button", { type: "button", class: "link", on: { click: () => snapshots(table) } }, table);
      rows($("table-rows"), tables, (t) => t.table, (t) => [
        [button(t.table)], [count(t.rows), "number"], [count(t.files), "number"], [bytes(t.bytes), "number"], [count(t.snapshots), "number"], [t.last_commit ?? "never"],
      ]);
    });
  },
};

function snapshots(table) {
  $("snapshots-title").textContent = `Snapshots of ${table}`;
  const ranges = (all) => (all ?? []).map(([chain, from, to]) => `${chain} [${from}, ${to})`).join(", ");
  asked($("snapshots-note"), `tables/${encodeURIComponent(table)}`, (found) => {
    $("snapshots-note").textContent = `The newest ${found.length}.`;
    rows($("snapshot-rows"), found, (snapshot) => snapshot.id, (snapshot) => [
      [snapshot.time], [snapshot.operation], [count(snapshot.added_rows), "number"], [count(snapshot.added_files), "number"], [bytes(snapshot.added_bytes), "number"], [ranges(snapshot.ranges), "wrap"],
    ]);
  });
}

// Which view is shown.

let shown = null;
let looking = null;

function choose() {
  // Not the id itself: the browser would scroll to it.
  const wanted = location.hash.slice(2);
  const view = views.includes(wanted) ? wanted : "overview";
  if (view === shown) return;
  shown = view;
  for (const id of views) $(id).hidden = id !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `Palisade: ${$(view).querySelector("h2").textContent}`;
  clearInterval(looking);
  if (look[view]) {
    look[view]();
    if (view !== "dead-letters") looking = setInterval(look[view], 5000);
  }
  show();
}

/** Draws the view that is shown; a page that nobody sees rests. */
function show() {
  if (now && !document.hidden) draw[shown]();
}

$("dead-reload").addEventListener("click", look["dead-letters"]);

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  asked($("token-note"), "session", () => {
    $("token-note").textContent = "Unlocked until the browser closes.";
    $("token").value = "";
    connect();
  }, { method: "POST", body: $("token").value });
});

$("sql-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  $("sql-result").replaceChildren();
  asked($("sql-note"), "sql", (answer) => {
    $("sql-note").textContent = `${count(answer.count)} rows${answer.truncated ? ", and more" : ""} in ${seconds(answer.ms / 1e3)}.`;
    result($("sql-result"), answer, "Rows of the query");
  }, { method: "POST", body: $("query").value }).finally(() => { button.disabled = false; });
});
$("query").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("sql-form").requestSubmit();
});

let stream = null;
function connect() {
  stream?.close();
  stream = new EventSource("events");
  stream.onmessage = (event) => take(JSON.parse(event.data));
  stream.onerror = () => {
    state("no connection; trying again", "bad");
    // Refused rather than lost: the browser does not try again by itself.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}

addEventListener("hashchange", () => { choose(); $("main").focus(); });
document.addEventListener("visibilitychange", show);
choose();
connect();
