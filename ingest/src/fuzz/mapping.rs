//! Mapping files: any bytes are refused at a place of the file, or are mappings by which records are decoded.

use dataflow::{BatchBuilder, ChunkBuilder, DeadLetters, Decoder, PartitionId};

use crate::decode::{AutoDecoder, DecodeConfig};
use crate::mapping::{MappingError, Mappings};

/// Records of which mappings of each format may take one.
const RECORDS: [&str; 9] = [
    r#"{"wall":1,"kind":"b","at":1795168800000,"s":"192.0.2.1","addresses":["192.0.2.2",7],"people":[{"type":"User","name":"ann"}]}"#,
    r#"{"records":[{"wall":1,"kind":"ab","d":"2026-11-20","t":"10:00:00","tz":"+0100","tags":["x",{"y":1}]},7,{}]}"#,
    "wall=1 kind=b at=1795168800000 act=open level=high s=192.0.2.1 len=1:02:03 proto=tcp",
    "CEF:0|Example|Wall|1|login|Login|5|src=192.0.2.1 suser=ann msg=a\\=b rt=1795168800000",
    "LEEF:2.0|Example|Wall|1|login|^|src=192.0.2.1^usrName=ann^devTime=1795168800",
    "<13>1 2026-11-20T10:00:00Z wall-1 app 7 ID [x@1 a=\"b\"] Built inbound session 7 for out:192.0.2.1/80 (ann)",
    "Nov 20 10:00:00 wall-1 %ASA-6-302013: Built inbound TCP connection 7 for a:192.0.2.1/1 to b:192.0.2.2/2",
    "T1,2026-11-20 10:00:00,\"a,b\",192.0.2.1,,7",
    "",
];

/// A mapping file.
pub fn mapping(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Mappings::only(&[("fuzz.yaml", text)]) {
        Ok(mappings) => decode(mappings),
        Err(errors) => check_errors(&errors, text),
    }
}

fn check_errors(errors: &[MappingError], text: &str) {
    assert!(!errors.is_empty(), "refused without a word");
    // YAML ends a line also where Rust does not.
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    for error in errors {
        assert!(error.at.line <= lines + 1 && !error.what.is_empty(), "{error}: of {lines} lines");
    }
}

/// Records are decoded, or not, and the file's own tests run.
fn decode(mappings: Mappings) {
    mappings.run_own_tests();
    let mut decoder = AutoDecoder::with_mappings(DecodeConfig::default(), mappings);
    let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    let mut chunk = ChunkBuilder::new(PartitionId::new("fuzz", "0", 0), "acme".into(), 0);
    for (offset, record) in (0..).zip(RECORDS) {
        chunk.push(record.as_bytes(), offset, 1_795_168_800_000_000);
    }
    decoder.decode(&chunk.finish(), &mut rows, &mut dead);
    super::check::check_decoded(&mut rows, &mut dead, RECORDS.len());
}
