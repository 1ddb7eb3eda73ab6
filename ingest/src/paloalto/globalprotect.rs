//! GLOBALPROTECT -> authentication for logins, tunnel_activity for everything else.
//!
//! - A login is what stands in the stage `login`, and the events `portal-auth` and `gateway-auth` in any stage.
//! - The source is the client by its public address; `device` is the firewall, `service.uid` (or `dst_endpoint.name`) the
//!   portal or gateway. The address that the tunnel gave the client is `tunnel_interface.ip`.
//! - A login that names no user gets OCSF's word for that, `Unknown`, as `user.uid`: the user's name stays null.
//! - `duration` is that of a tunnel that closed: other records say 0 there, which stays in `unmapped`.
//!
//! Dropped: a public or private address 0.0.0.0 or `::` (there was none); a status or method that its caption repeats.

use dataflow::{BatchBuilder, Leaf, Table};

use super::{Common, HOST, Input, PRODUCT, User, own_slots, own_table, set_duration, set_status};
use crate::decode::Rejected;
use crate::decode::fields::{Convert, FieldTable, Objects, Target};
use crate::decode::row::{Row, Scratch};
use crate::normalize::{Class, Event, enums};

own_slots! {
    EventId "event_id",
    AuthMethod "auth_method",
    TunnelType "tunnel_type",
    PrivateIp "private_ip",
    PrivateIpv6 "private_ipv6",
    Os "os",
    OsVersion "os_version",
    Status "status",
    ErrorCode "error_code",
    Portal "portal",
    Gateway "gateway",
}

/// Up to the stage: with fewer columns a line does not say what happened.
pub(super) const LEAST_COLUMNS: usize = 10;

/// The event and the stage: column from 0 and JSON name.
const EVENT: (usize, &str) = (8, "EventIDValue");
const STAGE: (usize, &str) = (9, "Stage");

const SERVICE: &str = "GlobalProtect";
const UNKNOWN: &str = "Unknown";

const LOGON: i32 = 1;
const OPEN: i32 = 1;
const CLOSE: i32 = 2;
const RENEW: i32 = 3;

/// Decodes GLOBALPROTECT events.
#[derive(Debug)]
pub(super) struct GlobalProtect {
    login: Login,
    tunnel: Tunnel,
}

/// What both classes have of the event.
#[derive(Debug)]
struct Access {
    class: Class,
    fields: FieldTable,
    common: Common,
    user: User,
    event_code: Target,
    os: Target,
    os_version: Target,
    os_type: [Leaf; 2],
    status: [Leaf; 2],
    status_code: Target,
    is_vpn: Leaf,
}

#[derive(Debug)]
struct Login {
    access: Access,
    user_uid: Target,
    service: Target,
    service_uid: Target,
    protocol: [Leaf; 2],
    is_remote: Leaf,
    user: Objects,
}

#[derive(Debug)]
struct Tunnel {
    access: Access,
    app_name: Leaf,
    gateway: Target,
    protocol: Target,
    interface: Objects,
    address: Target,
    interface_type: [Leaf; 2],
    tunnel_type: [Leaf; 2],
    duration: Leaf,
    end_time: Leaf,
}

impl GlobalProtect {
    pub(super) fn new() -> Self {
        Self { login: Login::new(), tunnel: Tunnel::new() }
    }

    pub(super) fn decode(
        &self,
        input: Input<'_>,
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let (name, stage) = (input.text_of(EVENT.0, EVENT.1), input.text_of(STAGE.0, STAGE.1));
        if is_login(name, stage) {
            return self.login.decode(input, rows, scratch, event);
        }
        self.tunnel.decode(activity(name, stage), input, rows, scratch, event)
    }
}

fn is_login(event: &str, stage: &str) -> bool {
    stage == "login" || matches!(event, "portal-auth" | "gateway-auth")
}

/// `activity_id` of Tunnel Activity.
fn activity(event: &str, stage: &str) -> i32 {
    match (event, stage) {
        ("gateway-connected" | "gateway-setup-ssl" | "gateway-setup-ipsec", _) => OPEN,
        ("gateway-logout", _) | (_, "logout") => CLOSE,
        ("gateway-switch-to-ssl" | "gateway-switch-to-ipsec", _) => RENEW,
        ("", "") => 0,
        _ => 99,
    }
}

impl Access {
    fn new(at: Table) -> Self {
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        Self {
            class: Class::new(at, PRODUCT, HOST),
            fields: own_table("globalprotect.fields", include_str!("globalprotect.fields"), at, Own::NAMES),
            common: Common::new(at),
            user: User { name: target("user.name"), domain: target("user.domain") },
            event_code: target("metadata.event_code"),
            os: target("src_endpoint.os.name"),
            os_version: target("src_endpoint.os.version"),
            os_type: [leaf("src_endpoint.os.type_id"), leaf("src_endpoint.os.type")],
            status: [leaf("status_id"), leaf("status")],
            status_code: target("status_code"),
            is_vpn: leaf("session.is_vpn"),
        }
    }

    /// Reads the fields and sets what both classes share. Gives the event time.
    fn fill<'v>(
        &self,
        row: &mut Row<'_, 'v>,
        activity: i32,
        input: Input<'v>,
        event: &Event<'_>,
    ) -> Result<i64, Rejected> {
        input.read(row);
        row.place(Own::EventId, &self.event_code);
        let time = self.common.fill(row, &self.class, input, event)?;
        self.class.set_activity(row, activity);
        self.class.set_severity(row, enums::INFORMATIONAL);
        self.user.fill(row);
        self.set_os(row);
        set_status(row, Own::Status, self.status);
        if row.peek_text(Own::ErrorCode) != "0" {
            row.place(Own::ErrorCode, &self.status_code);
        }
        row.builder.set_bool(self.is_vpn, true);
        Ok(time)
    }

    /// The system, by its name; a version without a name says too little.
    fn set_os(&self, row: &mut Row<'_, '_>) {
        let name = row.peek_text(Own::Os);
        if !row.place(Own::Os, &self.os) {
            return;
        }
        let (id, caption) = enums::os(name).unwrap_or((99, name));
        row.builder.set_i32(self.os_type[0], id);
        row.builder.set_str(self.os_type[1], caption);
        row.place(Own::OsVersion, &self.os_version);
    }
}

/// The portal or gateway: the first of the two fields that is filled; the other stays.
fn place_gateway(row: &mut Row<'_, '_>, target: &Target) {
    if !row.place(Own::Portal, target) {
        row.place(Own::Gateway, target);
    }
}

impl Login {
    fn new() -> Self {
        let at = Table::Authentication;
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        Self {
            access: Access::new(at),
            user_uid: target("user.uid"),
            service: target("service.name"),
            service_uid: target("service.uid"),
            protocol: [leaf("auth_protocol_id"), leaf("auth_protocol")],
            is_remote: leaf("is_remote"),
            user: Objects::named("user"),
        }
    }

    fn decode(
        &self,
        input: Input<'_>,
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let out = (rows.table(Table::Authentication), &self.access.fields, scratch);
        self.access.class.write(out, event, |row| {
            self.access.fill(row, LOGON, input, event)?;
            row.set_text(&self.service, SERVICE);
            place_gateway(row, &self.service_uid);
            self.set_protocol(row);
            row.builder.set_bool(self.is_remote, true);
            if !row.has(self.user) {
                row.set_text(&self.user_uid, UNKNOWN);
            }
            Ok(())
        })
    }

    /// 99 bears a method that OCSF has no value for (`Cookie`, `client certificate`).
    fn set_protocol(&self, row: &mut Row<'_, '_>) {
        let Some(field) = row.take(Own::AuthMethod) else { return };
        if field.text().is_empty() {
            return row.keep(field);
        }
        let (id, caption) = enums::auth_protocol(field.text()).unwrap_or((99, field.text()));
        row.builder.set_i32(self.protocol[0], id);
        row.builder.set_str(self.protocol[1], caption);
    }
}

impl Tunnel {
    fn new() -> Self {
        let at = Table::TunnelActivity;
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        Self {
            access: Access::new(at),
            app_name: leaf("app_name"),
            gateway: target("dst_endpoint.name"),
            protocol: target("protocol_name"),
            interface: Objects::named("tunnel_interface"),
            address: Target { convert: Convert::NatIp, ..target("tunnel_interface.ip") },
            interface_type: [leaf("tunnel_interface.type_id"), leaf("tunnel_interface.type")],
            tunnel_type: [leaf("tunnel_type_id"), leaf("tunnel_type")],
            duration: leaf("duration"),
            end_time: leaf("end_time"),
        }
    }

    fn decode(
        &self,
        activity: i32,
        input: Input<'_>,
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let out = (rows.table(Table::TunnelActivity), &self.access.fields, scratch);
        self.access.class.write(out, event, |row| {
            let time = self.access.fill(row, activity, input, event)?;
            row.builder.set_str(self.app_name, SERVICE);
            place_gateway(row, &self.gateway);
            row.place(Own::TunnelType, &self.protocol);
            self.set_interface(row);
            if activity == CLOSE {
                row.builder.set_i64(self.end_time, time);
                set_duration(row, self.duration);
            }
            Ok(())
        })
    }

    /// The client's end within the tunnel. Whether all of its traffic goes there is not said: the type is 0, Unknown.
    fn set_interface(&self, row: &mut Row<'_, '_>) {
        row.place(Own::PrivateIp, &self.address);
        row.place(Own::PrivateIpv6, &self.address);
        if row.has(self.interface) {
            row.builder.set_i32(self.interface_type[0], 4);
            row.builder.set_str(self.interface_type[1], "Tunnel");
        }
        row.builder.set_i32(self.tunnel_type[0], 0);
        row.builder.set_str(self.tunnel_type[1], UNKNOWN);
    }
}

#[cfg(test)]
mod tests;
