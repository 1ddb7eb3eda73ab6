//! A catalog of Iceberg's REST protocol: its errors in our classes and words, and tokens that are renewed.
//!
//! What a commit needs of it: the server refuses a commit whose requirements do not hold on the table as it is, with 409,
//! and applies updates and checks as one. A lost answer (5xx, a timeout) leaves the commit's outcome open; the committer
//! looks at the table again, as with any catalog.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::io::StorageFactory;
use iceberg::table::Table;
use iceberg::{
    Catalog, CatalogBuilder, Error, ErrorKind, Namespace, NamespaceIdent, Result, TableCommit, TableCreation,
    TableIdent,
};
use iceberg_catalog_rest::{RestCatalog, RestCatalogBuilder};

use super::CATALOG_NAME;
use crate::config::RestConfig;

/// A REST catalog. See the module's front.
#[derive(Debug)]
pub(super) struct RestWarehouse {
    inner: RestCatalog,
    uri: String,
    /// Tokens are had for a credential, and can be had again.
    renews: bool,
}

impl RestWarehouse {
    /// A client; the server is first asked with the first call.
    pub(super) async fn open(config: &RestConfig, storage: Arc<dyn StorageFactory>) -> Result<Self> {
        let uri = config.uri.trim_end_matches('/').to_owned();
        let said = [
            ("uri", Some(&uri)),
            ("warehouse", config.warehouse.as_ref()),
            ("token", config.token.as_ref().map(|s| &s.0)),
            ("credential", config.credential.as_ref().map(|s| &s.0)),
            ("oauth2-server-uri", config.oauth2_server_uri.as_ref()),
            ("scope", config.scope.as_ref()),
        ];
        let said = said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone())));
        let properties: HashMap<String, String> = said.collect();
        let builder = RestCatalogBuilder::default().with_storage_factory(storage);
        let inner = builder.load(CATALOG_NAME, properties).await?;
        Ok(Self { inner, uri, renews: config.credential.is_some() })
    }

    /// The answer, or an error that says what to do. A token that has expired is renewed: the call failed, another one
    /// will not.
    async fn told<T>(&self, answer: Result<T>) -> Result<T> {
        let Err(error) = answer else { return answer };
        let said = Said::of(&error);
        if said.status == Some(401) && self.renews && !said.is_exchange {
            self.inner.regenerate_token().await.map_err(|e| Said::of(&e).refused(&self.uri))?;
            return Err(Error::new(ErrorKind::Unexpected, "the token had expired; there is a new one now"));
        }
        Err(said.error(&self.uri, error))
    }
}

/// What an error of the client says: its words hold the server's answer, which no method tells.
struct Said {
    status: Option<u16>,
    /// The server's own message.
    message: Option<String>,
    /// It is about exchanging a credential for a token; its answer may hold secrets.
    is_exchange: bool,
}

impl Said {
    fn of(error: &Error) -> Self {
        let text = error.to_string();
        let number = |mark: &str| -> Option<u16> {
            let (_, rest) = text.split_once(mark)?;
            rest.get(..3)?.parse().ok()
        };
        // A refusal in the protocol's own form begins with its type, and comes of nothing else.
        let is_exchange = text.contains("operation: auth") || text.contains("context: { type: ");
        let json = text.split_once("json: ").map(|(_, rest)| rest);
        let answer = json.and_then(|json| {
            let mut values = serde_json::Deserializer::from_str(json).into_iter::<serde_json::Value>();
            values.next()?.ok()
        });
        let message = answer.and_then(|a| a.pointer("/error/message")?.as_str().map(str::to_owned));
        let status = number("status: ").or_else(|| number("code: "));
        Self { status, message: message.filter(|_| !is_exchange), is_exchange }
    }

    fn error(self, uri: &str, error: Error) -> Error {
        let Some(status) = self.status else {
            // Answers that the client knows, and those that did not come.
            return if self.is_exchange { self.refused(uri) } else { error };
        };
        let message = self.message.clone().unwrap_or_default();
        let told = |kind, what: &str| Error::new(kind, format!("{uri} answered {status}{what}: {message}"));
        match status {
            401 | 403 => self.refused(uri),
            408 | 425 | 429 | 500..=599 => told(ErrorKind::Unexpected, ", and what became of the call is open"),
            _ if self.is_exchange => self.refused(uri),
            404 => told(ErrorKind::DataInvalid, "; is this the catalog's URL, and has it this warehouse?"),
            409 => told(ErrorKind::CatalogCommitConflicts, ""),
            _ => told(ErrorKind::DataInvalid, ""),
        }
    }

    fn refused(&self, uri: &str) -> Error {
        let status =
            self.status.map_or_else(|| "does not give a token".to_owned(), |status| format!("answered {status}"));
        let message = self.message.clone().unwrap_or_default();
        let hint = "the token or credential is wrong or may not do this (`catalog` in the configuration, PALISADE_CATALOG_TOKEN, \
                    PALISADE_CATALOG_CREDENTIAL)";
        Error::new(ErrorKind::DataInvalid, format!("{uri} {status} {message}: {hint}"))
    }
}

#[async_trait]
impl Catalog for RestWarehouse {
    async fn load_table(&self, ident: &TableIdent) -> Result<Table> {
        self.told(self.inner.load_table(ident).await).await
    }

    async fn update_table(&self, commit: TableCommit) -> Result<Table> {
        self.told(self.inner.update_table(commit).await).await
    }

    async fn create_table(&self, namespace: &NamespaceIdent, creation: TableCreation) -> Result<Table> {
        self.told(self.inner.create_table(namespace, creation).await).await
    }

    async fn table_exists(&self, ident: &TableIdent) -> Result<bool> {
        self.told(self.inner.table_exists(ident).await).await
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        self.told(self.inner.list_tables(namespace).await).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        self.told(self.inner.drop_table(ident).await).await
    }

    async fn purge_table(&self, ident: &TableIdent) -> Result<()> {
        self.told(self.inner.purge_table(ident).await).await
    }

    async fn rename_table(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        self.told(self.inner.rename_table(from, to).await).await
    }

    async fn register_table(&self, ident: &TableIdent, metadata: String) -> Result<Table> {
        self.told(self.inner.register_table(ident, metadata).await).await
    }

    async fn list_namespaces(&self, parent: Option<&NamespaceIdent>) -> Result<Vec<NamespaceIdent>> {
        self.told(self.inner.list_namespaces(parent).await).await
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<Namespace> {
        self.told(self.inner.create_namespace(namespace, properties).await).await
    }

    async fn get_namespace(&self, namespace: &NamespaceIdent) -> Result<Namespace> {
        self.told(self.inner.get_namespace(namespace).await).await
    }

    async fn namespace_exists(&self, namespace: &NamespaceIdent) -> Result<bool> {
        self.told(self.inner.namespace_exists(namespace).await).await
    }

    async fn update_namespace(&self, namespace: &NamespaceIdent, properties: HashMap<String, String>) -> Result<()> {
        self.told(self.inner.update_namespace(namespace, properties).await).await
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        self.told(self.inner.drop_namespace(namespace).await).await
    }
}

#[cfg(test)]
mod tests;
