//! A syslog collector: RFC 5424 over UDP, TCP or TLS.

use std::fmt::Write as _;
use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use dataflow::time::rfc3339;
use serde_json::Value;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Mutex;
use tokio_rustls::client::TlsStream;

use super::tls::Tls;
use super::{OutgoingAlert, Receiver, Sending, Taken, cef};
use crate::{Error, Result};

/// Bytes of an alert in one datagram, below what IPv4 carries.
const DATAGRAM: usize = 65_000;

/// Facility `local0`.
const FACILITY: i64 = 16;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogProtocol {
    /// A datagram a message. Nobody knows whether it arrived.
    Udp,
    /// A line a message.
    Tcp,
    /// Each message behind its length (RFC 5425).
    Tls,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogFormat {
    /// ArcSight's Common Event Format.
    Cef,
    /// The OCSF Detection Finding.
    Json,
}

/// A [`Syslog`].
#[derive(Debug, Clone)]
pub struct SyslogConfig {
    /// `host:port`.
    pub address: String,
    /// How messages travel.
    pub protocol: SyslogProtocol,
    /// What they say.
    pub format: SyslogFormat,
    /// PEM of the authorities that are trusted instead of the machine's; of TLS.
    pub ca: Option<PathBuf>,
    /// Who we are.
    pub hostname: String,
    /// For a connection, and for what is written at a time.
    pub timeout: Duration,
}

/// Sends alerts as messages. The protocol has no acknowledgement: what the connection took counts as taken.
#[derive(Debug)]
pub struct Syslog {
    config: SyslogConfig,
    tls: Option<Tls>,
    connection: Mutex<Option<Connection>>,
}

#[derive(Debug)]
enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// False if the other side has closed it. A collector says nothing, so what can be read is the end. The socket is asked, as the
    /// runtime may not have heard yet.
    fn is_open(&self) -> bool {
        let tcp = match self {
            Connection::Udp(_) => return true,
            Connection::Tcp(tcp) => tcp,
            Connection::Tls(tls) => tls.get_ref().0,
        };
        match SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]) {
            Ok(bytes) => bytes > 0,
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        }
    }

    async fn write(&mut self, message: &str) -> io::Result<()> {
        match self {
            Connection::Udp(socket) => socket.send(message.as_bytes()).await.map(drop),
            Connection::Tcp(tcp) => tcp.write_all(format!("{message}\n").as_bytes()).await,
            Connection::Tls(tls) => tls.write_all(format!("{} {message}", message.len()).as_bytes()).await,
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Connection::Udp(_) => Ok(()),
            Connection::Tcp(tcp) => tcp.flush().await,
            Connection::Tls(tls) => tls.flush().await,
        }
    }
}

impl Syslog {
    /// Connects when first used.
    ///
    /// # Errors
    /// If the address or the certificates cannot be used.
    pub fn new(config: SyslogConfig) -> Result<Self> {
        let host =
            config.address.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let Some((host, _)) = host else {
            return Err(Error::Config(format!("{}: not an address such as siem.example:6514", config.address)));
        };
        let tls = match config.protocol {
            SyslogProtocol::Tls => Some(Tls::new(host.trim_matches(['[', ']']), config.ca.as_deref())?),
            SyslogProtocol::Udp | SyslogProtocol::Tcp => None,
        };
        Ok(Self { config, tls, connection: Mutex::new(None) })
    }

    async fn connect(&self) -> io::Result<Connection> {
        let address = self.config.address.as_str();
        if self.config.protocol == SyslogProtocol::Udp {
            let to = tokio::net::lookup_host(address).await?.next();
            let to = to.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
            let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
            socket.connect(to).await?;
            return Ok(Connection::Udp(socket));
        }
        let tcp = TcpStream::connect(address).await?;
        Ok(match &self.tls {
            None => Connection::Tcp(tcp),
            Some(tls) => Connection::Tls(Box::new(tls.connect(tcp).await?)),
        })
    }

    /// Over the connection as it was, unless the other side has closed it. Which alerts no datagram takes.
    async fn write(
        &self,
        held: Option<Connection>,
        alerts: &[OutgoingAlert],
    ) -> io::Result<(Connection, Vec<(usize, String)>)> {
        let mut connection = match held.filter(Connection::is_open) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut refused = Vec::new();
        for (nth, alert) in alerts.iter().enumerate() {
            let message = self.message(alert);
            if matches!(connection, Connection::Udp(_)) && message.len() > DATAGRAM {
                refused.push((nth, format!("{} bytes are too long for a datagram; use tcp or tls", message.len())));
                continue;
            }
            connection.write(&message).await?;
        }
        connection.flush().await?;
        Ok((connection, refused))
    }

    /// `<PRI>1 TIME HOST palisade - MSGID - TEXT`
    fn message(&self, alert: &OutgoingAlert) -> String {
        let finding: Value = serde_json::from_str(&alert.json).unwrap_or_default();
        let time = finding["time"].as_i64().unwrap_or_default().saturating_mul(1000);
        let priority = FACILITY * 8 + severity(alert.severity);
        let mut message = format!("<{priority}>1 {} {} palisade - alert - ", rfc3339(time), self.config.hostname);
        let _ = match self.config.format {
            SyslogFormat::Cef => message.write_str(&cef::line(&finding)),
            SyslogFormat::Json => message.write_str(&alert.json),
        };
        message
    }
}

/// Of syslog: 2 critical, 3 error, 4 warning, 5 notice, 6 informational.
fn severity(of_ocsf: i32) -> i64 {
    match of_ocsf {
        5 | 6 => 2,
        4 => 3,
        3 => 4,
        2 => 5,
        _ => 6,
    }
}

#[async_trait]
impl Receiver for Syslog {
    async fn send(&self, alerts: &[OutgoingAlert], taken: Taken<'_>) -> Sending {
        if alerts.is_empty() {
            return Sending::default();
        }
        let mut held = self.connection.lock().await;
        let limit = self.config.timeout;
        let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("takes longer than {limit:?}")));
        match tokio::time::timeout(limit, self.write(held.take(), alerts)).await.unwrap_or_else(late) {
            Ok((connection, refused)) => {
                *held = Some(connection);
                let left = |nth: &usize| refused.iter().any(|(other, _)| other == nth);
                let written = alerts.iter().enumerate().filter(|(nth, _)| !left(nth));
                written.for_each(|(_, alert)| taken(std::slice::from_ref(alert)));
                Sending { done: alerts.len(), refused, ..Sending::default() }
            }
            Err(e) => Sending::default().stop(&self.config.address, e.to_string(), None),
        }
    }
}
