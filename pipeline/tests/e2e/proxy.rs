//! A TCP proxy on loopback that fails now and then, as networks and the services behind them do. An exchange is what a client
//! sends until it is answered: of HTTP a whole request, of anything else what one read brings.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::crash::Dice;
use crate::kit::on_thread;

const LATE: Duration = Duration::from_millis(200);

/// What becomes of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The request arrives late.
    Late,
    /// Both ends are reset when half of the request has arrived.
    HalfAsked,
    /// As [`Fault::HalfAsked`], of a request with a body: the head arrives, and half of the body.
    HalfWritten,
    /// The server has done the work; the client is reset in the midst of the answer.
    HalfAnswered,
    /// Nothing arrives and nothing is answered, until the client has had enough.
    Silent,
    /// HTTP's 503; the server is not asked.
    Busy,
}

impl Fault {
    pub(crate) const OF_S3: &[Self] =
        &[Self::Late, Self::HalfAsked, Self::HalfWritten, Self::HalfAnswered, Self::Silent, Self::Busy];
    pub(crate) const OF_HTTP: &[Self] = &[Self::Late, Self::HalfAsked, Self::HalfAnswered, Self::Silent, Self::Busy];
    pub(crate) const OF_TCP: &[Self] = &[Self::Late, Self::HalfAsked, Self::HalfAnswered, Self::Silent];

    fn strikes(self, request: &[u8]) -> bool {
        let has_body = || head_bytes(request).is_some_and(|head| head + 1 < request.len());
        self != Self::HalfWritten || (request.starts_with(b"PUT ") && has_body())
    }
}

/// Which exchanges fail, and how.
pub(crate) struct Weather {
    /// These kinds, each as often as the others.
    pub(crate) faults: &'static [Fault],
    /// One exchange in so many, by a drawn number.
    pub(crate) one_in: u64,
    pub(crate) seed: u64,
}

/// Runs until it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    sky: Arc<Sky>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Sky {
    server: SocketAddr,
    weather: Weather,
    drawn: Mutex<Drawn>,
}

struct Drawn {
    dice: Dice,
    exchanges: u64,
    struck: BTreeMap<Fault, u64>,
}

impl Proxy {
    /// Listens at an address of its own for clients of `server`.
    pub(crate) fn start(server: SocketAddr, weather: Weather) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a socket");
        let drawn = Drawn { dice: Dice(weather.seed), exchanges: 0, struck: BTreeMap::new() };
        let sky = Arc::new(Sky { server, weather, drawn: Mutex::new(drawn) });
        let (stop, stopped) = oneshot::channel();
        let above = sky.clone();
        let thread = on_thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(listener, above, stopped));
        });
        Self { address, sky, stop: Some(stop), thread: Some(thread) }
    }

    /// How often each kind has struck, and of how many exchanges.
    pub(crate) fn struck(&self) -> (BTreeMap<Fault, u64>, u64) {
        let drawn = self.sky.drawn.lock().expect("unpoisoned");
        (drawn.struck.clone(), drawn.exchanges)
    }

    /// Whether each kind has struck.
    pub(crate) fn has_done_its_worst(&self) -> bool {
        self.struck().0.len() == self.sky.weather.faults.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.take();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Sky {
    /// What becomes of the request: of the kinds that it can meet, the one that was met least often.
    fn draw(&self, request: &[u8]) -> Option<Fault> {
        let mut drawn = self.drawn.lock().expect("unpoisoned");
        drawn.exchanges += 1;
        if drawn.dice.roll(self.weather.one_in) != 0 {
            return None;
        }
        let met = self.weather.faults.iter().filter(|fault| fault.strikes(request));
        let fault = met.copied().min_by_key(|fault| drawn.struck.get(fault).copied())?;
        *drawn.struck.entry(fault).or_default() += 1;
        Some(fault)
    }

    fn reads_http(&self) -> bool {
        self.weather.faults.contains(&Fault::Busy)
    }
}

async fn serve(listener: std::net::TcpListener, sky: Arc<Sky>, mut stopped: oneshot::Receiver<()>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let mut relays = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                let (client, sky) = (accepted.expect("a client").0, sky.clone());
                // Its error is that an end is gone, which the other one then sees.
                relays.spawn(async move { relay(client, &sky).await });
            }
            Some(_) = relays.join_next() => {}
        }
    }
}

/// A connection, until one of its ends or a fault closes it.
async fn relay(mut client: TcpStream, sky: &Sky) -> io::Result<()> {
    let mut server = TcpStream::connect(sky.server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            read = client.read_buf(&mut request) => {
                if read? == 0 {
                    return Ok(());
                }
                if sky.reads_http() {
                    read_rest(&mut client, &mut request).await?;
                }
                match sky.draw(&request) {
                    None => {}
                    Some(Fault::Late) => be_late().await,
                    Some(fault) => return strike(fault, &request, client, server).await,
                }
                server.write_all(&request).await?;
                request.clear();
            }
            read = server.read_buf(&mut answer) => {
                if read? == 0 {
                    return Ok(());
                }
                client.write_all(&answer).await?;
                answer.clear();
            }
        }
    }
}

/// The fault itself: no test goes on because of it.
async fn be_late() {
    let _ = tokio::time::timeout(LATE, std::future::pending::<()>()).await;
}

/// Ends the connection in the way of the fault.
async fn strike(fault: Fault, request: &[u8], mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    match fault {
        Fault::Silent => while client.read_buf(&mut Vec::with_capacity(1 << 16)).await? > 0 {},
        Fault::Busy => {
            client.write_all(busy().as_bytes()).await?;
            return client.shutdown().await;
        }
        Fault::HalfAnswered => {
            server.write_all(request).await?;
            let mut answer = Vec::with_capacity(1 << 16);
            server.read_buf(&mut answer).await?;
            client.write_all(&answer[..answer.len() / 2]).await?;
        }
        Fault::HalfAsked => server.write_all(&request[..request.len() / 2]).await?,
        Fault::HalfWritten => {
            let head = head_bytes(request).unwrap_or_default();
            server.write_all(&request[..(head + request.len()) / 2]).await?;
        }
        Fault::Late => {}
    }
    // Reset, rather than closed.
    client.set_zero_linger()?;
    server.set_zero_linger()
}

/// In the words of S3; whoever speaks another protocol looks at the status.
fn busy() -> String {
    let body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>";
    format!(
        "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Where the body of an HTTP request begins, if its head is there.
fn head_bytes(request: &[u8]) -> Option<usize> {
    request.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The rest of an HTTP request whose beginning is there.
async fn read_rest(client: &mut TcpStream, request: &mut Vec<u8>) -> io::Result<()> {
    loop {
        if let Some(head) = head_bytes(request) {
            let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
            let length = text.split("\r\ncontent-length:").nth(1).and_then(|rest| rest.lines().next());
            let body = length.map_or(0, |length| length.trim().parse().expect("a length"));
            if request.len() >= head + body {
                return Ok(());
            }
        }
        if client.read_buf(request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
