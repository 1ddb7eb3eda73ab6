//! A real S3 server and a real Iceberg REST catalog for a test, on loopback; both end with the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::house::{cache, read};
use crate::kit::palisade;

/// How long a server may take to come up.
const START_SECONDS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(20);

const BUCKET: &str = "lake";
pub(crate) const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "hush-hush"), ("AWS_REGION", "us-east-1")];

/// An S3 server with one bucket, and a catalog whose tables are there.
pub(crate) struct Lake {
    pub(crate) s3: Server,
    pub(crate) catalog: Server,
    pub(crate) dir: tempfile::TempDir,
}

/// Whether the store keeps what exists when it is asked to create it only if it is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    Kept,
    Ignored,
}

/// A process under a shell that kills it when our end of the shell's stdin closes: when it is dropped, and when this process
/// dies in whatever way.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shell: Child,
}

impl Lake {
    /// Starts both and waits until they answer.
    ///
    /// # Panics
    /// If `.ci/setup` did not run, or a server does not come up; with what it said.
    pub(crate) fn start() -> Self {
        Self::start_with(Conditions::Kept)
    }

    /// As [`Lake::start`], with a store that does or does not know conditional writes.
    pub(crate) fn start_with(conditions: Conditions) -> Self {
        Self::start_in(|dir| s3(dir, conditions))
    }

    /// As [`Lake::start`], with a command that is made of the S3 server's, and of the folder that its objects go to.
    pub(crate) fn start_as(made: impl FnOnce(&Path, &Command) -> Command) -> Self {
        Self::start_in(|dir| {
            let (server, address) = s3(dir, Conditions::Kept);
            (made(&dir.join("objects"), &server), address)
        })
    }

    fn start_in(server: impl FnOnce(&Path) -> (Command, SocketAddr)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let s3 = Server::start(server(dir.path()), dir.path(), "s3");
        let catalog = Server::start(rest_catalog(s3.address, dir.path()), dir.path(), "catalog");
        Self { s3, catalog, dir }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.s3.address)
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.catalog.address)
    }

    /// The `warehouse` of a configuration: a folder of the bucket.
    pub(crate) fn yaml(&self, folder: &str) -> String {
        format!(
            "warehouse:\n  path: s3://{BUCKET}/{folder}\n  files_per_day_max: 1000000000\n  storage: {{endpoint: '{}', allow_http: true}}\n  \
             catalog: {{type: rest, uri: '{}'}}\n",
            self.endpoint(),
            self.uri()
        )
    }

    /// The binary with the credentials of the bucket.
    pub(crate) fn palisade(&self) -> Command {
        let mut command = palisade();
        command.envs(KEYS);
        command
    }

    /// The binary with all that a URL alone does not say in its environment.
    pub(crate) fn palisade_by_environment(&self) -> Command {
        let mut command = self.palisade();
        command
            .env("AWS_ENDPOINT", self.endpoint())
            .env("AWS_ALLOW_HTTP", "true")
            .env("PALISADE_CATALOG_URI", self.uri());
        command
    }
}

impl Server {
    fn start((server, address): (Command, SocketAddr), dir: &Path, name: &str) -> Self {
        let file = dir.join(format!("{name}.log"));
        let log = || std::fs::File::options().create(true).append(true).open(&file).expect("a log file");
        let mut shell = Command::new("sh");
        shell.args(["-c", r#""$@" </dev/null & server=$!; read -r _; kill -9 $server; wait"#, "sh"]);
        shell.arg(server.get_program()).args(server.get_args());
        shell.envs(server.get_envs().filter_map(|(key, value)| Some((key, value?))));
        shell.stdin(Stdio::piped()).stdout(log()).stderr(log()).process_group(0);
        let started = Self { address, shell: shell.spawn().expect("a shell starts") };
        let is_up = |_| {
            std::thread::park_timeout(PAUSE);
            TcpStream::connect(address).is_ok()
        };
        let said = || std::fs::read_to_string(&file).unwrap_or_default();
        let turns = START_SECONDS * 1000 / PAUSE.subsec_millis();
        assert!((0..turns).any(is_up), "{name} does not answer after {START_SECONDS} s:\n{}", said());
        started
    }

    /// Stops it as if its machine had hung, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process_group(Pid::from_child(&self.shell), signal).expect("our child");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closes its stdin first, at which it kills the server, if nobody left it stopped.
        let _ = kill_process_group(Pid::from_child(&self.shell), Signal::CONT);
        let _ = self.shell.wait();
    }
}

/// `PALISADE_S3_SERVER`, or the one that `.ci/setup` built.
fn s3(dir: &Path, conditions: Conditions) -> (Command, SocketAddr) {
    let built = || Some(cache()?.join("bin/versitygw"));
    let server = std::env::var_os("PALISADE_S3_SERVER").map(PathBuf::from).or_else(built);
    let server = server.filter(|p| p.is_file()).expect("no S3 server (PALISADE_S3_SERVER): run .ci/setup");
    let address = free(Ipv4Addr::LOCALHOST);
    let mut command = Command::new(server);
    command.args(["--access", KEYS[0].1, "--secret", KEYS[1].1, "--quiet", "--port", &address.to_string()]);
    let (objects, attributes) = (dir.join("objects"), dir.join("attributes"));
    std::fs::create_dir_all(objects.join(BUCKET)).expect("a writable folder");
    std::fs::create_dir_all(&attributes).expect("a writable folder");
    command.arg("posix");
    match conditions {
        // Not every file system of a temporary folder keeps attributes.
        Conditions::Kept => command.arg("--sidecar").arg(attributes),
        // Without attributes there are no entity tags, and it looks at no condition.
        Conditions::Ignored => command.arg("--nometa"),
    };
    command.arg(objects);
    (command, address)
}

/// Iceberg's own server over SQLite: `PALISADE_ICEBERG_REST`, or the jars that `.ci/setup` copied.
fn rest_catalog(s3: SocketAddr, dir: &Path) -> (Command, SocketAddr) {
    let pom = read(".ci/iceberg-rest/pom.xml");
    let version = pom.split("<iceberg.version>").nth(1).and_then(|rest| rest.split('<').next()).expect("a version");
    let cached = || Some(cache()?.join("iceberg-rest").join(version).join("libs"));
    let libraries = std::env::var_os("PALISADE_ICEBERG_REST").map(PathBuf::from).or_else(cached);
    let libraries = libraries.filter(|p| p.is_dir()).expect("no REST catalog (PALISADE_ICEBERG_REST): run .ci/setup");
    // It listens at every address of the machine, and its keys are worth nothing.
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free(Ipv4Addr::UNSPECIFIED).port());
    let mut java = Command::new("java");
    java.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    java.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]).arg(libraries.join("*"));
    java.arg("org.apache.iceberg.rest.RESTCatalogServer").envs(KEYS);
    let database = dir.join("catalog.db");
    for (key, value) in [
        ("REST_PORT", address.port().to_string()),
        ("URI", format!("jdbc:sqlite:{}", database.display())),
        ("WAREHOUSE", format!("s3://{BUCKET}/")),
        ("IO__IMPL", "org.apache.iceberg.aws.s3.S3FileIO".to_owned()),
        ("S3_ENDPOINT", format!("http://{s3}")),
        ("S3_PATH__STYLE__ACCESS", "true".to_owned()),
    ] {
        java.env(format!("CATALOG_{key}"), value);
    }
    (java, address)
}

fn free(ip: Ipv4Addr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address")
}
