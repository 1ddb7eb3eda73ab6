//! Connections: TCP, and TLS over it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::target::Endpoint;
use crate::error::Error;

/// A connection, whatever it runs over.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connects to one endpoint, again and again.
pub(crate) struct Dialer {
    endpoint: Endpoint,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialer {
    /// # Errors
    /// [`Error::Certificates`] if `ca` cannot be read or nobody is trusted; [`Error::Target`] for a name no certificate can
    /// bear.
    pub(crate) fn new(endpoint: Endpoint, ca: Option<&Path>) -> Result<Self, Error> {
        let tls = if endpoint.is_tls { Some(tls(&endpoint, ca)?) } else { None };
        Ok(Self { endpoint, tls })
    }

    pub(crate) async fn dial(&self) -> io::Result<Box<dyn Wire>> {
        let tcp = TcpStream::connect((self.endpoint.host.as_str(), self.endpoint.port)).await?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), tcp).await?)),
        }
    }
}

fn tls(endpoint: &Endpoint, ca: Option<&Path>) -> Result<(TlsConnector, ServerName<'static>), Error> {
    let roots = match ca {
        Some(path) => roots_of(path)?,
        None => roots_of_machine()?,
    };
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|e| Error::Target {
        target: endpoint.to_string(),
        cause: io::Error::new(io::ErrorKind::InvalidInput, e),
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.map_err(|e| Error::Certificates { what: "TLS".to_owned(), cause: e.to_string() })?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Those of a PEM file and no others.
fn roots_of(path: &Path) -> Result<RootCertStore, Error> {
    let failed = |cause: String| Error::Certificates { what: path.display().to_string(), cause };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))? {
        roots.add(certificate.map_err(|e| failed(e.to_string()))?).map_err(|e| failed(e.to_string()))?;
    }
    if roots.is_empty() { Err(failed("no certificate is in it".to_owned())) } else { Ok(roots) }
}

fn roots_of_machine() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let cause = "this machine trusts nobody; name a file with --ca".to_owned();
        return Err(Error::Certificates { what: "the system's certificates".to_owned(), cause });
    }
    Ok(roots)
}
