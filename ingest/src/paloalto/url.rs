//! THREAT of subtype url -> http_activity.

use dataflow::{Leaf, Reason, Table};

use super::base::{Base, Out, SECURITY, columns};
use super::{Input, Slot, field_file};
use crate::decode::Rejected;
use crate::decode::fields::Objects;
use crate::decode::row::Row;
use crate::decode::values;
use crate::normalize::{Event, enums};

#[derive(Debug)]
pub(super) struct Url {
    base: Base,
    columns: Columns,
    categories: Leaf,
}

columns! {
    struct Columns {
        method: "http_request.http_method",
        url: "http_request.url.url_string",
        scheme: "http_request.url.scheme",
        hostname: "http_request.url.hostname",
        port: "http_request.url.port",
        path: "http_request.url.path",
        query: "http_request.url.query_string",
    }
}

impl Url {
    pub(super) fn new() -> Self {
        let at = Table::HttpActivity;
        Self {
            base: Base::new(at, SECURITY, field_file!("url"), Slot::FURTHER),
            columns: Columns::of(at),
            categories: at.expect_leaf("http_request.url.categories[]"),
        }
    }

    pub(super) fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            input.read(row);
            self.base.fill(row, input, event)?;
            self.set_url(row);
            self.set_categories(row);
            let activity = self.set_method(row);
            self.base.class.set_activity(row, activity);
            if row.has(const { Objects::named("http_request.url") }) {
                return Ok(());
            }
            Err(Rejected::new(Reason::MissingField, "no URL".to_owned()))
        })
    }

    fn set_url(&self, row: &mut Row<'_, '_>) {
        let Some(field) = row.take(Slot::Url) else { return };
        let (columns, text) = (&self.columns, field.text());
        if !row.set_text(&columns.url, text) {
            return row.keep(field);
        }
        let parts = values::url(text);
        let texts = [
            (columns.scheme.leaf, parts.scheme),
            (columns.hostname.leaf, parts.host),
            (columns.path.leaf, parts.path),
            (columns.query.leaf, parts.query),
        ];
        for (leaf, text) in texts.into_iter().filter_map(|(leaf, text)| Some((leaf, text?))) {
            row.builder.set_str(leaf, text);
        }
        if let Some(port) = parts.port {
            row.builder.set_i32(columns.port.leaf, port);
        }
    }

    /// The category and the list of all of them; the list usually holds the one.
    fn set_categories(&self, row: &mut Row<'_, '_>) {
        let (one, list) = (row.take(Slot::Category), row.take(Slot::CategoryList));
        let items = || list.iter().flat_map(|f| f.text().split(',')).map(str::trim).filter(|t| !t.is_empty());
        let first = one.iter().map(|f| f.text()).filter(|one| !items().any(|item| item == *one));
        let has_url = row.has(const { Objects::named("http_request.url") });
        if has_url {
            first.chain(items()).for_each(|category| row.builder.push_str(self.categories, category));
        } else {
            one.into_iter().chain(list).for_each(|field| row.keep(field));
        }
    }

    /// Sets the method; gives the activity: 0 without a method, 99 for a word that is none.
    fn set_method(&self, row: &mut Row<'_, '_>) -> i32 {
        let Some(field) = row.take(Slot::Method) else { return 0 };
        match enums::http_method(field.text()) {
            Some((activity, method)) => {
                row.builder.set_str(self.columns.method.leaf, method);
                activity
            }
            None => {
                row.keep(field);
                99
            }
        }
    }
}
