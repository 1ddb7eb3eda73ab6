//! Syslog datagrams, RFC 5426: a record each. Nobody acknowledges them, and the network may drop them.

use std::io;

use tokio::net::UdpSocket;

use super::batch::Batch;
use super::meter::Meter;
use super::output::Trouble;
use super::target::Endpoint;

pub(crate) struct Udp {
    endpoint: Endpoint,
    socket: Option<UdpSocket>,
}

impl Udp {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, socket: None }
    }

    pub(crate) async fn open(&mut self) -> io::Result<()> {
        let mut addresses = tokio::net::lookup_host((self.endpoint.host.as_str(), self.endpoint.port)).await?;
        let address = addresses.next().ok_or_else(|| io::Error::other("the name has no address"))?;
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        self.socket = Some(socket);
        Ok(())
    }

    pub(crate) async fn send(&mut self, batch: &Batch, done: &mut usize, meter: &mut Meter) -> Result<(), Trouble> {
        let Some(socket) = &self.socket else {
            self.open().await?;
            return Err(Trouble::Again("the socket was closed".to_owned()));
        };
        while *done < batch.len() {
            match meter.waiting(0, socket.send(batch.record(*done))).await {
                Ok(_) => meter.handed(batch, *done..*done + 1),
                // The answer to an earlier datagram, told once. This one was not sent yet.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    meter.retried(&format!("{e}: nobody listens, and datagrams before are lost"));
                    continue;
                }
                // Too long for a datagram, most likely.
                Err(e) => meter.failed(1, &format!("a datagram of {} bytes: {e}", batch.record(*done).len())),
            }
            *done += 1;
        }
        Ok(())
    }
}
