use super::*;
use crate::decode::tests::{at, check, decode_all, row_of};
use crate::decode::{DecodeConfig, Format};
use serde_json::json;

const CEF: &str = "<14>Nov 20 10:00:02 fw-1 CEF:0|Palo Alto Networks|PAN-OS|11.1.4";

impl Found<'_> {
    /// What the header says, and the pairs but for labels: they say what their keys mean.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let mut pairs = Pairs::default();
        pairs.fill(self.line, self.line.len() - self.body.len(), self.separator);
        let header = [("log type", self.log_type), ("version", self.version), ("signature", self.signature)];
        let fields = pairs.iter(self.line).filter(|(key, _)| !key.ends_with(LABEL)).chain(header);
        fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

#[test]
fn a_session_in_cef() {
    let row = row_of(&format!(
        "{CEF}|end|TRAFFIC|1|rt=Nov 20 2026 10:00:01 GMT deviceExternalId=0011 src=10.0.0.1 dst=198.51.100.7 \
         sourceTranslatedAddress=203.0.113.9 sourceTranslatedPort=40000 cs1Label=Rule cs1=web out suser=corp\\\\ann duser= app=ssl \
         cs3Label=Virtual System cs3=vsys1 cs4Label=Source Zone cs4=trust cn1Label=SessionID cn1=77 cnt=1 spt=51000 dpt=443 \
         flexString1Label=Flags flexString1=0x19 proto=tcp act=allow flexNumber1Label=Total bytes flexNumber1=1500 in=600 out=900 \
         cn3Label=Elapsed time in seconds cn3=9 start=Nov 20 2026 10:00:00 GMT reason=aged-out externalId=7 cat=from-policy \
         dvchost=fw-one PanOSRuleUUID=uuid-1 PanOSNew=x"
    ));
    check(
        &row,
        &[
            ("class_uid", "4001"),
            ("activity_name", "\"Close\""),
            ("time_dt", "\"2026-11-20T10:00:00.000000Z\""),
            ("metadata.logged_time_dt", "\"2026-11-20T10:00:01.000000Z\""),
            ("metadata.product.version", "\"11.1.4\""),
            ("metadata.event_code", "\"end\""),
            ("metadata.log_name", "\"TRAFFIC\""),
            ("metadata.sequence", "7"),
            ("device", r#"{"uid":"0011","hostname":"fw-1","name":"fw-one","type_id":9,"type":"Firewall"}"#),
            ("firewall_rule", r#"{"name":"web out","uid":"uuid-1"}"#),
            ("actor.user", r#"{"name":"ann","domain":"corp"}"#),
            ("src_endpoint.proxy_endpoint", r#"{"ip":"203.0.113.9","port":40000}"#),
            ("traffic", r#"{"bytes":1500,"bytes_in":900,"bytes_out":600}"#),
            ("duration", "9000"),
            ("status_detail", "\"aged-out\""),
            ("unmapped", r#"{"virtual_system":"vsys1","flags":"0x19","action_source":"from-policy","PanOSNew":"x"}"#),
        ],
    );
}

#[test]
fn the_logging_service_counts_bytes_the_other_way() {
    let row = row_of(
        "CEF:0|Palo Alto Networks|LF|2.0|TRAFFIC|end|3|dtz=UTC rt=Nov 20 2026 10:00:01 start=Nov 20 2026 10:00:00 src=10.0.0.1 \
         in=900 out=600 PanOSConfigVersion=10.1 cs2=any cs2Label=URLCategory PanOSSourceUserDomain=corp suser=corp\\\\\\\\ann",
    );
    check(
        &row,
        &[
            ("traffic", r#"{"bytes_in":900,"bytes_out":600}"#),
            ("metadata.product.version", "\"10.1\""),
            ("actor.user", r#"{"name":"ann","domain":"corp"}"#),
            ("unmapped", r#"{"dtz":"UTC","category":"any"}"#),
        ],
    );
}

#[test]
fn threats_in_both_ways_of_the_guides() {
    let pairs = "rt=Nov 20 2026 10:00:00 GMT src=10.0.0.1 dst=198.51.100.7 act=alert request=\"a b=c.exe\"";
    for (header, cat, uid, title) in [
        ("Eicar(39040)|THREAT|4", "virus", "39040", "Eicar"),
        ("virus|THREAT|4", "Eicar(39040)", "39040", "Eicar"),
        ("virus|THREAT|4", "(39040)", "39040", "39040"),
    ] {
        let row = row_of(&format!("{CEF}|{header}|{pairs} cat={cat}"));
        assert_eq!((&row["class_uid"], &row["severity"]), (&json!(2004), &json!("High")), "{header}");
        assert_eq!(at(&row, "metadata.event_code"), "virus", "{header}");
        assert_eq!(at(&row, "finding_info.title"), title, "{header}");
        assert_eq!(at(&row, "unmapped.url_filename"), "a b=c.exe", "{header}");
        let analytic = at(&row, "finding_info.analytic");
        assert!(analytic["uid"] == uid || analytic["name"] == uid, "{analytic}");
    }
    let url = row_of(&format!("{CEF}|url|THREAT|1|{pairs} cat=(9999) requestMethod=get"));
    check(&url, &[("class_uid", "4002"), ("activity_name", "\"Get\""), ("unmapped.threat_id", "\"(9999)\"")]);
}

#[test]
fn what_stands_in_the_header_of_other_log_types() {
    let pairs = "rt=Nov 20 2026 10:00:00 GMT deviceExternalId=0011";
    for (header, further, want) in [
        (
            "Succeeded|CONFIG|1",
            "shost=192.0.2.1 act=set duser=ann msg= network",
            vec![("class_uid", "6003"), ("status_id", "1"), ("api.operation", "\"set\"")],
        ),
        (
            "auth|SYSTEM|3",
            "cat=auth-fail msg=for user 'ann'. Reason: no. From: 192.0.2.1.",
            vec![("class_uid", "3002"), ("user.name", "\"ann\""), ("severity", "\"Medium\"")],
        ),
        (
            "profile|HIPMATCH|1",
            "cat=disk suser=ann src=10.0.0.1",
            vec![
                ("class_uid", "5001"),
                ("device.groups", r#"[{"name":"disk","type":"profile"}]"#),
                ("device.ip", "\"10.0.0.1\""),
            ],
        ),
        (
            "login|USERID|1",
            "cat=0 src=10.0.0.1 duser=ann cn1Label=Factor Number cn1=2",
            vec![("activity_name", "\"Logon\""), ("is_mfa", "true")],
        ),
        (
            "0|AUTH|1",
            "msg=user password failure duser=ann cn2Label=AuthenticationID cn2=5",
            vec![("status_id", "2"), ("unmapped.authentication_id", "\"5\"")],
        ),
        (
            "end|END|2",
            "src=10.0.0.1 cs2Label=Tunnel Type cs2=GRE",
            vec![("class_uid", "4014"), ("protocol_name", "\"GRE\""), ("severity", "\"Low\"")],
        ),
        (
            "0|DECRYPTION|1",
            "src=10.0.0.1 PanOSTLSVersion=TLS1.3 PanOSServerNameIndication=a.example",
            vec![("tls", r#"{"version":"TLS1.3","sni":"a.example"}"#)],
        ),
        // The guide for GLOBALPROTECT has type and subtype the other way round, and no severity.
        (
            "GLOBALPROTECT|0",
            "PanOSEventID=gateway-auth PanOSStage=login PanOSSourceUserName=ann",
            vec![("class_uid", "3002"), ("user.name", "\"ann\""), ("metadata.event_code", "\"gateway-auth\"")],
        ),
    ] {
        check(&row_of(&format!("{CEF}|{header}|{pairs} {further}")), &want);
    }
}

#[test]
fn a_label_of_the_users_own_is_believed() {
    let row = row_of(&format!(
        "{CEF}|end|TRAFFIC|1|rt=Nov 20 2026 10:00:00 GMT src=10.0.0.1 cs1=T-7 cs1Label=Ticket cs2=any"
    ));
    check(&row, &[("firewall_rule", "null"), ("unmapped", r#"{"cs1":"T-7","cs1Label":"Ticket","category":"any"}"#)]);
}

#[test]
fn sessions_and_threats_in_leef() {
    let traffic = "cat=TRAFFIC|SubType=end|ReceiveTime=2026/11/20 11:00:00|devTime=Nov 20 2026 10:00:00 GMT|SerialNumber=0011|\
        src=10.0.0.1|dst=198.51.100.7|usrName=corp\\ann|srcPort=51000|dstPort=443|srcBytes=600|dstBytes=900|RuleName=web|proto=tcp|New=x";
    for head in [
        "LEEF:1.0|Palo Alto Networks|PAN-OS Syslog Integration|10.2.1|allow|",
        "LEEF:2.0|Palo Alto Networks|PAN-OS Syslog Integration|10.2.1|allow|x7C|",
    ] {
        check(
            &row_of(&format!("<14>Nov 20 10:00:02 fw-1 {head}{traffic}")),
            &[
                ("class_uid", "4001"),
                ("activity_name", "\"Close\""),
                ("action", "\"Allowed\""),
                ("time_dt", "\"2026-11-20T10:00:00.000000Z\""),
                ("traffic", r#"{"bytes_in":900,"bytes_out":600}"#),
                ("actor.user", r#"{"name":"ann","domain":"corp"}"#),
                ("metadata.product.version", "\"10.2.1\""),
                ("device.hostname", "\"fw-1\""),
                ("unmapped", r#"{"New":"x"}"#),
            ],
        );
    }
    let threat = "LEEF:2.0|Palo Alto Networks|PAN-OS Syslog Integration|10.2.1|Eicar(39040)|^|cat=THREAT^Subtype=virus^\
        devTime=Nov 20 2026 10:00:00 GMT^src=10.0.0.1^ThreatID=Eicar(39040)^Severity=high^sev=4";
    check(
        &row_of(threat),
        &[
            ("class_uid", "2004"),
            ("finding_info.title", "\"Eicar\""),
            ("severity", "\"High\""),
            ("unmapped", r#"{"sev":"4"}"#),
        ],
    );
    let tabs = "LEEF:2.0|Palo Alto Networks|Next Generation Firewall|10.2|allow| |cat=traffic\tdevTime=Nov 20 2026 10:00:00\tsrc=10.0.0.1";
    check(&row_of(tabs), &[("class_uid", "4001"), ("src_endpoint.ip", "\"10.0.0.1\"")]);
}

#[test]
fn times_of_a_device_that_writes_no_zone_are_local() {
    let time_zones = serde_json::from_str(r#"{"devices":{"0011":"Europe/Berlin"}}"#).expect("time zones");
    let config = DecodeConfig { time_zones, format: Format::PanosCsv, ..DecodeConfig::default() };
    let line = format!(
        "{CEF}|end|TRAFFIC|1|rt=2026/11/20 10:00:01 start=Nov 20 2026 10:00:00 deviceExternalId=0011 src=10.0.0.1"
    );
    let decoded = decode_all(config, &[line.as_bytes()]);
    assert!(decoded.rows[0].3.contains(r#""time_dt":"2026-11-20T09:00:00.000000Z""#), "{decoded:?}");
}

#[test]
fn what_is_no_event_of_the_vendors() {
    for line in [
        "CEF:0|Other|X|1|a|b|1|src=10.0.0.1",
        "CEF:0|Palo Alto Networks|PAN-OS|1",
        "LEEF:1.0|Palo Alto Networks|X|1",
        "text about |Palo Alto Networks| only",
    ] {
        assert!(find(line).is_none(), "{line}");
        assert_eq!(row_of(line)["class_uid"], 0, "{line}");
    }
    let unheard = row_of(&format!("{CEF}|x|NEWTYPE|1|rt=Nov 20 2026 10:00:00 GMT src=10.0.0.1"));
    check(&unheard, &[("class_uid", "0"), ("metadata.log_name", "\"NEWTYPE\""), ("unmapped", r#"{"src":"10.0.0.1"}"#)]);
}

#[test]
fn every_line_of_the_names_files_is_of_some_log_type() {
    let tables = [
        include_str!("../traffic.fields"),
        include_str!("../threat.fields"),
        include_str!("../url.fields"),
        include_str!("../system.fields"),
        include_str!("../config.fields"),
        include_str!("../globalprotect.fields"),
        include_str!("../auth.fields"),
        include_str!("../userid.fields"),
        include_str!("../hipmatch.fields"),
        include_str!("../iptag.fields"),
        include_str!("../decryption.fields"),
        include_str!("../tunnel.fields"),
        include_str!("../sctp.fields"),
        include_str!("../gtp.fields"),
        include_str!("../correlation.fields"),
        include_str!("../audit.fields"),
    ];
    let first = |line: &'static str| line.split_ascii_whitespace().next().unwrap_or_default();
    for (file, text) in FORMS {
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            assert!(tables.iter().any(|t| t.lines().any(|l| first(l) == first(line))), "{file}: {line}");
        }
    }
}
