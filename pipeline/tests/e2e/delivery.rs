//! Alerts at their receivers: a web service, a real Alertmanager, a syslog collector, and one that is never there, while the
//! worker is killed on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;

use crate::crash::run;
use crate::kafka::wait_until;
use crate::kit::{fleet, fleet_config, on_thread, palisade, run_to_end, sql, stdout};
use crate::monitoring::Program;
use crate::service::get;

/// A web service that keeps what it gets, and refuses what its owner does not want.
#[derive(Clone, Default)]
pub(crate) struct Hook {
    /// With the time of their arrival.
    taken: Arc<Mutex<Vec<(Value, SystemTime)>>>,
    refused: Arc<Mutex<BTreeSet<String>>>,
}

const UNWANTED: &str = "UPDATE";

impl Hook {
    pub(crate) fn start() -> (Self, SocketAddr) {
        let hook = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a socket");
        let app = Router::new().route("/", post(take)).with_state(hook.clone());
        on_thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, app).await.expect("it serves until the test ends");
            });
        });
        (hook, address)
    }

    /// The revisions that came, and when.
    pub(crate) fn seen(&self) -> Vec<(String, SystemTime)> {
        self.taken.lock().expect("unpoisoned").iter().map(|(alert, at)| (revision(alert), *at)).collect()
    }

    fn revisions(&self) -> BTreeSet<String> {
        self.seen().into_iter().map(|(revision, _)| revision).collect()
    }
}

async fn take(State(hook): State<Hook>, body: String) -> (StatusCode, &'static str) {
    let alert: Value = serde_json::from_str(&body).expect("JSON");
    if alert["activity_name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(UNWANTED)) {
        hook.refused.lock().expect("unpoisoned").insert(revision(&alert));
        return (StatusCode::UNPROCESSABLE_ENTITY, "no updates here");
    }
    #[expect(clippy::disallowed_methods, reason = "an observer has a clock of its own")]
    hook.taken.lock().expect("unpoisoned").push((alert, SystemTime::now()));
    (StatusCode::OK, "")
}

fn revision(alert: &Value) -> String {
    alert["metadata"]["uid"].as_str().expect("an id").to_owned()
}

/// The ids of alerts that fire, with their label `severity`.
fn fires(alertmanager: &Program) -> BTreeMap<String, String> {
    let body = get(&alertmanager.address.to_string(), "/api/v2/alerts").1;
    // The body may come in chunks, whose lengths stand around it.
    let json = &body[body.find('[').expect("a list")..=body.rfind(']').expect("its end")];
    let alerts: Vec<Value> = serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"));
    let text = |value: &Value| value.as_str().expect("a label").to_owned();
    alerts.iter().map(|a| (text(&a["labels"]["alert_id"]), text(&a["labels"]["severity"]))).collect()
}

/// A collector's lines.
fn collector() -> (Arc<Mutex<Vec<String>>>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let own = lines.clone();
    on_thread(move || {
        for stream in listener.incoming() {
            let lines = BufReader::new(stream.expect("a connection")).lines().map_while(Result::ok);
            lines.for_each(|line| own.lock().expect("unpoisoned").push(line));
        }
    });
    (lines, address)
}

const REVISIONS: &str = "SELECT metadata.uid AS uid, finding_info.uid AS id, activity_name AS activity, lower(severity) AS severity \
     FROM detection_finding WHERE metadata.product.name = 'Palisade'";

#[test]
fn alerts_reach_each_receiver_though_workers_die_and_one_that_is_away_stops_nobody() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (logs, warehouse) = (dir.path().join("logs"), dir.path().join("warehouse"));
    fleet(&logs, 11, 30_000, "none");
    let (hook, hook_at) = Hook::start();
    let (lines, collector_at) = collector();
    let alertmanager = Program::alertmanager(dir.path(), "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
    let config = fleet_config(dir.path(), &logs, &warehouse);
    let receivers = format!(
        "alerts:\n  - {{name: hook, webhook: {{url: 'http://{hook_at}/', secret: {{env: HOOK_SECRET}}}}}}\n  \
         - {{name: away, webhook: {{url: 'http://127.0.0.1:1/'}}}}\n  \
         - {{alertmanager: {{url: 'http://{}'}}, severity: high}}\n  \
         - {{syslog: {{address: '{collector_at}', protocol: tcp}}}}\n",
        alertmanager.address
    );
    let yaml = std::fs::read_to_string(&config).expect("just written") + &receivers;
    std::fs::write(&config, yaml).expect("a writable folder");
    let missing = palisade().args(["check", "-c"]).arg(&config).output().expect("the binary starts");
    let said = String::from_utf8_lossy(&missing.stdout).into_owned();
    assert!(said.contains("alerts[0].webhook.secret: the environment has no variable HOOK_SECRET"), "{said}");

    let with_secret = |mut command: Command| {
        command.env("HOOK_SECRET", "whsec_c2VjcmV0");
        command
    };
    for step in ["source_entry_after:4", "merge_entry_after:3", "merge_entry_after:9"] {
        let killed = with_secret(run(&config)).env("PALISADE_KILL_AT", step).output().expect("the binary starts");
        assert_eq!(killed.status.signal(), Some(9), "{step}: {}", String::from_utf8_lossy(&killed.stderr));
    }
    stdout(&mut with_secret(run(&config)));

    let rows = sql(&warehouse, REVISIONS);
    let text = |row: &Value, key: &str| row[key].as_str().expect("text").to_owned();
    let of = |is_wanted: &dyn Fn(&Value) -> bool, key: &str| -> BTreeSet<String> {
        rows.iter().filter(|row| is_wanted(row)).map(|row| text(row, key)).collect()
    };
    let is_update = |row: &Value| text(row, "activity").eq_ignore_ascii_case(UNWANTED);
    let taken = hook.revisions();
    assert!(taken.len() > 20, "{}", taken.len());
    assert_eq!(taken, of(&|row| !is_update(row), "uid"), "each revision reaches the web service, and nothing else");
    assert_eq!(*hook.refused.lock().expect("unpoisoned"), of(&is_update, "uid"));

    let closed = of(&|row| text(row, "activity") == "Close", "id");
    let severe = |row: &Value| ["high", "critical"].contains(&text(row, "severity").as_str());
    let firing: BTreeSet<String> = of(&severe, "id").difference(&closed).cloned().collect();
    assert!(!firing.is_empty());
    assert_eq!(fires(&alertmanager).into_keys().collect::<BTreeSet<_>>(), firing);

    let ids = of(&|_| true, "uid");
    let is_collected = |lines: &[String]| {
        ids.iter().all(|id| lines.iter().any(|l| l.contains(&format!(" cs2={id} cs2Label=revision"))))
    };
    wait_until("the collector has read it all", &mut [], || is_collected(&lines.lock().expect("unpoisoned")));

    let listed = stdout(palisade().args(["tables", "receivers", "--output", "json", "--warehouse"]).arg(&warehouse));
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    let state: BTreeMap<String, (u64, u64)> = listed
        .iter()
        .map(|line| {
            (text(line, "receiver"), (line["waiting"].as_u64().expect("n"), line["refused"].as_u64().expect("n")))
        })
        .collect();
    let refused = of(&is_update, "uid").len() as u64;
    assert_eq!((state["hook"], state["syslog"], state["alertmanager"]), ((0, refused), (0, 0), (0, 0)));
    assert!(state["away"].0 > 0 && state["away"].1 == 0, "{state:?}");
    let kept = stdout(palisade().args(["tables", "receivers", "--refused", "hook", "--warehouse"]).arg(&warehouse));
    assert_eq!(kept.lines().count() as u64, refused);
    assert!(kept.lines().all(|line| line.contains("answers 422 Unprocessable Entity: no updates here")), "{kept}");

    // Whoever was away is back: it gets what has waited, from a worker that has nothing else to do.
    let (back, back_at) = Hook::start();
    let yaml = std::fs::read_to_string(&config).expect("it is there").replace("127.0.0.1:1", &back_at.to_string());
    std::fs::write(&config, yaml.replace("secret: {env: HOOK_SECRET}", "secret: other")).expect("a writable folder");
    run_to_end(&config);
    assert_eq!(back.revisions(), taken);
}
