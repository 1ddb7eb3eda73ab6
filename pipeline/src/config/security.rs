//! How clients of Kafka prove who they are, and whom they trust: the `security` and `settings` of a source or of the alert topic, as
//! settings of librdkafka.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dataflow::ClientSettings;
use serde::Deserialize;

use super::secret::RawSecret;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecurity {
    protocol: Option<Protocol>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    key_password: Option<RawSecret>,
    sasl: Option<RawSasl>,
}

/// As brokers name the protocols of their listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSasl {
    mechanism: Mechanism,
    username: String,
    password: RawSecret,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Settings of librdkafka: those that `security` stands for, then those of `settings`. `place` is where they stand in the
/// configuration.
///
/// # Errors
/// Names the key and what to change. No secret is named.
pub(super) fn client_settings(
    base: &Path,
    place: &str,
    security: Option<RawSecurity>,
    settings: BTreeMap<String, String>,
) -> Result<ClientSettings, String> {
    let place = format!("{place}.security");
    let mut all = security.map(|raw| build(base, &place, &raw)).transpose()?.unwrap_or_default();
    all.extend(settings);
    Ok(all)
}

fn build(base: &Path, place: &str, raw: &RawSecurity) -> Result<ClientSettings, String> {
    let protocol = protocol(place, raw)?;
    let mut settings = ClientSettings::from([("security.protocol", protocol.name())]);
    for (name, key, path) in [
        ("ssl.ca.location", "ca", &raw.ca),
        ("ssl.certificate.location", "certificate", &raw.certificate),
        ("ssl.key.location", "key", &raw.key),
    ] {
        if let Some(path) = path {
            settings.set(name, readable(&format!("{place}.{key}"), &base.join(path))?);
        }
    }
    if let Some(password) = &raw.key_password {
        settings.set("ssl.key.password", password.reveal(base, &format!("{place}.key_password"))?);
    }
    if let Some(sasl) = &raw.sasl {
        settings.set("sasl.mechanism", sasl.mechanism.name());
        settings.set("sasl.username", sasl.username.as_str());
        settings.set("sasl.password", sasl.password.reveal(base, &format!("{place}.sasl.password"))?);
    }
    Ok(settings)
}

/// The protocol that is named, or that the other keys speak of; the keys must fit it.
fn protocol(place: &str, raw: &RawSecurity) -> Result<Protocol, String> {
    use Protocol::{Plaintext, SaslPlaintext, SaslSsl, Ssl};
    let protocol = raw.protocol.unwrap_or(if raw.sasl.is_some() { SaslSsl } else { Ssl });
    let (is_tls, is_sasl) = (matches!(protocol, Ssl | SaslSsl), matches!(protocol, SaslPlaintext | SaslSsl));
    let name = protocol.name();
    if is_sasl && raw.sasl.is_none() {
        return Err(format!("{place}.sasl: {name} needs `mechanism`, `username` and `password`"));
    }
    if !is_sasl && raw.sasl.is_some() {
        let wanted = if protocol == Plaintext { SaslPlaintext } else { SaslSsl };
        return Err(format!("{place}.protocol: with `sasl` it is {}, not {name}", wanted.name()));
    }
    let of_tls = [("ca", raw.ca.is_some()), ("certificate", raw.certificate.is_some()), ("key", raw.key.is_some())];
    if let Some((key, _)) = of_tls.iter().find(|(_, given)| *given && !is_tls) {
        return Err(format!("{place}.{key}: {name} has no TLS; the protocols with it are SSL and SASL_SSL"));
    }
    if raw.certificate.is_some() != raw.key.is_some() {
        return Err(format!("{place}: `certificate` and `key` go together"));
    }
    if raw.key_password.is_some() && raw.key.is_none() {
        return Err(format!("{place}.key_password: there is no `key`"));
    }
    Ok(protocol)
}

/// The path of a file that can be opened: librdkafka would say less of one that cannot.
fn readable(place: &str, path: &Path) -> Result<String, String> {
    let shown = path.display();
    std::fs::File::open(path).map_err(|e| format!("{place}: {shown} cannot be read: {e}"))?;
    path.to_str().map(str::to_owned).ok_or_else(|| format!("{place}: {shown} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &Path, yaml: &str) -> Result<Vec<(String, String)>, String> {
        let raw: RawSecurity = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
        assert!(!format!("{raw:?}").contains("hunter2"), "a secret is shown");
        let built = client_settings(dir, "sources[0].kafka", Some(raw), BTreeMap::new())?;
        assert!(!format!("{built:?}").contains("hunter2"), "a secret is shown");
        Ok(built.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in [("ca.pem", ""), ("me.pem", ""), ("me.key", ""), ("password", "hunter2\n"), ("none", "\n")]
        {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        dir
    }

    #[test]
    fn keys_become_settings_of_the_client() {
        let dir = folder();
        let at = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        let sasl = "sasl: {mechanism: SCRAM-SHA-512, username: u, password: {file: password}}";
        let scram = [("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.username", "u"), ("sasl.password", "hunter2")];
        let (ca, certificate, key) = (at("ca.pem"), at("me.pem"), at("me.key"));
        for (yaml, protocol, want) in [
            (format!("ca: ca.pem\n{sasl}"), "SASL_SSL", [&[("ssl.ca.location", ca.as_str())], &scram[..]].concat()),
            (format!("protocol: SASL_PLAINTEXT\n{sasl}"), "SASL_PLAINTEXT", scram.to_vec()),
            (
                "{ca: ca.pem, certificate: me.pem, key: me.key, key_password: hunter2}".to_owned(),
                "SSL",
                vec![
                    ("ssl.ca.location", ca.as_str()),
                    ("ssl.certificate.location", &certificate),
                    ("ssl.key.location", &key),
                    ("ssl.key.password", "hunter2"),
                ],
            ),
            ("protocol: PLAINTEXT".to_owned(), "PLAINTEXT", vec![]),
        ] {
            let found = settings(dir.path(), &yaml).expect(&yaml);
            let want = [&[("security.protocol", protocol)], &want[..]].concat();
            let want: Vec<_> = want.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert_eq!(found, want, "{yaml}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_without_the_secret() {
        let dir = folder();
        let sasl = "sasl: {mechanism: PLAIN, username: u, password: hunter2}";
        for (yaml, want) in [
            ("protocol: SASL_SSL".to_owned(), "security.sasl: SASL_SSL needs `mechanism`"),
            (format!("protocol: SSL\n{sasl}"), "security.protocol: with `sasl` it is SASL_SSL, not SSL"),
            (format!("protocol: SASL_PLAINTEXT\nca: ca.pem\n{sasl}"), "security.ca: SASL_PLAINTEXT has no TLS"),
            ("certificate: me.pem".to_owned(), "`certificate` and `key` go together"),
            ("key_password: hunter2".to_owned(), "security.key_password: there is no `key`"),
            ("ca: gone.pem".to_owned(), "gone.pem cannot be read: No such file"),
            ("protocol: TLS".to_owned(), "unknown variant `TLS`"),
            (sasl.replace("hunter2", "{env: PALISADE_NO_SUCH}"), "the environment has no variable PALISADE_NO_SUCH"),
            (sasl.replace("hunter2", "{file: gone}"), "gone cannot be read"),
            (sasl.replace("hunter2", "{file: none}"), "security.sasl.password: is empty"),
            (sasl.replace("hunter2", "{env: A, file: none}"), "one of the two"),
            (sasl.replace("PLAIN", "GSSAPI"), "unknown variant `GSSAPI`"),
            (sasl.replace("password:", "passwrd:"), "unknown field `passwrd`"),
        ] {
            let error = settings(dir.path(), &yaml).expect_err(&yaml);
            assert!(error.contains(want), "{yaml}: {error}");
            let told = error.lines().next().unwrap_or_default();
            assert!(!told.contains("hunter2"), "{yaml}: {error}");
        }
    }

    #[test]
    fn a_password_of_digits_stands_in_quotes() {
        let yaml = "sasl: {mechanism: PLAIN, username: u, password: 0123}";
        let error = settings(Path::new(""), yaml).expect_err("a number");
        assert!(error.contains("a text of digits stands in quotes"), "{error}");
        let found = settings(Path::new(""), &yaml.replace("0123", "\"0123\"")).expect("right");
        assert_eq!(found.last(), Some(&("sasl.password".to_owned(), "0123".to_owned())));
    }
}
