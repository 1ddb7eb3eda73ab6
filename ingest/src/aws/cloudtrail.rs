//! CloudTrail record -> api_activity.
//!
//! - Activity: by the verb of the event name, else by `readOnly`.
//! - `actor.user.type` is the caption of its id; for Other it is the identity's own type (AssumedRole, ...). The type of the
//!   others stays in `unmapped` as `userIdentity.type`.
//! - `actor.user.name`: the user's name; a role's for AssumedRole, what its ARN ends in without either; `root` for Root;
//!   the service for AWSService.
//! - A source that is no address is a host name (`src_endpoint.domain`) or a service (`src_endpoint.svc_name`).
//! - The class requires an actor, a source and, with request data, a request id: a record that names none gets OCSF's
//!   word for that, `Unknown`.
//!
//! Dropped: `readOnly` where the activity says the same.

use dataflow::{Leaf, Reason, Table, TableBuilder};

use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Objects, Target};
use crate::decode::json::{At, Doc, Value};
use crate::decode::row::{Row, Scratch, slots};
use crate::decode::values;
use crate::normalize::{Class, Event, Product, enums, first_time};

slots! {
    Time "time",
    Operation "operation",
    Source "source",
    ErrorCode "error_code",
    ErrorMessage "error_message",
    Request "request",
    RequestId "request_id",
    EventId "event_id",
    ReadOnly "read_only",
    Resources "resources",
    UserType "user_type",
    Arn "arn",
    User "user",
    InvokedBy "invoked_by",
    IssuerName "issuer_name",
}

const PRODUCT: Product = Product { name: "CloudTrail", vendor: "AWS" };
const UNKNOWN: &str = "Unknown";

const CREATE: i32 = 1;
const READ: i32 = 2;
const UPDATE: i32 = 3;
const DELETE: i32 = 4;

/// Decodes CloudTrail records.
#[derive(Debug)]
pub(crate) struct CloudTrail {
    class: Class,
    fields: FieldTable,
    targets: Targets,
}

#[derive(Debug)]
struct Targets {
    operation: Target,
    source_ip: Target,
    source_domain: Target,
    source_service: Target,
    error: Target,
    error_message: Target,
    request_id: Target,
    request_data: Target,
    event_id: Target,
    user_name: Target,
    user_uid: Target,
    user_type: Target,
    user_type_id: Leaf,
    invoked_by: Target,
    provider: Leaf,
    log_name: Leaf,
    status_id: Leaf,
    status: Leaf,
    status_code: Leaf,
    resource_uid: Target,
    resource_type: Target,
    resource_owner: Target,
}

impl CloudTrail {
    pub(crate) fn new() -> Self {
        let at = Table::ApiActivity;
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        let of = |path, convert| Target { convert, ..Target::of(at, path) };
        let fields = FieldTable::parse("cloudtrail.fields", include_str!("cloudtrail.fields"), at, Slot::NAMES);
        Self {
            class: Class::new(at, PRODUCT, &["cloud", "datetime"]),
            fields: fields.unwrap_or_else(|e| panic!("{e}")),
            targets: Targets {
                operation: target("api.operation"),
                source_ip: of("src_endpoint.ip", crate::decode::fields::Convert::Ip),
                source_domain: target("src_endpoint.domain"),
                source_service: target("src_endpoint.svc_name"),
                error: target("api.response.error"),
                error_message: target("api.response.error_message"),
                request_id: target("api.request.uid"),
                request_data: target("api.request.data"),
                event_id: target("metadata.uid"),
                user_name: target("actor.user.name"),
                user_uid: target("actor.user.uid"),
                user_type: target("actor.user.type"),
                user_type_id: leaf("actor.user.type_id"),
                invoked_by: target("actor.invoked_by"),
                provider: leaf("cloud.provider"),
                log_name: leaf("metadata.log_name"),
                status_id: leaf("status_id"),
                status: leaf("status"),
                status_code: leaf("status_code"),
                resource_uid: target("resources[].uid"),
                resource_type: target("resources[].type"),
                resource_owner: target("resources[].owner.account.uid"),
            },
        }
    }

    /// Decodes one record.
    pub(crate) fn decode(
        &self,
        (doc, at): (Doc<'_>, At),
        builder: &mut TableBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.class.write((builder, &self.fields, scratch), event, |row| {
            row.read_members(doc, at, 0);
            let (time, _, original) = first_time([row.take(Slot::Time)])?;
            self.class.set_time(row, event, time, original.text());
            self.set_operation(row)?;
            self.class.set_severity(row, enums::INFORMATIONAL);
            row.builder.set_str(self.targets.provider, PRODUCT.vendor);
            row.builder.set_str(self.targets.log_name, PRODUCT.name);
            self.set_status(row);
            self.set_request(row);
            self.set_actor(row);
            self.set_source(row);
            self.set_resources(row, doc);
            Ok(())
        })
    }

    fn set_operation(&self, row: &mut Row<'_, '_>) -> Result<(), Rejected> {
        let operation = row.peek_text(Slot::Operation);
        if !row.place(Slot::Operation, &self.targets.operation) {
            return Err(Rejected::new(Reason::MissingField, "no eventName".to_owned()));
        }
        let read_only = row.take(Slot::ReadOnly);
        let activity = activity(operation, read_only.map(|f| f.text()).unwrap_or_default());
        self.class.set_activity(row, activity);
        if let Some(field) = read_only.filter(|f| f.text() != (if activity == READ { "true" } else { "false" })) {
            row.keep(field);
        }
        Ok(())
    }

    /// CloudTrail names errors only: without one the call succeeded. A failed sign-in has a message but no code.
    fn set_status(&self, row: &mut Row<'_, '_>) {
        let t = &self.targets;
        let code = row.peek(Slot::ErrorCode);
        if let Some(code) = code {
            row.builder.set_str(t.status_code, code.text());
        }
        let failed = row.place(Slot::ErrorCode, &t.error) | row.place(Slot::ErrorMessage, &t.error_message);
        row.builder.set_i32(t.status_id, if failed { 2 } else { 1 });
        row.builder.set_str(t.status, if failed { "Failure" } else { "Success" });
    }

    fn set_request(&self, row: &mut Row<'_, '_>) {
        let t = &self.targets;
        let event_id = row.peek(Slot::EventId).map(|f| f.text()).unwrap_or(UNKNOWN);
        row.place(Slot::EventId, &t.event_id);
        let has_id = row.place(Slot::RequestId, &t.request_id);
        if row.place(Slot::Request, &t.request_data) && !has_id {
            row.set_text(&t.request_id, event_id);
        }
    }

    fn set_actor(&self, row: &mut Row<'_, '_>) {
        let t = &self.targets;
        let kind = row.peek_text(Slot::UserType);
        let (arn, service) = (row.peek_text(Slot::Arn), row.peek_text(Slot::InvokedBy));
        let named = row.place(Slot::User, &t.user_name);
        let issuer = row.take(Slot::IssuerName);
        let derived = match kind {
            _ if named => "",
            "Root" => "root",
            "AWSService" => service,
            _ => issuer.map(|f| f.text()).unwrap_or_else(|| last_of_arn(arn)),
        };
        if !derived.is_empty() {
            row.set_text(&t.user_name, derived);
        }
        if let Some(field) = issuer.filter(|f| f.text() != derived) {
            row.keep(field);
        }
        row.place(Slot::Arn, &t.user_uid);
        let invoked = row.place(Slot::InvokedBy, &t.invoked_by);
        let is_user = row.has(const { Objects::named("actor.user") });
        if let Some(field) = row.take(Slot::UserType) {
            let (id, caption) = user_type(kind);
            if is_user {
                row.builder.set_i32(t.user_type_id, id);
                row.set_text(&t.user_type, caption.unwrap_or(kind));
            }
            if !is_user || caption.is_some() {
                row.keep(field);
            }
        }
        if !is_user && !invoked {
            row.set_text(&t.invoked_by, UNKNOWN);
        }
    }

    fn set_source(&self, row: &mut Row<'_, '_>) {
        let t = &self.targets;
        if let Some(field) = row.take(Slot::Source) {
            let text = field.text();
            let target = match text {
                _ if values::ip(text).is_some() => &t.source_ip,
                _ if text.contains('.') && !text.contains(char::is_whitespace) => &t.source_domain,
                _ => &t.source_service,
            };
            if !row.set(target, field.value) {
                row.keep(field);
            }
        }
        if !row.has(const { Objects::named("src_endpoint") }) {
            row.set_text(&t.source_service, UNKNOWN);
        }
    }

    /// Resources with an ARN become elements; if that does not say everything, the list stays in `unmapped` too.
    fn set_resources(&self, row: &mut Row<'_, '_>, doc: Doc<'_>) {
        let Some(field) = row.take(Slot::Resources) else { return };
        let mut complete = matches!(field.value, Value::Nested(text) if text.starts_with('['));
        for element in field.at().into_iter().flat_map(|at| doc.elements(at)) {
            complete &= self.set_resource(row, doc, element);
        }
        if !complete {
            row.keep(field);
        }
    }

    fn set_resource(&self, row: &mut Row<'_, '_>, doc: Doc<'_>, element: At) -> bool {
        let t = &self.targets;
        let target = |key: &[u8]| match key {
            b"ARN" | b"arn" => Some(&t.resource_uid),
            b"type" => Some(&t.resource_type),
            b"accountId" => Some(&t.resource_owner),
            _ => None,
        };
        let is_named = |m: crate::decode::json::Member<'_>| {
            matches!(doc.key(&m), b"ARN" | b"arn") && doc.value(m.at).scalar().is_some_and(|t| !t.is_empty())
        };
        if !doc.members(element).any(is_named) {
            return false;
        }
        row.builder.begin_element("resources");
        let mut complete = true;
        for member in doc.members(element) {
            let value = doc.value(member.at);
            let empty = matches!(value, Value::Null | Value::Text { text: "", .. });
            complete &= empty || target(doc.key(&member)).is_some_and(|t| row.set(t, value));
        }
        complete
    }
}

/// What an ARN ends in: a user, a role's session, a federated user; nothing for an account's root.
fn last_of_arn(arn: &str) -> &str {
    arn.rsplit_once('/').map(|(_, last)| last).unwrap_or_default()
}

/// `actor.user.type_id` with its caption; 99 bears the identity's own word.
fn user_type(kind: &str) -> (i32, Option<&'static str>) {
    match kind {
        "IAMUser" | "IdentityCenterUser" | "SAMLUser" | "WebIdentityUser" | "FederatedUser" => (1, Some("User")),
        "Root" => (2, Some("Admin")),
        "AWSService" => (4, Some("Service")),
        "" | "Unknown" => (0, Some("Unknown")),
        _ => (99, None),
    }
}

/// `activity_id`: by the event name's first word, else by `readOnly`.
fn activity(operation: &str, read_only: &str) -> i32 {
    let name = operation.strip_prefix("Batch").unwrap_or(operation);
    let rest = name.get(1..).unwrap_or_default();
    let verb = &name[..rest.find(|c: char| c.is_ascii_uppercase()).map_or(name.len(), |i| i + 1)];
    let by_verb = VERBS.iter().find(|(_, verbs)| verbs.contains(&verb)).map(|(activity, _)| *activity);
    match (by_verb, read_only) {
        (Some(activity), _) => activity,
        (None, "true") => READ,
        (None, "false") => 99,
        _ => 0,
    }
}

const VERBS: [(i32, &[&str]); 4] = [
    (
        READ,
        &[
            "Get", "List", "Describe", "Head", "Lookup", "Search", "Query", "Scan", "Select", "View", "Check",
            "Download", "Filter", "Discover", "Estimate", "Simulate", "Validate", "Verify", "Preview", "Detect",
        ],
    ),
    (CREATE, &["Create", "Run", "Add", "Register", "Allocate", "Import", "Issue", "Upload", "Copy", "Request"]),
    (
        UPDATE,
        &[
            "Update",
            "Put",
            "Modify",
            "Set",
            "Attach",
            "Detach",
            "Associate",
            "Disassociate",
            "Enable",
            "Disable",
            "Start",
            "Stop",
            "Reboot",
            "Change",
            "Reset",
            "Replace",
            "Tag",
            "Untag",
            "Authorize",
            "Revoke",
            "Rotate",
            "Restore",
            "Apply",
            "Edit",
            "Configure",
            "Activate",
            "Deactivate",
        ],
    ),
    (DELETE, &["Delete", "Remove", "Terminate", "Deregister", "Release", "Purge", "Cancel"]),
];

#[cfg(test)]
mod tests;
