//! The rules that ship with Palisade, by the names of their files. To add one: a file in `rules/`, a line here.

macro_rules! rules {
    ($($name:literal),* $(,)?) => {
        &[$((concat!("rules/", $name, ".yaml"), include_str!(concat!("../../rules/", $name, ".yaml")))),*]
    };
}

/// Name and text of each.
pub(crate) const BUILTIN_RULES: &[(&str, &str)] = rules![
    "cloudtrail_logging_stopped",
    "host_sweep",
    "lateral_fan_out",
    "port_scan",
    "rare_upload",
    "threat_then_allowed",
    "vpn_brute_force",
    "vpn_password_spray",
    "vpn_two_countries",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_in_the_folder_ships() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let files = std::fs::read_dir(root.join("rules")).expect("a folder");
        let mut names: Vec<String> =
            files.map(|f| format!("rules/{}", f.expect("a file").file_name().display())).collect();
        names.sort();
        assert_eq!(BUILTIN_RULES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    }
}
