//! Where a warehouse is: a directory, or a folder of a bucket.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The place of a warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A directory of this machine.
    Local(PathBuf),
    /// A folder of a bucket.
    Remote(BucketUrl),
}

impl Root {
    /// A URL of a bucket, or else the path of a directory.
    ///
    /// # Errors
    /// [`Error::Config`] says what is wrong with the URL.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once("://") {
            Some(("file", path)) => Ok(Root::Local(path.into())),
            Some(_) => BucketUrl::parse(text).map(Root::Remote),
            None => Ok(Root::Local(text.into())),
        }
    }

    /// The directory, if it is one.
    pub fn local(&self) -> Option<&Path> {
        match self {
            Root::Local(path) => Some(path),
            Root::Remote(_) => None,
        }
    }

    /// A relative directory becomes one below `base`.
    #[must_use]
    pub fn beside(self, base: &Path) -> Self {
        match self {
            Root::Local(path) => Root::Local(base.join(path)),
            remote => remote,
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Local(path) => write!(f, "{}", path.display()),
            Root::Remote(url) => write!(f, "{url}"),
        }
    }
}

/// Whose service a bucket is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon S3, and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage and Data Lake Storage.
    Azure,
}

const SCHEMES: [(&str, Cloud); 6] = [
    ("s3", Cloud::S3),
    ("s3a", Cloud::S3),
    ("gs", Cloud::Google),
    ("az", Cloud::Azure),
    ("abfs", Cloud::Azure),
    ("abfss", Cloud::Azure),
];

/// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or
/// `abfss://container@account.dfs.core.windows.net/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    cloud: Cloud,
    /// Without a slash at its end.
    text: String,
    /// How much of the text names the bucket.
    bucket_len: usize,
}

impl BucketUrl {
    fn parse(text: &str) -> Result<Self> {
        let fail = |what: &str| Err(Error::Config(format!("path: {text}: {what}")));
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let Some((_, cloud)) = SCHEMES.into_iter().find(|(name, _)| *name == scheme) else {
            return fail("a bucket is s3://, gs://, az:// or abfss://; a directory has no scheme");
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return fail("names no bucket");
        }
        let fine =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || c == '@' && cloud == Cloud::Azure;
        if !bucket.chars().all(fine) {
            return fail(
                "the bucket's name holds only letters, digits, `-`, `_` and `.`; credentials come from the environment",
            );
        }
        let prefix = prefix.trim_end_matches('/');
        let is_name = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && !part.contains(|c: char| c.is_control() || "?#%\\".contains(c))
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_name) {
            return fail("each part of the prefix is a name without `?`, `#`, `%` and `\\`");
        }
        let bucket_len = scheme.len() + "://".len() + bucket.len();
        let bucket_url = &text[..bucket_len];
        let text = if prefix.is_empty() { bucket_url.to_owned() } else { format!("{bucket_url}/{prefix}") };
        Ok(Self { cloud, text, bucket_len })
    }

    /// Whose service it is.
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// The URL of the bucket alone.
    pub fn bucket(&self) -> &str {
        &self.text[..self.bucket_len]
    }

    /// The path within the bucket, without slashes around it; empty for the whole bucket.
    pub fn prefix(&self) -> &str {
        self.text[self.bucket_len..].trim_start_matches('/')
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_buckets_and_everything_else_is_a_directory() {
        for (text, bucket, prefix, cloud) in [
            ("s3://lake", "s3://lake", "", Cloud::S3),
            ("s3://lake/", "s3://lake", "", Cloud::S3),
            ("s3://my.lake/a/b/", "s3://my.lake", "a/b", Cloud::S3),
            ("gs://lake/a", "gs://lake", "a", Cloud::Google),
            ("az://box/a", "az://box", "a", Cloud::Azure),
            ("abfss://box@acme.dfs.core.windows.net/a", "abfss://box@acme.dfs.core.windows.net", "a", Cloud::Azure),
        ] {
            let Root::Remote(url) = Root::parse(text).expect(text) else { panic!("{text} is no directory") };
            assert_eq!((url.bucket(), url.prefix(), url.cloud()), (bucket, prefix, cloud), "{text}");
            assert_eq!(url.to_string(), text.trim_end_matches('/'));
        }
        for (text, path) in [("w", "w"), ("/srv/w", "/srv/w"), ("file:///srv/w", "/srv/w")] {
            assert_eq!(Root::parse(text).expect(text), Root::Local(path.into()));
        }
        assert_eq!(Root::parse("w").expect("a path").beside(Path::new("/etc")), Root::Local("/etc/w".into()));
        let remote = Root::parse("s3://lake/w").expect("a bucket");
        assert_eq!(remote.clone().beside(Path::new("/etc")), remote);
    }

    #[test]
    fn a_url_that_names_no_place_is_refused_with_the_reason() {
        for (text, want) in [
            ("hdfs://lake/a", "s3://, gs://, az:// or abfss://"),
            ("s3:///a", "names no bucket"),
            ("s3://key:secret@lake/a", "credentials come from the environment"),
            ("s3://lake/a//b", "each part of the prefix"),
            ("s3://lake/../b", "each part of the prefix"),
            ("s3://lake/a?x=y", "each part of the prefix"),
        ] {
            let error = Root::parse(text).expect_err(text).to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
