//! What every store keeps to, asked of each: a directory, and a bucket in memory.

use std::sync::Arc;

use object_store::memory::InMemory;

use super::*;
use crate::Class;
use crate::config::{Root, StoreConfig};

fn store() -> (tempfile::TempDir, LocalStore) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(&dir.path().join("a/b")).expect("opens");
    (dir, store)
}

fn remote(url: &str) -> RemoteStore {
    let Root::Remote(url) = Root::parse(url).expect("a bucket") else { panic!("{url} is a bucket") };
    RemoteStore::over(Arc::new(InMemory::new()), &url, &StoreConfig::default())
}

fn stores(dir: &tempfile::TempDir) -> [Arc<dyn ObjectStore>; 3] {
    let local = LocalStore::open(&dir.path().join("local")).expect("opens");
    [Arc::new(local), Arc::new(remote("s3://lake/some/prefix")), Arc::new(remote("gs://lake"))]
}

#[tokio::test]
async fn an_object_is_created_once() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(&dir) {
        assert_eq!(store.get("x/y").await.expect("reads"), None);
        assert_eq!(store.create("x/y", "one".into()).await.expect("writes"), Create::New);
        assert_eq!(store.create("x/y", "two".into()).await.expect("writes"), Create::Exists);
        assert_eq!(store.get("x/y").await.expect("reads").as_deref(), Some(&b"one"[..]));
        store.put("x/y", "three".into()).await.expect("writes");
        assert_eq!(store.get("x/y").await.expect("reads").as_deref(), Some(&b"three"[..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_racing_creators_wins_and_its_bytes_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(&dir) {
        for round in 0..20 {
            let path = format!("race/{round}");
            let mut creators = tokio::task::JoinSet::new();
            for n in 0..8u8 {
                let (store, path) = (store.clone(), path.clone());
                creators.spawn(async move { (n, store.create(&path, vec![n; 9000].into()).await.expect("writes")) });
            }
            let all = creators.join_all().await;
            let winners: Vec<u8> = all.iter().filter(|(_, created)| *created == Create::New).map(|(n, _)| *n).collect();
            assert_eq!(winners.len(), 1, "{winners:?}");
            let bytes = store.get(&path).await.expect("reads").expect("exists");
            assert_eq!(bytes, vec![winners[0]; 9000]);
        }
    }
}

#[tokio::test]
async fn names_are_those_directly_below_a_folder_and_none_is_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in stores(&dir) {
        assert_eq!(store.list("none").await.expect("lists"), Vec::<String>::new());
        // Names as paths of the ledger have them.
        for name in ["b", "a", "c/d", "c/e", "fw~x@i.1/0/00000000000000000000.entry"] {
            store.create(&format!("f/{name}"), Bytes::new()).await.expect("writes");
        }
        store.create("fx", Bytes::new()).await.expect("writes");
        assert_eq!(store.list("f").await.expect("lists"), ["a", "b", "c", "fw~x@i.1"]);
        assert_eq!(store.list("f/fw~x@i.1").await.expect("lists"), ["0"]);
    }
}

#[tokio::test]
async fn a_deep_listing_has_every_object_and_what_is_deleted_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let of = |listed: Vec<Listed>| -> Vec<(String, u64)> { listed.into_iter().map(|l| (l.path, l.bytes)).collect() };
    for store in stores(&dir) {
        assert_eq!(store.list_deep("none").await.expect("lists"), []);
        for (path, bytes) in [("f/b/c/d", "four"), ("f/a", "one"), ("g", "other")] {
            store.create(path, bytes.into()).await.expect("writes");
        }
        let listed = store.list_deep("f").await.expect("lists");
        assert!(listed.iter().all(|l| l.written_at > 1_700_000_000_000_000), "{listed:?}");
        let all = [("f/a", 3), ("f/b/c/d", 4)].map(|(path, bytes)| (path.to_owned(), bytes));
        assert_eq!(of(listed), all);
        for _ in 0..2 {
            store.delete("f/b/c/d").await.expect("what is not there is deleted");
        }
        assert_eq!(of(store.list_deep("f").await.expect("lists")), all[..1]);
    }
}

#[test]
fn a_location_is_what_other_readers_open() {
    assert_eq!(remote("s3://lake/some/prefix").location("a/b"), "s3://lake/some/prefix/a/b");
    assert_eq!(remote("gs://lake").location("a/b"), "gs://lake/a/b");
    let (_dir, local) = store();
    assert_eq!(local.location("a/b"), local.root().join("a/b").to_str().expect("UTF-8"));
}

#[tokio::test]
async fn files_being_written_are_listed_deep_only() {
    let (_dir, store) = store();
    for name in ["b", "a", "c/d"] {
        store.create(&format!("f/{name}"), Bytes::new()).await.expect("writes");
    }
    std::fs::write(store.root().join("f/.tmp-0"), "half").expect("writes");
    assert_eq!(store.list("f").await.expect("lists"), ["a", "b", "c"]);
    let deep = store.list_deep("f").await.expect("lists");
    assert_eq!(deep.iter().map(|l| l.path.as_str()).collect::<Vec<_>>(), ["f/.tmp-0", "f/a", "f/b", "f/c/d"]);
    let litter = std::fs::read_dir(store.root().join("f")).expect("reads").count();
    assert_eq!(litter, 4, "creating leaves no temporary file");
}

#[tokio::test]
async fn a_wrong_path_is_permanent_and_says_what_was_tried() {
    let (_dir, store) = store();
    store.create("file", Bytes::new()).await.expect("writes");
    let error = store.create("file/below", Bytes::new()).await.expect_err("a file is no folder");
    assert_eq!(error.class(), Class::Permanent, "{error}");
    let place = store.location("file/below");
    assert!(error.to_string().starts_with(&format!("cannot create {place}: ")), "{error}");
    let error = store.create(&"x".repeat(300), Bytes::new()).await.expect_err("too long a name");
    assert_eq!(error.class(), Class::Permanent, "{error}");
}

#[test]
fn what_somebody_can_mend_about_a_disk_is_said() {
    for (code, words, class) in [
        (28, "make room there", Class::Transient),
        (122, "make room there", Class::Transient),
        (30, "mount it for writing", Class::Permanent),
        (5, "the disk fails", Class::Transient),
    ] {
        let error = advised(std::io::Error::from_raw_os_error(code));
        let error = crate::Error::store("create", "/w/a", error);
        assert!(error.to_string().contains(words) && error.to_string().contains("(os error"), "{error}");
        assert_eq!(error.class(), class, "{error}");
    }
}
