use std::collections::BTreeSet;
use std::sync::Barrier;

use super::*;

/// What the registry's entries say, by number.
fn entries(folder: &Folder) -> Vec<serde_json::Value> {
    let mut paths: Vec<_> =
        fs::read_dir(folder.path("registry")).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "json") && !p.ends_with("source.json"));
    paths.sort();
    paths.iter().map(|p| serde_json::from_slice(&fs::read(p).expect("read")).expect("JSON")).collect()
}

#[test]
fn many_that_register_at_once_agree() {
    let folder = Folder::new();
    for i in 0..60 {
        folder.write(&format!("{i:02}.log"), format!("line of {i}\n"));
    }
    let start = Barrier::new(4);
    let seen: Vec<Vec<Got>> = std::thread::scope(|scope| {
        let reader = || {
            start.wait();
            all(&mut folder.open())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(reader)).collect();
        threads.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    let registered = entries(&folder);
    let paths: BTreeSet<String> = registered.iter().map(|e| e["path"].to_string()).collect();
    assert_eq!((registered.len(), paths.len()), (60, 60), "each file once");
    assert_eq!(seen[0].len(), 60);
    assert!(seen.iter().all(|s| *s == seen[0]), "all read the same records under the same identity");
}

#[test]
fn an_entry_holds_all_that_a_replay_needs() {
    let folder = Folder::new();
    folder.write("a.log", "a0\n");
    folder.write("b.log", gzip(b"b0\n"));
    folder.open();
    let entries = entries(&folder);
    assert_eq!(entries[0]["path"], folder.path("a.log").to_str().expect("UTF-8"));
    assert_eq!((entries[0]["start_byte"].as_u64(), entries[0]["end_byte"].as_u64()), (Some(0), Some(3)));
    assert_eq!((entries[0]["compression"].as_str(), entries[1]["compression"].as_str()), (Some("none"), Some("gzip")));
    assert_eq!(entries[1]["registered_at"], NOW);
    assert!(folder.path("registry").join("00000000000000000001.json").exists());
    let left: Vec<_> = fs::read_dir(folder.path("registry")).expect("a folder").collect();
    assert_eq!(left.len(), 3, "no temporary file stays");
}

#[test]
fn topic_and_partition_count_are_fixed() {
    let folder = Folder::new();
    folder.write("a.log", "x\n");
    folder.open();
    let changes: [fn(&mut FilesConfig); 2] = [|c| c.partitions = 2, |c| c.topic = "vpn".to_owned()];
    for change in changes {
        let mut config = folder.config();
        change(&mut config);
        let error = Worker::open(config, now).expect_err("another owner").to_string();
        assert!(error.contains("belongs to topic \"fw\" with 1 partitions"), "{error}");
    }
}

#[test]
fn a_damaged_registry_is_an_error() {
    let folder = Folder::new();
    for name in ["a.log", "b.log", "c.log"] {
        folder.write(name, "x\n");
    }
    folder.open();
    let entry = folder.path("registry").join(format!("{:020}.json", 1));
    let text = fs::read(&entry).expect("an entry");
    fs::remove_file(&entry).expect("removed");
    let error = folder.open_error();
    assert!(error.contains("number 1 is missing"), "{error}");
    fs::write(&entry, "{").expect("written");
    let error = folder.open_error();
    assert!(error.contains(&format!("{:020}.json", 1)), "{error}");
    fs::write(&entry, text).expect("written");
    assert_eq!(all(&mut folder.open()).len(), 3);
}

#[test]
fn a_replay_that_counts_otherwise_is_an_error() {
    let folder = Folder::new();
    let filler = "0123456789abcde\n".repeat(300);
    folder.write("a.log", format!("{filler}x\ny\n"));
    all(&mut folder.open());
    folder.write("a.log", format!("{filler}x y\n")); // behind the head that the fingerprint covers
    let error = drain(&mut folder.open(), &mut BTreeMap::new()).expect_err("301 records").to_string();
    assert!(error.contains("has 301 records now and had 302 when it was first read"), "{error}");
}

#[test]
fn the_registry_is_never_input() {
    let folder = Folder::new();
    folder.write("a.log", "x\n");
    let config = |c: &mut FilesConfig| c.globs = vec![folder.path("**/*").to_str().expect("UTF-8").to_owned()];
    assert_eq!(all(&mut folder.open_with(config)).len(), 1);
    assert_eq!(all(&mut folder.open_with(config)).len(), 1);
}
