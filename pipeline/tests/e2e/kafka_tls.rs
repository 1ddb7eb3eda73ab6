//! A broker that lets nobody in without TLS: users with SCRAM or PLAIN at one listener, certificates at the other.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::crash::score;
use crate::kafka_server::{Extra, Kafka};
use crate::kit::{output, palisade, run_to_end, stdout};

const PASSWORD: &str = "a-secret-of-the-tests";
/// Holds the password in tests that take it from there.
const VARIABLE: &str = "PALISADE_TEST_KAFKA_PASSWORD";

/// The broker; `ca.pem`, `other-ca.pem`, `me.pem`, `me.key` and `password` are in its folder.
struct Guarded {
    kafka: Kafka,
    sasl: SocketAddr,
    tls: SocketAddr,
}

impl Guarded {
    fn start() -> Self {
        let mut addresses = None;
        let kafka = Kafka::start_with("R3VhcmRlZENsdXN0ZXIrKw", |dir, found| {
            addresses = Some(found);
            extra(dir, found)
        });
        let [sasl, tls] = addresses.expect("asked for");
        Self { kafka, sasl, tls }
    }

    /// A configuration beside the certificates, with `kafka` of a source and of the alerts.
    fn config(&self, name: &str, source: &str, alerts: &str) -> std::path::PathBuf {
        let yaml = format!(
            "warehouse: {{path: {name}}}\nsources:\n  - name: firewall\n    tenant: {{header: tenant}}\n    kafka: {{{source}}}\n\
             alerts: [{{kafka: {{{alerts}}}}}]\nenrich: {{country: builtin, intel: [builtin]}}\n"
        );
        let path = self.kafka.dir().join(format!("{name}.yaml"));
        std::fs::write(&path, yaml).expect("a writable folder");
        path
    }
}

/// Makes the certificates, and says what the broker needs to know.
fn extra(dir: &Path, [sasl, tls]: [SocketAddr; 2]) -> Extra {
    let (ca, other) = (authority("Palisade's tests"), authority("somebody else"));
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("a writable folder");
    write("ca.pem", &ca.pem());
    write("other-ca.pem", &other.pem());
    write("password", &format!("{PASSWORD}\n"));
    let (broker, key) = certificate(&ca, &sasl.ip().to_string(), ExtendedKeyUsagePurpose::ServerAuth);
    write("broker.pem", &(key + &broker));
    let (me, key) = certificate(&ca, "palisade", ExtendedKeyUsagePurpose::ClientAuth);
    write("me.pem", &me);
    write("me.key", &key);
    let scram = |mechanism: &str| format!("{mechanism}=[name=palisade,password=\"{PASSWORD}\"]");
    let properties = format!(
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL\n\
         ssl.keystore.type=PEM\nssl.keystore.location={dir}/broker.pem\n\
         ssl.truststore.type=PEM\nssl.truststore.location={dir}/ca.pem\n\
         listener.name.ssl.ssl.client.auth=required\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config={plain} required user_palisade=\"{PASSWORD}\";\n\
         listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={salted} required;\n\
         listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={salted} required;\n",
        dir = dir.display(),
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule",
        salted = "org.apache.kafka.common.security.scram.ScramLoginModule",
    );
    Extra {
        listeners: vec![format!("SASL_SSL://{sasl}"), format!("SSL://{tls}")],
        properties,
        format: ["--add-scram", &scram("SCRAM-SHA-256"), "--add-scram", &scram("SCRAM-SHA-512")]
            .map(str::to_owned)
            .to_vec(),
        ..Extra::default()
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A certificate and its key, PEM.
fn certificate(ca: &Authority, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name or an address");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().expect("a key");
    let signed = params.signed_by(&key, ca).expect("signed");
    (signed.pem(), key.serialize_pem())
}

fn sasl(mechanism: &str, password: &str) -> String {
    format!("{{ca: ca.pem, sasl: {{mechanism: {mechanism}, username: palisade, password: {password}}}}}")
}

const MTLS: &str = "{ca: ca.pem, certificate: me.pem, key: me.key}";

/// Runs a worker to its end; what it says.
fn run(config: &Path) -> Output {
    output(palisade().args(["run", "--until-end", "--no-live", "-c"]).arg(config))
}

#[test]
fn records_come_and_alerts_leave_over_tls_with_scram_plain_and_certificates() {
    let guarded = Guarded::start();
    let (dir, truth) = (guarded.kafka.dir(), guarded.kafka.dir().join("truth"));
    let (by_user, by_certificate) = (guarded.sasl, guarded.tls);
    let client = dir.join("client.yaml");
    std::fs::write(&client, format!("security: {}\n", sasl("SCRAM-SHA-512", "{file: password}"))).expect("written");
    let mut fill = palisade();
    fill.args(["loadgen", "--topic", "firewall", "--seed", "21", "--events", "20000", "--tenants", "2"]);
    fill.args(["--kafka", &by_user.to_string(), "--kafka-config"]).arg(&client).arg("--out").arg(&truth);
    stdout(&mut fill);

    let scram = format!("brokers: \"{by_user}\", security: {}", sasl("SCRAM-SHA-256", &format!("{{env: {VARIABLE}}}")));
    let plain = format!("brokers: \"{by_user}\", security: {}", sasl("PLAIN", "{file: password}"));
    let mtls = format!("brokers: \"{by_certificate}\", security: {MTLS}");
    for (name, source, alerts) in [("scram", &scram, &mtls), ("mtls", &mtls, &plain)] {
        let topic = format!("detections-{name}");
        guarded.kafka.create_topic(&topic, 1);
        let config = guarded.config(
            name,
            &format!("topic: firewall, group: {name}, {source}"),
            &format!("topic: {topic}, {alerts}"),
        );
        let mut run = palisade();
        stdout(run.args(["run", "--until-end", "--output", "json", "-c"]).arg(&config).env(VARIABLE, PASSWORD));
        let score = score(&truth, &dir.join(name), &["--kafka"]);
        assert_eq!((&score["missing"], &score["extra"]), (&0.into(), &0.into()), "{name}: {score}");
        assert!(!guarded.kafka.consume_all(&topic).is_empty(), "{name}: no alert has left");
    }
}

#[test]
fn a_refusal_names_the_broker_the_cause_and_the_way_out() {
    let guarded = Guarded::start();
    guarded.kafka.create_topic("firewall", 1);
    let (by_user, by_certificate) = (guarded.sasl.to_string(), guarded.tls.to_string());
    let wrong = sasl("SCRAM-SHA-256", "not-the-password");
    for (name, address, security, cause, way_out) in [
        ("password", &by_user, wrong.clone(), "invalid credentials", "correct `mechanism`, `username` and `password`"),
        ("ca", &by_user, wrong.replace("ca.pem", "other-ca.pem"), "certificate verify failed", "correct `ca`"),
        (
            "nobody",
            &by_certificate,
            "{ca: ca.pem}".to_owned(),
            "bad certificate",
            "correct `ca`, `certificate` and `key`",
        ),
        // The broker hangs up; whether the client says more of it depends on when.
        ("plain", &by_user, "{protocol: PLAINTEXT}".to_owned(), "see that the brokers are up", "`security.protocol`"),
    ] {
        let source = format!("topic: firewall, brokers: \"{address}\", security: {security}");
        let config = guarded.config(
            &format!("refused-{name}"),
            &source,
            &format!("topic: firewall, brokers: \"{}\"", guarded.kafka.address()),
        );
        let out = run(&config);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success(), "{name}: {said}");
        for want in [address, cause, way_out] {
            assert!(said.contains(want), "{name}: no {want:?} in {said}");
        }
        assert!(!said.contains("not-the-password"), "{name}: {said}");
    }
}

#[test]
fn an_alert_topic_that_refuses_is_told_with_its_cause() {
    let guarded = Guarded::start();
    let truth = guarded.kafka.dir().join("truth");
    let mut fill = palisade();
    fill.args(["loadgen", "--topic", "firewall", "--seed", "21", "--events", "20000", "--tenants", "2"]);
    stdout(fill.args(["--kafka", &guarded.kafka.address(), "--out"]).arg(&truth));
    guarded.kafka.create_topic("detections", 1);
    let source = format!("topic: firewall, brokers: \"{}\"", guarded.kafka.address());
    let right = format!("topic: detections, brokers: \"{}\", security: {MTLS}", guarded.tls);
    let wrong = format!(
        "topic: detections, brokers: \"{}\", security: {}, settings: {{message.timeout.ms: \"2000\"}}",
        guarded.sasl,
        sasl("SCRAM-SHA-256", "not-the-password")
    );
    let config = guarded.config("w", &source, &wrong);
    let mut run = palisade();
    let out = output(run.args(["--log", "info", "run", "--until-end", "--no-live", "-c"]).arg(&config));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    for want in ["alerts wait", "topic detections", &guarded.sasl.to_string(), "invalid credentials"] {
        assert!(said.contains(want), "no {want:?} in {said}");
    }
    // Nothing is lost: who comes next sends them.
    run_to_end(&guarded.config("w", &source, &right));
    assert!(!guarded.kafka.consume_all("detections").is_empty(), "the alerts have left");
}
