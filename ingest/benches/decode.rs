//! Events a second through decode, beside what only looks at the same bytes: the bare JSON parser's tape, or a search for
//! the format's separators.
//! `cargo bench --workspace --bench decode -- [strata|pan-os|fortigate|cloudtrail|FILE OF RECORDS]...`.
//!
//! Rates are per CPU-second of one core where the system tells (Linux), otherwise per second. Seeded, invented events:
//! Strata Logging Service TRAFFIC of 78 keys and about 2 KB, half with a domain user (an escape), PAN-OS TRAFFIC lines of
//! 115 columns and in CEF, FortiGate pairs, CloudTrail records. Every column and `unmapped` is on; the batches are finished within the time.

use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use dataflow::{BatchBuilder, Chunk, ChunkBuilder, DeadLetters, Decoder, PartitionId};
use ingest::decode::{AutoDecoder, DecodeConfig};

/// The binary's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 4_096;
const CHUNKS: usize = 4;
const ROUNDS: usize = 15;
const ROUND_SECONDS: f64 = 0.25;

type Render = fn(&mut Random) -> String;

fn main() {
    let kinds: [(&str, Render); 5] = [
        ("strata json", strata),
        ("cloudtrail json", cloudtrail),
        ("pan-os csv", panos),
        ("pan-os cef", panos_cef),
        ("fortigate pairs", fortigate),
    ];
    let only: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|o| name.contains(o.as_str()));
    for (name, render) in kinds.into_iter().filter(|k| wanted(k.0)) {
        let mut random = Random(0x5eed);
        let lines: Vec<String> = (0..EVENTS * CHUNKS).map(|_| render(&mut random)).collect();
        compare(name, &lines);
    }
    for path in only.iter().map(Path::new).filter(|p| p.is_file()) {
        let text = std::fs::read_to_string(path).expect("a file of records");
        let lines: Vec<String> = text.lines().take(EVENTS * CHUNKS).map(str::to_owned).collect();
        compare(&path.file_name().unwrap_or_default().to_string_lossy(), &lines);
    }
}

/// Decode beside the bare parser or search, round by round: what disturbs one disturbs the other.
fn compare(name: &str, lines: &[String]) {
    let chunks: Vec<Chunk> = lines.chunks(EVENTS).map(chunk).collect();
    let (alone, look): (_, fn(&[String])) =
        if lines.iter().all(|line| line.starts_with('{')) { ("tape", tapes) } else { ("search", separators) };
    let mut decoder = AutoDecoder::new(DecodeConfig::default());
    let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    let mut decode = || {
        for chunk in &chunks {
            decoder.decode(chunk, &mut rows, &mut dead);
            assert_eq!((rows.rows(), dead.len()), (chunk.len(), 0), "every event becomes a row");
            std::hint::black_box(rows.finish());
        }
    };
    let mut looked = Round::new(|| look(lines));
    let mut decoded = Round::new(&mut decode);
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (looked.seconds(), decoded.seconds())).collect();
    let bytes = lines.iter().map(String::len).sum::<usize>() / lines.len();
    let rate = |seconds: f64| lines.len() as f64 / seconds / 1e3;
    let looked = spread(rounds.iter().map(|round| round.0));
    let decoded = spread(rounds.iter().map(|round| round.1));
    let ratio = spread(rounds.iter().map(|round| round.1 / round.0));
    report(&format!(
        "{name}, {bytes} bytes: {alone} {:.0} k events/s; decode {:.0} k ({:.0} to {:.0}); {:.2} times the {alone} ({:.2} to {:.2})",
        rate(looked[1]),
        rate(decoded[1]),
        rate(decoded[2]),
        rate(decoded[0]),
        ratio[1],
        ratio[0],
        ratio[2]
    ));
}

/// Least, median and greatest.
fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]]
}

/// Something that is run so often that the clock, which moves in steps of some milliseconds, tells how long it takes.
struct Round<F> {
    run: F,
    times: u32,
}

impl<F: FnMut()> Round<F> {
    fn new(run: F) -> Self {
        let mut round = Self { run, times: 1 };
        round.seconds();
        round.times = 4;
        round.times = (ROUND_SECONDS / round.seconds().max(1e-3)).ceil() as u32;
        round
    }

    /// CPU seconds of one run.
    fn seconds(&mut self) -> f64 {
        let start = cpu_time();
        (0..self.times).for_each(|_| (self.run)());
        (cpu_time() - start).as_secs_f64() / f64::from(self.times)
    }
}

/// What the parser alone takes: the copy it needs, and its tape.
fn tapes(lines: &[String]) {
    let mut buffers = simd_json::Buffers::new(4096);
    let (mut padded, mut tape) = (Vec::new(), simd_json::Tape(Vec::new()));
    for line in lines {
        padded.clear();
        padded.extend_from_slice(line.as_bytes());
        padded.resize(line.len() + simd_json::INPUT_PADDING, 0);
        let mut filled = tape.reset();
        simd_json::fill_tape_padded(&mut padded, line.len(), &mut buffers, &mut filled).expect("valid JSON");
        std::hint::black_box(&filled);
        tape = filled.reset();
    }
}

/// A search for what ends a column, a key or a value.
fn separators(lines: &[String]) {
    for line in lines {
        std::hint::black_box(memchr::memchr3_iter(b',', b'=', b' ', line.as_bytes()).count());
    }
}

fn chunk(lines: &[String]) -> Chunk {
    let mut builder = ChunkBuilder::new(PartitionId::new("bench", "0", 0), "acme".into(), 0);
    for (offset, line) in (0..).zip(lines) {
        builder.push(line.as_bytes(), offset, 1_795_168_800_000_000);
    }
    builder.finish()
}

/// The time this thread was on a core.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn cpu_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|s| s.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

fn report(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// xorshift64: the same events on every platform.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn ip(&mut self) -> String {
        format!("10.{}.{}.{}", self.below(8), self.below(256), 1 + self.below(254))
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

fn strata(r: &mut Random) -> String {
    let (second, micros) = (r.below(60), r.below(1_000_000));
    let user = r.pick(&["ann@corp.example", r"corp\\bob"]);
    let mut out = format!(
        r#"{{"TimeReceived":"2026-11-20T09:58:{second:02}.000000Z","DeviceSN":"{:012}","LogType":"TRAFFIC","Subtype":"{}","ConfigVersion":"10.1","TimeGenerated":"2026-11-20T09:57:{second:02}.000000Z","SourceAddress":"{}","DestinationAddress":"198.51.{}.{}","NATSource":"203.0.113.{}","NATDestination":"0.0.0.0","Rule":"outbound-{}","SourceUser":"{user}","DestinationUser":null,"Application":"{}","VirtualLocation":"vsys1","FromZone":"trust","ToZone":"untrust","InboundInterface":"ethernet1/1","OutboundInterface":"ethernet1/2","LogSetting":"default","SessionID":{},"RepeatCount":1,"SourcePort":{},"DestinationPort":{},"NATSourcePort":{},"NATDestinationPort":0,"Protocol":"tcp","Action":"allow","Bytes":{},"BytesSent":{},"BytesReceived":{},"PacketsTotal":{},"PacketsSent":{},"PacketsReceived":{},"SessionStartTime":"2026-11-20T09:57:00.000000Z","SessionDuration":{},"URLCategory":"business-and-economy","SequenceNo":{},"SourceLocation":"US","DestinationLocation":"DE","SessionEndReason":"tcp-fin","DeviceName":"fw-{}","TimeGeneratedHighResolution":"2026-11-20T09:57:{second:02}.{micros:06}Z","RuleUUID":"6b2d1c3a-0f5e-4e4b-9b0a-3f1f5a2c7d{:02}","SourceDeviceHost":"laptop-{}""#,
        r.below(100),
        r.pick(&["start", "end", "end", "drop"]),
        r.ip(),
        r.below(256),
        r.below(256),
        r.below(256),
        r.below(40),
        r.pick(&["ssl", "web-browsing", "dns", "ms-office365", "zoom"]),
        r.below(4_000_000),
        1024 + r.below(64_000),
        r.pick(&["443", "80", "53", "8443"]),
        1024 + r.below(64_000),
        r.below(10_000_000),
        r.below(5_000_000),
        r.below(5_000_000),
        r.below(9_000),
        r.below(4_000),
        r.below(5_000),
        r.below(3_600),
        r.below(1 << 40),
        r.below(100),
        r.below(40),
        r.below(5_000),
    );
    let zeros = [
        "DGHierarchyLevel1",
        "DGHierarchyLevel2",
        "ChunksReceived",
        "ChunksSent",
        "ChunksTotal",
        "ParentSessionID",
        "EndpointAssociationID",
        "HTTP2Connection",
        "LinkChangeCount",
    ];
    let nulls = [
        "SourceUUID",
        "DestinationUUID",
        "IMEI",
        "IMSI",
        "ContainerID",
        "ContainerName",
        "SDWANSite",
        "SDWANCluster",
        "HASessionOwner",
        "DynamicUserGroupName",
        "SourceEDL",
        "DestinationEDL",
    ];
    let texts = [
        ("ActionSource", "from-policy"),
        ("Tunnel", "N/A"),
        ("VirtualSystemName", "prod-vsys"),
        ("SourceDeviceCategory", "Personal Computer"),
        ("SourceDeviceProfile", "PC-Windows"),
        ("SourceDeviceModel", "Latitude 7420"),
        ("SourceDeviceVendor", "Dell Inc."),
        ("SourceDeviceOSFamily", "Windows"),
        ("SourceDeviceOSVersion", "Windows 11"),
    ];
    out.extend(zeros.map(|name| format!(",\"{name}\":0")));
    out.extend(nulls.map(|name| format!(",\"{name}\":null")));
    out.extend(texts.map(|(name, text)| format!(",\"{name}\":\"{text}\"")));
    out.push_str(",\"IsPhishing\":false,\"IsPacketCapture\":false}");
    out
}

fn panos(r: &mut Random) -> String {
    let second = r.below(60);
    let mut columns = vec![String::new(); 115];
    let values = [
        (1, "1".to_owned()),
        (2, format!("2026/11/20 09:58:{second:02}")),
        (3, format!("{:012}", r.below(100))),
        (4, "TRAFFIC".to_owned()),
        (5, r.pick(&["start", "end", "drop"]).to_owned()),
        (6, "2562".to_owned()),
        (7, format!("2026/11/20 09:57:{second:02}")),
        (8, r.ip()),
        (9, r.ip()),
        (10, "203.0.113.1".to_owned()),
        (11, "0.0.0.0".to_owned()),
        (12, format!("outbound-{}", r.below(40))),
        (13, r"corp\bob".to_owned()),
        (15, r.pick(&["ssl", "dns", "web-browsing"]).to_owned()),
        (16, "vsys1".to_owned()),
        (17, "trust".to_owned()),
        (18, "untrust".to_owned()),
        (19, "ethernet1/1".to_owned()),
        (20, "ethernet1/2".to_owned()),
        (21, "default".to_owned()),
        (22, format!("2026/11/20 09:58:{second:02}")),
        (23, r.below(4_000_000).to_string()),
        (24, "1".to_owned()),
        (25, (1024 + r.below(64_000)).to_string()),
        (26, "443".to_owned()),
        (27, (1024 + r.below(64_000)).to_string()),
        (28, "0".to_owned()),
        (29, "0x400019".to_owned()),
        (30, "tcp".to_owned()),
        (31, "allow".to_owned()),
        (32, r.below(10_000_000).to_string()),
        (33, r.below(5_000_000).to_string()),
        (34, r.below(5_000_000).to_string()),
        (35, r.below(9_000).to_string()),
        (36, "2026/11/20 09:57:00".to_owned()),
        (37, r.below(3_600).to_string()),
        (38, "any".to_owned()),
        (40, r.below(1 << 40).to_string()),
        (41, "0x0".to_owned()),
        (42, "US".to_owned()),
        (43, "DE".to_owned()),
        (45, r.below(4_000).to_string()),
        (46, r.below(5_000).to_string()),
        (47, "tcp-fin".to_owned()),
        (53, format!("fw-{}", r.below(100))),
        (54, "from-policy".to_owned()),
        (66, "6b2d1c3a-0f5e-4e4b".to_owned()),
        (103, format!("2026-11-20T09:57:{second:02}.{:03}+00:00", r.below(1000))),
        (106, "encrypted-tunnel".to_owned()),
        (110, "\"used-by-malware,able-to-transfer-file\"".to_owned()),
        (115, "0".to_owned()),
    ];
    for (column, value) in values {
        columns[column - 1] = value;
    }
    format!("<14>Nov 20 09:58:{second:02} fw-1 {}", columns.join(","))
}

fn panos_cef(r: &mut Random) -> String {
    let second = r.below(60);
    format!(
        "<14>Nov 20 09:58:{second:02} fw-1 CEF:0|Palo Alto Networks|PAN-OS|11.1.4|{}|TRAFFIC|1|rt=Nov 20 2026 09:57:{second:02} GMT deviceExternalId={:012} src={} dst={} sourceTranslatedAddress=203.0.113.1 destinationTranslatedAddress=0.0.0.0 cs1Label=Rule cs1=outbound-{} suser=corp\\\\bob app={} cs3Label=Virtual System cs3=vsys1 cs4Label=Source Zone cs4=trust cs5Label=Destination Zone cs5=untrust deviceInboundInterface=ethernet1/1 deviceOutboundInterface=ethernet1/2 cs6Label=LogProfile cs6=default cn1Label=SessionID cn1={} cnt=1 spt={} dpt=443 sourceTranslatedPort={} destinationTranslatedPort=0 flexString1Label=Flags flexString1=0x400019 proto=tcp act=allow flexNumber1Label=Total bytes flexNumber1={} in={} out={} cn2Label=Packets cn2={} PanOSPacketsReceived={} PanOSPacketsSent={} start=Nov 20 2026 09:57:00 GMT cn3Label=Elapsed time in seconds cn3={} cs2Label=URL Category cs2=any externalId={} reason=tcp-fin dvchost=fw-{} cat=from-policy",
        r.pick(&["start", "end", "drop"]),
        r.below(100),
        r.ip(),
        r.ip(),
        r.below(40),
        r.pick(&["ssl", "dns", "web-browsing"]),
        r.below(4_000_000),
        1024 + r.below(64_000),
        1024 + r.below(64_000),
        r.below(10_000_000),
        r.below(5_000_000),
        r.below(5_000_000),
        r.below(9_000),
        r.below(4_000),
        r.below(5_000),
        r.below(3_600),
        r.below(1 << 40),
        r.below(100),
    )
}

fn fortigate(r: &mut Random) -> String {
    let second = r.below(60);
    format!(
        r#"<189>date=2026-11-20 time=09:57:{second:02} devname="fw-{}" devid="FG100F{:010}" eventtime=17951686{second:02}{:09} tz="+0000" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" srcip={} srcport={} srcintf="port1" srcintfrole="lan" dstip={} dstport=443 dstintf="wan1" dstintfrole="wan" srccountry="Reserved" dstcountry="Germany" sessionid={} proto=6 action="{}" policyid={} policytype="policy" poluuid="6b2d1c3a-0f5e-51ee-9b0a-3f1f5a2c7d10" service="{}" trandisp="snat" transip=203.0.113.1 transport={} duration={} sentbyte={} rcvdbyte={} sentpkt={} rcvdpkt={} appcat="unscanned""#,
        r.below(100),
        r.below(100),
        r.below(1_000_000_000),
        r.ip(),
        1024 + r.below(64_000),
        r.ip(),
        r.below(4_000_000),
        r.pick(&["close", "accept", "deny"]),
        r.below(40),
        r.pick(&["HTTPS", "DNS", "HTTP"]),
        1024 + r.below(64_000),
        r.below(3_600),
        r.below(5_000_000),
        r.below(5_000_000),
        r.below(4_000),
        r.below(5_000),
    )
}

fn cloudtrail(r: &mut Random) -> String {
    let (name, read_only) =
        [("GetObject", true), ("PutObject", false), ("DescribeInstances", true), ("DeleteUser", false)]
            [r.below(4) as usize];
    let user = r.below(500);
    format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"type":"IAMUser","principalId":"AIDA{user:016}","arn":"arn:aws:iam::111122223333:user/user-{user}","accountId":"111122223333","accessKeyId":"ASIA{user:016}","userName":"user-{user}","sessionContext":{{"attributes":{{"creationDate":"2026-11-20T08:00:00Z","mfaAuthenticated":"true"}}}}}},"eventTime":"2026-11-20T09:57:{:02}Z","eventSource":"s3.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","sourceIPAddress":"{}","userAgent":"[aws-cli/2.15 Python/3.11 Linux/6.1]","requestParameters":{{"bucketName":"bucket-{}","Host":"bucket.s3.us-east-1.amazonaws.com","key":"logs/2026/{}"}},"responseElements":null,"additionalEventData":{{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":{},"AuthenticationMethod":"AuthHeader","bytesTransferredOut":0}},"requestID":"{:016X}","eventID":"293ba626-3be5-4a26-ab1b-{:012x}","readOnly":{read_only},"resources":[{{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::bucket/key"}},{{"accountId":"111122223333","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::bucket"}}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333","eventCategory":"Data","tlsDetails":{{"tlsVersion":"TLSv1.3","clientProvidedHostHeader":"bucket.s3.us-east-1.amazonaws.com"}}}}"#,
        r.below(60),
        r.ip(),
        r.below(50),
        r.below(100_000),
        r.below(1_000_000),
        r.below(u64::MAX),
        r.below(1 << 48),
    )
}
