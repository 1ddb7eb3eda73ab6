//! docs/rules.md, followed to the letter: its files are written, its commands run, and what they print is what it shows.

use std::path::Path;

use crate::kit::{output, stdout};
use crate::readme::{Block, blocks, shell};

/// Without the incarnation of a topic, which a warehouse chooses.
fn plain(text: &str) -> String {
    let mut parts = text.split('@');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push('@');
        plain.push_str(part.split_once('/').map_or(part, |(_, rest)| rest));
    }
    plain.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn write(folder: &Path, text: &str) {
    let name = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a file's name");
    let path = folder.join(name.trim());
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
    std::fs::write(path, text).expect("a writable folder");
}

#[test]
fn the_guide_to_rules_prints_what_it_shows() {
    let guide = include_str!("../../../docs/rules.md");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut blocks = blocks(guide, "Walk through").into_iter().peekable();
    let (mut shown, mut wrong) = (0, Vec::new());
    while let Some(Block { language, text }) = blocks.next() {
        match language.as_str() {
            "yaml" => write(folder.path(), &text),
            "sh" => match blocks.next_if(|next| next.language == "text") {
                None => _ = stdout(&mut shell(folder.path(), &text)),
                Some(want) => {
                    shown += 1;
                    // What is shown may be a refusal.
                    let found = output(&mut shell(folder.path(), &text));
                    let found = String::from_utf8_lossy(&found.stdout).into_owned();
                    if plain(&found) != plain(&want.text) {
                        wrong.push(format!("$ {text}{found}"));
                    }
                }
            },
            other => panic!("a block of {other}"),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(shown >= 7, "{shown} outputs");
}
