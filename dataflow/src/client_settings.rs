//! Settings of a client library, by the library's own names.

use std::fmt;

/// Names and values, the later ones over the earlier. Values may be secrets: `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientSettings(Vec<(String, String)>);

impl ClientSettings {
    /// Adds a setting over those before.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Names and values, in the order in which they are to be applied.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl Extend<(String, String)> for ClientSettings {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, settings: I) {
        self.0.extend(settings);
    }
}

impl<const N: usize> From<[(&str, &str); N]> for ClientSettings {
    fn from(settings: [(&str, &str); N]) -> Self {
        Self(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let mut settings = ClientSettings::from([("sasl.username", "u")]);
        settings.set("sasl.password", "hunter2");
        assert_eq!(settings.iter().last(), Some(("sasl.password", "hunter2")));
        assert_eq!(format!("{settings:?}"), r#"["sasl.username", "sasl.password"]"#);
    }
}
