//! Disks that are full, fail to sync or take long to, below a worker and below the bucket's server: it is told, nothing is
//! believed that is not durable, and with room again each event and each alert is there once.
//!
//! `PALISADE_FULL_DISKS` and `PALISADE_FAILING_DISKS` set the rounds, for long runs.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::crash::{Calm, Dice, run};
use crate::kit::{fleet, on_thread, output, sized, stdout};
use crate::lake::{assert_whole, config};
use crate::lake_server::Lake;
use crate::upkeep::audit;

const MIB: u64 = 1 << 20;

/// A file system of a size, in memory, that only processes of its own mount namespace see.
struct SmallDisk {
    holder: Child,
    at: PathBuf,
    by_root: bool,
}

impl SmallDisk {
    fn mount(at: &Path, bytes: u64) -> Self {
        std::fs::create_dir_all(at).expect("a writable folder");
        let by_root = rustix::process::geteuid().is_root();
        let mut holder = Command::new("unshare");
        holder.arg(if by_root { "-m" } else { "-Urm" });
        holder.args(["sh", "-c", r#"mount -t tmpfs -o "size=$1" small "$2" && echo mounted && exec cat"#, "sh"]);
        holder.arg(bytes.to_string()).arg(at).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = holder.spawn().expect("util-linux is installed");
        let said = BufReader::new(holder.stdout.take().expect("piped")).lines().map_while(Result::ok).next();
        if said.as_deref() != Some("mounted") {
            let out = holder.wait_with_output().expect("our child");
            panic!(
                "no file system of a size: run as root, or let users make mount namespaces (unshare -Urm): {}",
                String::from_utf8_lossy(&out.stderr)
            );
        }
        Self { holder, at: at.to_owned(), by_root }
    }

    /// The command, where the disk is seen.
    fn within(&self, command: &Command) -> Command {
        let mut within = Command::new("nsenter");
        within.arg(format!("--target={}", self.holder.id())).arg("--mount");
        if !self.by_root {
            within.args(["--user", "--preserve-credentials"]);
        }
        within.arg("--").arg(command.get_program()).args(command.get_args());
        within.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        within
    }

    fn resize(&self, bytes: u64) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,size={bytes}")]).arg(&self.at);
        stdout(&mut self.within(&mount));
    }

    /// The disk's folder as others reach it.
    fn seen_from_outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.at.strip_prefix("/").expect("an absolute path"))
    }

    /// Leaves what is on the disk in the folder that it was mounted on.
    fn keep(self) {
        stdout(Command::new("cp").arg("-a").arg(self.seen_from_outside().join(".")).arg(&self.at));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nobody else holds the namespace, nor so the disk.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Bytes that a folder's files take on a disk.
fn occupied(folder: &Path) -> u64 {
    let text = stdout(Command::new("du").args(["-s", "-B1"]).arg(folder));
    text.split_whitespace().next().and_then(|bytes| bytes.parse().ok()).expect("a number")
}

fn sound(calm: &Calm, warehouse: &Path, config: &Path) {
    calm.verify(warehouse).unwrap_or_else(|e| panic!("{}: {e}", warehouse.display()));
    assert_audited(calm, warehouse, config);
}

fn assert_audited(calm: &Calm, warehouse: &Path, config: &Path) {
    let audit = audit(calm, warehouse, config);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

#[test]
fn a_worker_whose_disk_is_full_says_so_and_goes_on_when_there_is_room() {
    let calm = Calm::new(41);
    let needed = occupied(&calm.dir.path().join("calm"));
    let (mut dice, rounds) = (Dice(20_261_130), sized("PALISADE_FULL_DISKS", 2));
    for round in 0..rounds {
        let (warehouse, config) = calm.warehouse(&format!("full-{round}"));
        let yaml = std::fs::read_to_string(&config).expect("a configuration");
        // Opening a warehouse is tried again for as long.
        let yaml = yaml.replace("warehouse:\n", "warehouse:\n  catalog: {type: sqlite, timeout: 5s}\n");
        std::fs::write(&config, yaml).expect("writes");
        let disk = SmallDisk::mount(&warehouse, needed * (10 + dice.roll(50)) / 100);
        // The second one starts on a disk that is full.
        for attempt in ["first", "second"] {
            let out = output(&mut disk.within(&run(&config)));
            let text = String::from_utf8_lossy(&out.stderr);
            println!("round {round}, {attempt}: {text}");
            assert!(!out.status.success(), "round {round}: {needed} bytes are needed");
            let is_told = text.contains("No space left on device") || text.contains("disk is full");
            let place = warehouse.to_string_lossy();
            let is_placed = text.contains(&*place) || text.contains("the catalog's file");
            assert!(is_told && is_placed && text.contains("make room"), "{attempt}: {text}");
        }
        disk.resize(needed * 4);
        stdout(&mut disk.within(&run(&config)));
        disk.keep();
        calm.verify(&warehouse).unwrap_or_else(|e| panic!("round {round}: {e}"));
        if round + 1 == rounds {
            assert_audited(&calm, &warehouse, &config);
        }
    }
}

#[test]
fn a_worker_waits_for_a_bucket_that_is_full_and_goes_on_when_there_is_room() {
    let mut disk = None;
    let lake = Lake::start_as(|objects, server| {
        let disk = disk.insert(SmallDisk::mount(objects, 3 * MIB));
        std::fs::create_dir_all(disk.seen_from_outside().join("lake")).expect("a bucket");
        disk.within(server)
    });
    let disk = disk.expect("mounted");
    let logs = lake.dir.path().join("logs");
    fleet(&logs, 43, 20_000, "none");
    let config = config(&lake, &logs, "full");
    let mut worker = lake.palisade();
    worker.args(["run", "--until-end", "-c"]).arg(&config);
    let mut child = worker.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let waits = lines.find(|line| line.contains("the store is asked again"));
    println!("{waits:?}");
    let waits = waits.expect("it says that it waits");
    assert!(waits.contains("s3://lake"), "{waits}");
    disk.resize(1024 * MIB);
    let said = on_thread(move || lines.collect::<Vec<String>>());
    let status = child.wait().expect("our child");
    assert!(status.success(), "{:#?}", said.join().expect("no panic"));
    assert_whole(&lake, &config, &logs, &[]);
}

/// A worker whose calls of fsync and fdatasync fare as `fault` says, in strace's words; what became of them is in `trace`.
fn on_failing_disk(worker: &Command, trace: &Path, fault: &str) -> Command {
    let there = Command::new("strace").arg("--version").output();
    assert!(there.is_ok_and(|out| out.status.success()), "no strace: run .ci/setup");
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-y", "-qq", "-s", "4096", "-e", "signal=none"]);
    strace.args(["-e", "trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2"]);
    strace.args(["-e", &format!("inject=fsync,fdatasync:{fault}"), "-o"]).arg(trace);
    strace.arg("--").arg(worker.get_program()).args(worker.get_args());
    strace
}

/// Calls that strace put its own answer or a delay in.
fn injected(trace: &str) -> impl Iterator<Item = &str> {
    trace.lines().filter(|line| line.contains("(INJECTED)") || line.contains("(DELAYED)"))
}

/// What could not be synced was not given the name under which others look for it.
fn assert_unnamed(trace: &str) {
    let path = |line: &str| line.split_once('<').and_then(|(_, rest)| Some(rest.split_once('>')?.0.to_owned()));
    let unsynced: BTreeSet<String> = injected(trace).filter_map(path).filter(|path| path.contains("/.tmp-")).collect();
    let is_naming = |line: &&str| line.contains("link") || line.contains("rename");
    for line in trace.lines().filter(is_naming) {
        assert!(!unsynced.iter().any(|path| line.contains(path.as_str())), "{line}");
    }
}

#[test]
fn what_a_disk_fails_to_sync_is_not_believed() {
    let calm = Calm::new(42);
    let (warehouse, config) = calm.warehouse("failing");
    let mut dice = Dice(20_261_130);
    let (mut failures, mut ended) = (0, 0);
    for round in 0..sized("PALISADE_FAILING_DISKS", 4) {
        let trace = calm.dir.path().join(format!("failing-{round}.trace"));
        // Counted in each thread.
        let fault = format!("error=EIO:when={}+{}", 2 + dice.roll(30), 40 + dice.roll(100));
        let out = output(&mut on_failing_disk(&run(&config), &trace, &fault));
        let calls = std::fs::read_to_string(&trace).expect("strace wrote it");
        assert_unnamed(&calls);
        failures += injected(&calls).count();
        let text = String::from_utf8_lossy(&out.stderr);
        println!("round {round}, {fault}: {}\n{text}", out.status);
        if !out.status.success() {
            ended += 1;
            let is_told = text.contains("Input/output error") || text.contains("disk I/O error");
            let is_placed = text.contains(&*warehouse.to_string_lossy()) || text.contains("the catalog's file");
            assert!(is_told && is_placed, "{fault}: {text}");
        }
    }
    assert!(failures > 0 && ended > 0, "{failures} failures, {ended} workers ended by them");
    stdout(&mut run(&config));
    sound(&calm, &warehouse, &config);
}

#[test]
fn a_slow_disk_changes_nothing() {
    let calm = Calm::new(44);
    let (warehouse, config) = calm.warehouse("slow");
    let trace = calm.dir.path().join("slow.trace");
    stdout(&mut on_failing_disk(&run(&config), &trace, "delay_enter=50000:when=1+5"));
    let calls = std::fs::read_to_string(&trace).expect("strace wrote it");
    assert!(injected(&calls).count() > 10, "hardly a call was slow:\n{calls}");
    sound(&calm, &warehouse, &config);
}
