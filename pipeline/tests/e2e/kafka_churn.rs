//! Three workers that come and go, on three brokers of which one is dead for a while: each event is in its table once, each alert too.

use std::path::PathBuf;

use crate::crash::{Dice, alerts, verify};
use crate::kafka::{Scene, Worker, progress, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{output, palisade, run_to_end, sized};

/// How often a worker leaves and returns: `PALISADE_REBALANCES`, or 20.
fn departures() -> u64 {
    sized("PALISADE_REBALANCES", 20)
}

/// What a worker's log says of its partitions.
fn handovers(workers: &[Worker]) -> (usize, usize) {
    let said: Vec<String> = workers.iter().map(Worker::said).collect();
    let count = |word: &str| said.iter().map(|said| said.matches(word).count()).sum();
    (count("assigned partition="), count("revoked partition="))
}

/// Three workers to the end of the topic. Each time that the ledger reaches a drawn point one of them leaves, by SIGTERM or by SIGKILL,
/// and returns; a broker dies at every fifth of them, and is back two later.
fn churn(scene: &mut Scene, name: &str, seed: u64) -> (PathBuf, String) {
    let (config, warehouse) = scene.config(name);
    let start = |n: usize| Worker::start(&config, scene.dir.path().join(format!("worker-{n}.log")));
    let mut workers = [start(0), start(1), start(2)];
    let mut dice = Dice(seed);
    let all = departures();
    let mut points: Vec<u64> = (0..all).map(|_| dice.roll(scene.events * 8 / 10)).collect();
    points.sort_unstable();
    let mut dead = None;
    for (nth, point) in (0..).zip(points) {
        wait_until(&format!("{point} records before departure {nth}"), &mut workers, || progress(&warehouse) >= point);
        let worker = &mut workers[dice.roll(3) as usize];
        if dice.roll(2) == 0 {
            worker.kill_and_restart()
        } else {
            worker.leave_and_return()
        }
        match (nth % 5, dead) {
            (1, None) => {
                // One that is back needs a while, and two that are away together take the partitions with them.
                wait_until("all brokers are in sync", &mut workers, || scene.kafka.is_in_sync("firewall"));
                let broker = dice.roll(3) as usize;
                scene.kafka.kill_broker(broker);
                dead = Some(broker);
            }
            (3, Some(broker)) => {
                scene.kafka.restart_broker(broker);
                dead = None;
            }
            _ => {}
        }
    }
    dead.into_iter().for_each(|broker| scene.kafka.restart_broker(broker));
    wait_until("the group has read all", &mut workers, || scene.kafka.lag(name, "firewall") == 0);
    wait_until("the tables hold all", &mut workers, || scene.score(&warehouse)["missing"] == 0);
    let (assigned, revoked) = handovers(&workers);
    let told = format!("{all} departures: partitions were assigned {assigned} times, revoked {revoked} times");
    assert!(assigned as u64 > all, "a departure hands partitions over");
    workers.into_iter().for_each(Worker::stop);
    // There is nothing left to read: this closes the windows that were still open, as the calm run does at its end.
    run_to_end(&config);
    (warehouse, told)
}

#[test]
fn three_workers_that_come_and_go_while_brokers_die_store_and_alert_each_event_once() {
    let mut scene = Scene::new(Kafka::start_three(), 13, 60_000);
    let (config, calm) = scene.config("calm");
    run_to_end(&config);
    let wanted = alerts(&calm);
    verify(scene.score(&calm), &calm, &wanted).expect("a calm run is right");
    let (churned, told) = churn(&mut scene, "churned", 20_261_129);
    println!("{told}");
    verify(scene.score(&churned), &churned, &wanted).unwrap_or_else(|e| panic!("after the departures: {e}"));
    let audit = output(palisade().args(["tables", "audit", "--warehouse"]).arg(&churned));
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}
