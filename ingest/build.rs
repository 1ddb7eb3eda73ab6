//! Lists `mappings/<vendor>/*.yaml`, so that a vendor is one folder.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("mappings");
    println!("cargo::rerun-if-changed=mappings");
    println!("cargo::rustc-check-cfg=cfg(fuzzing)"); // cargo-fuzz sets it
    let mut list = String::from("/// Name and text of each file.\npub(super) const FILES: &[(&str, &str)] = &[\n");
    for vendor in sorted(&root)? {
        for file in sorted(&vendor)?.into_iter().filter(|f| f.extension().is_some_and(|e| e == "yaml")) {
            let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
            let _ = writeln!(list, "    ({name:?}, include_str!({:?})),", file.display().to_string());
        }
    }
    list.push_str("];\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("mappings.rs"), list)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}
