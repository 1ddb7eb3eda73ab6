use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::*;
use crate::live::view::TableLine;

fn rendered(view: &View, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a backend in memory");
    terminal.draw(|frame| draw(frame, view)).expect("a backend in memory");
    terminal.backend().buffer().clone()
}

/// The screen's lines without what is blank at their ends.
fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let line = |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..area.height).map(line).collect()
}

fn percentiles(p50: f64, p99: f64, max: f64) -> Percentiles {
    Percentiles { count: 1, p50, p99, p999: p99, max }
}

fn detection(what: &str, state: State) -> Detection {
    let (rule, tenant) = ("port_scan".to_owned(), "acme".to_owned());
    Detection { what: what.to_owned(), rule, tenant, key: "src_ip=10.0.0.1".to_owned(), state }
}

fn demo() -> View {
    View {
        title: "palisade demo",
        elapsed_s: 30,
        total: Some(1_200_000),
        received: 600_000,
        committed: 540_000,
        in_flight: 59_000,
        dead_letters: 1_000,
        alerts: 4,
        rate: 20_000,
        rates: vec![0, 10_000, 20_000, 20_000],
        queryable: percentiles(1_900.0, 4_100.0, 5_000.0),
        alert: percentiles(600.0, 2_500.0, 2_600.0),
        queues: vec![
            Queue { name: "shard".to_owned(), rows: 500, rows_max: Some(1_000) },
            Queue { name: "merge".to_owned(), rows: 0, rows_max: Some(1_000) },
        ],
        state_bytes: 3 << 20,
        tables: vec![
            TableLine { name: "api_activity".to_owned(), commits: 9, rows: 40_000 },
            TableLine { name: "network_activity".to_owned(), commits: 10, rows: 500_000 },
        ],
        topics: vec![TopicLine {
            name: "firewall.acme".to_owned(),
            partitions: 2,
            watermark: Some(1_767_601_800_000_000),
            behind_us: 1_500_000,
            age_us: 800_000,
            lag: None,
        }],
        workers: Vec::new(),
        detections: vec![
            detection("false alert", State::False),
            detection("scan-2", State::Open { seconds: 1.2 }),
            detection("scan-1", State::Detected { seconds: 2.5 }),
            detection("scan-3", State::Coming),
        ],
        scored: true,
        stopping: false,
        log: Vec::new(),
    }
}

#[test]
fn the_demos_screen_shows_every_panel() {
    let screen = lines(&rendered(&demo(), 100, 24)).join("\n");
    for want in [
        "palisade demo  00:30  50%",
        "20,000 events/s",
        "600,000 received, 540,000 queryable",
        "59,000 in flight, 1,000 dead letters",
        "4.1 s",
        "600 ms",
        "to shard",
        "  50%",
        "window state 3.0 MiB",
        "network_activity",
        "500,000",
        " Detections 1 of 3, 1 false ",
        "FALSE",
        "open 1.2 s",
        "in 2.5 s",
        "to come",
        "08:30:00",
        "q or Ctrl-C stops",
    ] {
        assert!(screen.contains(want), "{want} is not shown:\n{screen}");
    }
}

#[test]
fn what_is_wrong_is_red_and_what_is_found_green() {
    let buffer = rendered(&demo(), 100, 24);
    let color = |text: &str| {
        let y = lines(&buffer).iter().position(|l| l.contains(text)).expect("it is shown") as u16;
        (0..60).map(|x| buffer[(x, y)].fg).find(|c| ![Color::Reset, Color::DarkGray].contains(c))
    };
    assert_eq!(
        (color("FALSE"), color("scan-2"), color("scan-1")),
        (Some(Color::Red), Some(Color::Yellow), Some(Color::Green))
    );
    assert_eq!(color("scan-3"), None);
}

#[test]
fn a_run_without_labels_shows_its_alerts_and_the_log() {
    let view = View {
        title: "palisade run",
        total: None,
        scored: false,
        stopping: true,
        detections: vec![detection("alert", State::Alert { seconds: 90.0 })],
        log: vec!["WARN a disk is slow".to_owned()],
        ..demo()
    };
    let screen = lines(&rendered(&view, 100, 24)).join("\n");
    for want in
        ["palisade run  00:30  600,000 events", " Alerts ", "2 min ago", "WARN a disk is slow", "stopping: what was"]
    {
        assert!(screen.contains(want), "{want} is not shown:\n{screen}");
    }
}

#[test]
fn workers_watched_from_outside_are_listed_and_those_that_are_silent_are_red() {
    let worker = |address: &str, state| WorkerLine {
        address: address.to_owned(),
        region: "eu".to_owned(),
        state,
        rate: 12_345,
        in_flight: 5,
        waits_us: 2_500_000,
        lag: 77_000,
        queryable_p99: 1_500.0,
        alerts: 1,
    };
    let silent = WorkerState::Silent("connection refused".to_owned());
    let workers = vec![worker("10.0.0.1:9464", WorkerState::Ready), worker("10.0.0.2:9464", silent)];
    let queues = vec![Queue { name: "shard".to_owned(), rows: 500, rows_max: None }];
    let topics = vec![TopicLine { name: "fw".to_owned(), lag: Some(1_234_567), ..TopicLine::default() }];
    let buffer = rendered(&View { title: "palisade top", topics, workers, queues, total: None, ..demo() }, 160, 24);
    let screen = lines(&buffer);
    let line = |text: &str| screen.iter().position(|line| line.contains(text));
    for want in ["Workers, 1 of 2 ready", "slowest worker", "to shard   500 rows", "1,234,567", "the workers go on"] {
        assert!(line(want).is_some(), "{want} is not shown:\n{}", screen.join("\n"));
    }
    let ready = &screen[line("10.0.0.1:9464").expect("it is shown")];
    for want in ["eu", "12,345", "77,000", "2.5 s", "1.5 s", "ready"] {
        assert!(ready.contains(want), "{want}: {ready}");
    }
    let y = line("connection refused").expect("it is shown") as u16;
    assert!((0..80).any(|x| buffer[(x, y)].fg == Color::Red));
}

#[test]
fn a_small_terminal_and_an_empty_view_are_no_trouble() {
    for (width, height) in [(1, 1), (20, 5), (40, 60), (300, 100)] {
        rendered(&demo(), width, height);
        rendered(&View::default(), width, height);
    }
}
