//! The README's walk-through, followed to the letter: its files are written, its commands are run, in their order.

use std::path::Path;
use std::process::Command;

use crate::kafka_server::Kafka;
use crate::kit::{binary, number, stdout};

/// Where the README says that brokers are.
const BROKERS: &str = "127.0.0.1:9092";

/// A fenced block: its language and its lines.
pub(crate) struct Block {
    pub(crate) language: String,
    pub(crate) text: String,
}

/// The fenced blocks of a section, in order.
pub(crate) fn blocks(markdown: &str, section: &str) -> Vec<Block> {
    let body = markdown.split(&format!("\n## {section}\n")).nth(1).expect("the section");
    let body = body.split("\n## ").next().unwrap_or_default();
    let mut parts = body.split("```").skip(1).step_by(2);
    let block = |part: &str| {
        let (language, text) = part.split_once('\n').expect("a fence ends its line");
        Block { language: language.to_owned(), text: text.to_owned() }
    };
    parts.by_ref().map(block).collect()
}

/// `palisade` for the shell: the binary under test, under its name.
pub(crate) fn shell(folder: &Path, commands: &str) -> Command {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).expect("a writable folder");
    let link = bin.join("palisade");
    if !link.exists() {
        std::os::unix::fs::symlink(binary(), &link).expect("a link");
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", commands]).current_dir(folder).env("PATH", path);
    shell
}

#[test]
fn the_walk_through_works_as_it_is_written() {
    let readme = include_str!("../../../README.md");
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    kafka.create_topic("detections", 1);
    let steps = blocks(readme, "Walk through");
    assert!(steps.len() >= 8, "{} blocks", steps.len());
    for Block { language, text } in steps {
        let text = text.replace(BROKERS, &kafka.address());
        match language.as_str() {
            "yaml" => {
                let first = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a file's name");
                let name = first.split(';').next().unwrap_or(first).trim();
                std::fs::write(folder.path().join(name), &text).expect("a writable folder");
            }
            "sh" => _ = stdout(&mut shell(folder.path(), &text)),
            other => panic!("a block of {other}"),
        }
    }
    for warehouse in ["palisade-demo", "from-files", "from-kafka"] {
        let rows = number(&folder.path().join(warehouse), "SELECT count(*) FROM network_activity");
        assert!(rows > 5_000, "{warehouse}: {rows}");
    }
    assert!(!kafka.consume_all("detections").is_empty(), "alerts are on their topic");
}
