//! TLS over a TCP connection to a host that is known by name.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::{Error, Result};

pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts the authorities of the PEM file; without one, those of the machine.
    pub(super) fn new(host: &str, ca: Option<&Path>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let place = ca.map_or_else(|| "this machine".to_owned(), |file| file.display().to_string());
        let fail = |what: String| Error::Config(format!("{place}: {what}"));
        match ca {
            None => _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
            Some(file) => {
                for certificate in CertificateDer::pem_file_iter(file).map_err(|e| fail(e.to_string()))? {
                    roots.add(certificate.map_err(|e| fail(e.to_string()))?).map_err(|e| fail(e.to_string()))?;
                }
            }
        }
        if roots.is_empty() {
            return Err(fail("holds no certificate to trust; name a PEM file as `ca`".to_owned()));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|e| Error::Config(format!("{host}: {e}")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.map_err(|e| fail(e.to_string()))?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    pub(super) async fn connect(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), tcp).await
    }
}
