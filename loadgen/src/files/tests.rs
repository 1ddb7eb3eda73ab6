use std::io::Read;

use super::*;
use crate::config::FleetConfig;

fn fleet() -> Fleet {
    let config = FleetConfig {
        events: 1_500,
        attacks: 0,
        near_misses: 0,
        malformed_per_million: 20_000,
        ..FleetConfig::default()
    };
    Fleet::new(config).expect("a fleet")
}

fn lines(fleet: &Fleet, partition: usize) -> Vec<u8> {
    let mut cursor = fleet.cursor(&fleet.partitions()[partition], 0).expect("own partition");
    let (mut all, mut line) = (Vec::new(), Vec::new());
    while cursor.next(&mut line).is_some() {
        all.extend_from_slice(&line);
        all.push(b'\n');
    }
    all
}

fn read(path: &Path, compression: Compression) -> Vec<u8> {
    let file = File::open(path).expect("the file");
    let mut text = Vec::new();
    match compression {
        Compression::None => { file }.read_to_end(&mut text),
        Compression::Gzip => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text),
        Compression::Zstd => zstd::Decoder::new(file).expect("zstd").read_to_end(&mut text),
    }
    .expect("readable");
    text
}

#[test]
fn the_files_of_a_partition_are_its_records_in_order() {
    let fleet = fleet();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = write_files(&fleet, dir.path(), compression, 3).expect("written");
        assert_eq!(paths.len(), 18);
        assert!(paths.is_sorted(), "names sort as offsets do");
        for (partition, files) in paths.chunks(3).enumerate() {
            let text: Vec<u8> = files.iter().flat_map(|p| read(p, compression)).collect();
            assert!(text == lines(&fleet, partition), "{compression:?} {partition}");
        }
    }
}

#[test]
fn names_tell_topic_partition_and_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let paths = write_files(&fleet(), dir.path(), Compression::Zstd, 1).expect("written");
    assert!(paths[1].ends_with("firewall.acme-001-0000.log.zst"), "{paths:?}");
    let error = write_files(&fleet(), &dir.path().join("missing"), Compression::None, 1).expect_err("refused");
    assert!(error.to_string().contains("firewall.acme-000-0000.log"), "{error}");
}

#[test]
fn the_stream_holds_every_record_in_the_order_of_sending() {
    let fleet = fleet();
    let mut stream = Vec::new();
    write_stream(&fleet, &mut stream).expect("memory");
    let count = |text: &[u8]| text.iter().filter(|b| **b == b'\n').count();
    assert_eq!(count(&stream), 1_500);
    // The first round of the partitions, whose schedules are equal: by partition.
    let mut first = Vec::new();
    for id in fleet.partitions() {
        let mut line = Vec::new();
        fleet.cursor(&id, 0).and_then(|mut c| c.next(&mut line)).expect("a record");
        first.extend_from_slice(&line);
        first.push(b'\n');
    }
    assert!(stream.starts_with(&first));
}
