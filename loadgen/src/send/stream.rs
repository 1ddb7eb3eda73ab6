//! Syslog over TCP (RFC 6587) and TLS (RFC 5425). Nobody acknowledges records: what the socket has taken counts as sent.
//!
//! When a connection breaks, the record that was cut and all after it are sent again over the next one. What the socket had
//! taken and the peer had not read is lost, as with every sender of syslog.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::batch::{Batch, Framing};
use super::dial::{Dialer, Wire};
use super::meter::Meter;
use super::output::Trouble;
use super::target::Endpoint;
use crate::error::Error;

/// How long a peer may take to close.
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) struct Stream {
    dialer: Dialer,
    framing: Framing,
    wire: Option<Box<dyn Wire>>,
}

impl Stream {
    pub(crate) fn new(endpoint: Endpoint, framing: Framing, ca: Option<&Path>) -> Result<Self, Error> {
        Ok(Self { dialer: Dialer::new(endpoint, ca)?, framing, wire: None })
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    pub(crate) async fn open(&mut self) -> io::Result<()> {
        self.wire = Some(self.dialer.dial().await?);
        Ok(())
    }

    pub(crate) async fn send(&mut self, batch: &Batch, done: &mut usize, meter: &mut Meter) -> Result<(), Trouble> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => meter.waiting(0, self.dialer.dial()).await?,
        };
        if is_closed(&mut *wire).await {
            return Err(Trouble::Again("the peer has closed the connection".to_owned()));
        }
        let mut written = batch.start(*done);
        while written < batch.bytes().len() {
            let work = write(&mut *wire, &batch.bytes()[written..]);
            written += meter.waiting(0, work).await?;
            let whole = batch.whole(written);
            meter.handed(batch, *done..whole);
            *done = whole;
        }
        self.wire = Some(wire);
        Ok(())
    }

    /// Says that all is sent, and reads until the peer has closed too: to end with its words unread would take back what it
    /// has not read yet.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        let Some(mut wire) = self.wire.take() else { return Ok(()) };
        wire.shutdown().await?;
        let mut answer = [0; 512];
        let drained = async { while wire.read(&mut answer).await.is_ok_and(|count| count > 0) {} };
        timeout(GOODBYE, drained).await.map_err(io::Error::from)
    }
}

async fn write(wire: &mut dyn Wire, bytes: &[u8]) -> io::Result<usize> {
    let count = wire.write(bytes).await?;
    wire.flush().await?;
    if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count) }
}

/// True if the peer has said that it is done. What it says besides is passed over: the protocol has no answers.
async fn is_closed(wire: &mut dyn Wire) -> bool {
    let mut answer = [0; 512];
    loop {
        let read = {
            let mut read = pin!(wire.read(&mut answer));
            poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await
        };
        match read {
            Poll::Pending => return false,
            Poll::Ready(Ok(0) | Err(_)) => return true,
            Poll::Ready(Ok(_)) => {}
        }
    }
}
