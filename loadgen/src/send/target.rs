//! Where records go, as people write it: `tcp://collector.example.com:514`, `s3://bucket/prefix`, a folder, `-`.

use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use super::batch::Framing;

const KNOWN: &str = "udp, tcp, tls, http, https, hec+http, hec+https, s3, kafka and file; a folder and - (standard \
output) need none";

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// True for TLS.
    pub is_tls: bool,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let colon = self.host.contains(':');
        if colon { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Lines on standard output.
    Stdout,
    /// A file of lines for each partition.
    Dir(PathBuf),
    /// Syslog datagrams, RFC 5426.
    Udp(Endpoint),
    /// Syslog over TCP, RFC 6587, or TLS, RFC 5425.
    Stream(Endpoint, Framing),
    /// NDJSON in POST requests.
    Http(Post),
    /// Splunk's HTTP event collector.
    Hec(Post),
    /// Gzipped objects of lines.
    S3(Place),
    /// A topic.
    Kafka {
        /// `host:port`, divided by commas.
        brokers: String,
        /// Which.
        topic: String,
    },
}

/// A resource that takes POST requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Whom to call.
    pub endpoint: Endpoint,
    /// Path and query.
    pub path: String,
    /// True if bodies are gzipped.
    pub is_gzip: bool,
}

/// A bucket and what stands before its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// Its keys begin so.
    pub prefix: String,
    /// The service, if it is not AWS: its URL.
    pub endpoint: Option<String>,
    /// Its region, if it is told.
    pub region: Option<String>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text == "-" { Ok(Self::Stdout) } else { Ok(Self::Dir(PathBuf::from(text))) };
        };
        match scheme {
            "file" => Ok(Self::Dir(PathBuf::from(rest))),
            "kafka" => kafka(rest),
            "udp" => Ok(Self::Udp(Options::of(text, &[])?.endpoint(None, false)?)),
            "tcp" => stream(&Options::of(text, &["framing"])?, false),
            "tls" => stream(&Options::of(text, &["framing"])?, true),
            "http" | "https" => Ok(Self::Http(post(&Options::of(text, &["gzip"])?, scheme == "https")?)),
            "hec+http" | "hec+https" => hec(&Options::of(text, &["gzip"])?, scheme == "hec+https"),
            "s3" => s3(&Options::of(text, &["endpoint", "region"])?),
            _ => Err(format!("unknown scheme {scheme}://; known are {KNOWN}")),
        }
    }
}

/// A URL whose query holds options of ours.
struct Options {
    url: Url,
    known: &'static [&'static str],
}

impl Options {
    fn of(text: &str, known: &'static [&'static str]) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|e| format!("{text}: {e}"))?;
        let is_http = matches!(url.scheme(), "http" | "https");
        let unknown = url.query_pairs().find(|(name, _)| !known.contains(&&**name));
        match unknown {
            // A query of an HTTP resource is its own.
            Some((name, _)) if !is_http => Err(match known {
                [] => format!("{text}: there is no option {name}; this scheme has none"),
                _ => format!("{text}: there is no option {name}; there is {}", known.join(", ")),
            }),
            _ => Ok(Self { url, known }),
        }
    }

    fn get(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    fn host(&self) -> Result<String, String> {
        let host = self.url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| format!("{}: a host is missing", self.url))?;
        Ok(host.trim_start_matches('[').trim_end_matches(']').to_owned())
    }

    fn endpoint(&self, port: Option<u16>, is_tls: bool) -> Result<Endpoint, String> {
        let port = self.url.port().or(port).ok_or_else(|| format!("{}: a port is missing, such as :514", self.url))?;
        Ok(Endpoint { host: self.host()?, port, is_tls })
    }

    /// Path and query, without options of ours.
    fn path(&self) -> String {
        let others: Vec<_> = self.url.query_pairs().filter(|(key, _)| !self.known.contains(&&**key)).collect();
        if others.is_empty() {
            return self.url.path().to_owned();
        }
        let mut rest = self.url.clone();
        rest.query_pairs_mut().clear().extend_pairs(others);
        format!("{}?{}", rest.path(), rest.query().unwrap_or_default())
    }

    fn is_on(&self, name: &str) -> Result<bool, String> {
        match self.get(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(format!("{}: {name}={other}; it must be true or false", self.url)),
        }
    }
}

fn kafka(rest: &str) -> Result<Target, String> {
    match rest.split_once('/') {
        Some((brokers, topic)) if !brokers.is_empty() && !topic.is_empty() && !topic.contains('/') => {
            Ok(Target::Kafka { brokers: brokers.to_owned(), topic: topic.to_owned() })
        }
        _ => Err(format!("kafka://{rest}: expected kafka://HOST:PORT,…/TOPIC")),
    }
}

fn stream(options: &Options, is_tls: bool) -> Result<Target, String> {
    let framing = match options.get("framing").as_deref() {
        Some("lf") => Framing::Line,
        Some("octets") => Framing::Octets,
        None if is_tls => Framing::Octets,
        None => Framing::Line,
        Some(other) => return Err(format!("{}: framing={other}; it must be lf or octets", options.url)),
    };
    Ok(Target::Stream(options.endpoint(is_tls.then_some(6514), is_tls)?, framing))
}

fn post(options: &Options, is_tls: bool) -> Result<Post, String> {
    let port = if is_tls { 443 } else { 80 };
    let endpoint = options.endpoint(Some(port), is_tls)?;
    Ok(Post { endpoint, path: options.path(), is_gzip: options.is_on("gzip")? })
}

fn hec(options: &Options, is_tls: bool) -> Result<Target, String> {
    let endpoint = options.endpoint(Some(8088), is_tls)?;
    let path = match options.url.path() {
        "" | "/" => "/services/collector/raw",
        path => path,
    };
    Ok(Target::Hec(Post { endpoint, path: path.to_owned(), is_gzip: options.is_on("gzip")? }))
}

fn s3(options: &Options) -> Result<Target, String> {
    let prefix = options.url.path().trim_start_matches('/').to_owned();
    let (endpoint, region) = (options.get("endpoint"), options.get("region"));
    Ok(Target::S3(Place { bucket: options.host()?, prefix, endpoint, region }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16, is_tls: bool) -> Endpoint {
        Endpoint { host: host.to_owned(), port, is_tls }
    }

    #[test]
    fn every_scheme_is_what_it_says() {
        let post = |port, is_tls, path: &str, is_gzip| Post {
            endpoint: endpoint("c.example.com", port, is_tls),
            path: path.to_owned(),
            is_gzip,
        };
        let place = Place {
            bucket: "logs".to_owned(),
            prefix: "AWSLogs/x".to_owned(),
            endpoint: Some("http://127.0.0.1:9000".to_owned()),
            region: None,
        };
        let kafka = Target::Kafka { brokers: "a:9092,b:9092".to_owned(), topic: "firewall".to_owned() };
        let cases = [
            ("-", Target::Stdout),
            ("some/folder", Target::Dir("some/folder".into())),
            ("file:///var/log/x", Target::Dir("/var/log/x".into())),
            ("udp://127.0.0.1:5514", Target::Udp(endpoint("127.0.0.1", 5514, false))),
            ("tcp://[2001:db8::1]:514", Target::Stream(endpoint("2001:db8::1", 514, false), Framing::Line)),
            ("tcp://h:1?framing=octets", Target::Stream(endpoint("h", 1, false), Framing::Octets)),
            ("tls://h", Target::Stream(endpoint("h", 6514, true), Framing::Octets)),
            ("http://c.example.com/in?gzip=true", Target::Http(post(80, false, "/in", true))),
            ("https://c.example.com/in?key=a&gzip=false", Target::Http(post(443, true, "/in?key=a", false))),
            ("hec+https://c.example.com", Target::Hec(post(8088, true, "/services/collector/raw", false))),
            ("hec+http://c.example.com:80/e/event", Target::Hec(post(80, false, "/e/event", false))),
            ("s3://logs/AWSLogs/x?endpoint=http://127.0.0.1:9000", Target::S3(place)),
            ("kafka://a:9092,b:9092/firewall", kafka),
        ];
        for (text, want) in cases {
            assert_eq!(text.parse::<Target>(), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_way_out() {
        let cases = [
            ("ftp://h", format!("unknown scheme ftp://; known are {KNOWN}")),
            ("udp://h", "udp://h: a port is missing, such as :514".to_owned()),
            (
                "udp://h:1?framing=lf",
                "udp://h:1?framing=lf: there is no option framing; this scheme has none".to_owned(),
            ),
            ("tcp://h:1?frame=lf", "tcp://h:1?frame=lf: there is no option frame; there is framing".to_owned()),
            ("tcp://h:1?framing=x", "tcp://h:1?framing=x: framing=x; it must be lf or octets".to_owned()),
            ("http://h/?gzip=yes", "http://h/?gzip=yes: gzip=yes; it must be true or false".to_owned()),
            ("kafka://a:9092", "kafka://a:9092: expected kafka://HOST:PORT,…/TOPIC".to_owned()),
            ("s3://", "s3://: a host is missing".to_owned()),
        ];
        for (text, want) in cases {
            assert_eq!(text.parse::<Target>(), Err(want), "{text}");
        }
    }

    #[test]
    fn an_endpoint_reads_as_it_is_written() {
        assert_eq!(endpoint("2001:db8::1", 514, false).to_string(), "[2001:db8::1]:514");
        assert_eq!(endpoint("h", 514, true).to_string(), "h:514");
    }
}
