//! THREAT of subtype url -> http_activity.

use dataflow::{Leaf, Reason, Table, TableBuilder};

use super::{Common, Connection, Input, PRODUCT, SECURITY, Slot, User, set_action, set_severity, table};
use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Objects, Target};
use crate::decode::row::{Row, Scratch};
use crate::decode::values;
use crate::normalize::{Class, Event, enums};

#[derive(Debug)]
pub(super) struct Url {
    class: Class,
    fields: FieldTable,
    common: Common,
    connection: Connection,
    user: User,
    method: Leaf,
    url: Target,
    scheme: Leaf,
    hostname: Leaf,
    port: Leaf,
    path: Leaf,
    query: Leaf,
}

impl Url {
    pub(super) fn new() -> Self {
        let at = Table::HttpActivity;
        let leaf = |path| at.expect_leaf(path);
        Self {
            class: Class::new(at, PRODUCT, SECURITY),
            fields: table("url.fields", include_str!("url.fields"), at),
            common: Common::new(at),
            connection: Connection::new(at, "connection_info"),
            user: User { name: Target::of(at, "actor.user.name"), domain: Target::of(at, "actor.user.domain") },
            method: leaf("http_request.http_method"),
            url: Target::of(at, "http_request.url.url_string"),
            scheme: leaf("http_request.url.scheme"),
            hostname: leaf("http_request.url.hostname"),
            port: leaf("http_request.url.port"),
            path: leaf("http_request.url.path"),
            query: leaf("http_request.url.query_string"),
        }
    }

    pub(super) fn decode(
        &self,
        input: Input<'_>,
        builder: &mut TableBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.class.write((builder, &self.fields, scratch), event, |row| {
            input.read(row);
            self.common.fill(row, &self.class, input, event)?;
            set_severity(row, &self.class);
            set_action(row, &self.class);
            self.connection.fill(row);
            self.user.fill(row);
            self.set_url(row);
            let activity = self.set_method(row);
            self.class.set_activity(row, activity);
            if row.has(Objects::named("http_request.url")) {
                return Ok(());
            }
            Err(Rejected::new(Reason::MissingField, "no URL".to_owned()))
        })
    }

    fn set_url(&self, row: &mut Row<'_, '_>) {
        let Some(field) = row.take(Slot::Url) else { return };
        let text = field.text();
        if !row.set_text(&self.url, text) {
            return row.keep(field);
        }
        let parts = values::url(text);
        let texts = [
            (self.scheme, parts.scheme),
            (self.hostname, parts.host),
            (self.path, parts.path),
            (self.query, parts.query),
        ];
        for (leaf, text) in texts.into_iter().filter_map(|(leaf, text)| Some((leaf, text?))) {
            row.builder.set_str(leaf, text);
        }
        if let Some(port) = parts.port {
            row.builder.set_i32(self.port, port);
        }
    }

    /// Sets the method; gives the activity: 0 without a method, 99 for a word that is none.
    fn set_method(&self, row: &mut Row<'_, '_>) -> i32 {
        let Some(field) = row.take(Slot::Method) else { return 0 };
        match enums::http_method(field.text()) {
            Some((activity, method)) => {
                row.builder.set_str(self.method, method);
                activity
            }
            None => {
                row.keep(field);
                99
            }
        }
    }
}
