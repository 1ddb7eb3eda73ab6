//! From a URL, the configuration and the environment to a bucket.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{ClientConfigKey, ObjectStore, Result, RetryConfig};

use crate::config::{BucketUrl, Cloud, StoreConfig};

/// Requests are tried again here a few times at once, and by [`super::RemoteStore`] for longer.
const RETRIES: usize = 2;

pub(super) fn bucket(url: &BucketUrl, config: &StoreConfig) -> Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: Duration::from_millis(config.timeout_ms),
        ..RetryConfig::default()
    };
    match url.cloud() {
        Cloud::S3 => s3(url, config, retry),
        Cloud::Google => google(url, config, retry),
        Cloud::Azure => azure(url, config, retry),
    }
}

/// What is set for every client, over what the environment says. How long a request may take is decided with its size, by
/// who sends it.
fn client(config: &StoreConfig) -> impl Iterator<Item = (ClientConfigKey, &'static str)> {
    let always = [(ClientConfigKey::Timeout, "1h"), (ClientConfigKey::ConnectTimeout, "5s")];
    always.into_iter().chain(config.allow_http.then_some((ClientConfigKey::AllowHttp, "true")))
}

fn s3(url: &BucketUrl, config: &StoreConfig, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>> {
    let bucket = url.bucket().split_once("://").unwrap_or_default().1;
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
    for (key, value) in client(config) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some(path_style) = config.path_style {
        builder = builder.with_virtual_hosted_style_request(!path_style);
    }
    Ok(Arc::new(builder.build()?))
}

fn google(url: &BucketUrl, config: &StoreConfig, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_url(url.to_string()).with_retry(retry);
    for (key, value) in client(config) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

fn azure(url: &BucketUrl, config: &StoreConfig, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_url(url.to_string()).with_retry(retry);
    for (key, value) in client(config) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    Ok(Arc::new(builder.build()?))
}
