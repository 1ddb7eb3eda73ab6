//! GLOBALPROTECT -> authentication for logins, tunnel_activity for everything else.
//!
//! - A login is what stands in the stage `login`, and the events `portal-auth` and `gateway-auth` in any stage.
//! - The source is the client by its public address; `device` is the firewall, `service.uid` (or `dst_endpoint.name`) the
//!   portal or gateway. The address that the tunnel gave the client is `tunnel_interface.ip`.
//! - A login that names no user gets OCSF's word for that, `Unknown`, as `user.uid`: the user's name stays null.
//! - `duration` is that of a tunnel that closed: other records say 0 there, which stays in `unmapped`.
//!
//! Dropped: a public or private address 0.0.0.0 or `::` (there was none); a status or method that its caption repeats.

use dataflow::Table;

use super::base::{Base, HOST, Os, Out, UNKNOWN, columns, set_auth_protocol, set_duration, set_enum, set_status};
use super::{Input, field_file, own_slots};
use crate::decode::Rejected;
use crate::decode::fields::{Objects, Target};
use crate::decode::row::Row;
use crate::normalize::Event;

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
    base: Base,
    columns: Columns,
    os: Os,
}

columns! {
    struct Columns {
        event_code: "metadata.event_code",
        status_id: "status_id",
        status: "status",
        status_code: "status_code",
        is_vpn: "session.is_vpn",
    }
}

#[derive(Debug)]
struct Login {
    access: Access,
    columns: LoginColumns,
    user: Objects,
}

columns! {
    struct LoginColumns {
        user_uid: "user.uid",
        service: "service.name",
        service_uid: "service.uid",
        protocol_id: "auth_protocol_id",
        protocol: "auth_protocol",
        is_remote: "is_remote",
    }
}

#[derive(Debug)]
struct Tunnel {
    access: Access,
    columns: TunnelColumns,
    interface: Objects,
}

columns! {
    struct TunnelColumns {
        app_name: "app_name",
        gateway: "dst_endpoint.name",
        protocol: "protocol_name",
        address: "tunnel_interface.ip nat_ip",
        interface_type_id: "tunnel_interface.type_id",
        interface_type: "tunnel_interface.type",
        tunnel_type_id: "tunnel_type_id",
        tunnel_type: "tunnel_type",
        duration: "duration",
        end_time: "end_time",
    }
}

impl GlobalProtect {
    pub(super) fn new() -> Self {
        Self { login: Login::new(), tunnel: Tunnel::new() }
    }

    pub(super) fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        let fields = &self.login.access.base.fields;
        let (name, stage) = (input.text_of(fields, EVENT), input.text_of(fields, STAGE));
        if is_login(name, stage) {
            return self.login.decode(input, out, event);
        }
        self.tunnel.decode(activity(name, stage), input, out, event)
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
        Self {
            base: Base::new(at, HOST, field_file!("globalprotect"), Own::NAMES).informational(),
            columns: Columns::of(at),
            os: Os::of(at),
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
        row.place(Own::EventId, &self.columns.event_code);
        let time = self.base.fill(row, input, event)?;
        self.base.class.set_activity(row, activity);
        self.os.fill(row, Own::Os, Own::OsVersion);
        set_status(row, Own::Status, &self.columns.status_id, &self.columns.status);
        if row.peek_text(Own::ErrorCode) != "0" {
            row.place(Own::ErrorCode, &self.columns.status_code);
        }
        row.builder.set_bool(self.columns.is_vpn.leaf, true);
        Ok(time)
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
        Self { access: Access::new(at), columns: LoginColumns::of(at), user: Objects::named("user") }
    }

    fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.access.base.write(out, event, |row| {
            self.access.fill(row, LOGON, input, event)?;
            row.set_text(&self.columns.service, SERVICE);
            place_gateway(row, &self.columns.service_uid);
            set_auth_protocol(row, Own::AuthMethod, &self.columns.protocol_id, &self.columns.protocol);
            row.builder.set_bool(self.columns.is_remote.leaf, true);
            if !row.has(self.user) {
                row.set_text(&self.columns.user_uid, UNKNOWN);
            }
            Ok(())
        })
    }
}

impl Tunnel {
    fn new() -> Self {
        let at = Table::TunnelActivity;
        let interface = Objects::named("tunnel_interface");
        Self { access: Access::new(at), columns: TunnelColumns::of(at), interface }
    }

    fn decode(&self, activity: i32, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.access.base.write(out, event, |row| {
            let time = self.access.fill(row, activity, input, event)?;
            row.set_text(&self.columns.app_name, SERVICE);
            place_gateway(row, &self.columns.gateway);
            row.place(Own::TunnelType, &self.columns.protocol);
            self.set_interface(row);
            if activity == CLOSE {
                row.builder.set_i64(self.columns.end_time.leaf, time);
                set_duration(row, self.columns.duration.leaf);
            }
            Ok(())
        })
    }

    /// The client's end within the tunnel. Whether all of its traffic goes there is not said: the type is 0, Unknown.
    fn set_interface(&self, row: &mut Row<'_, '_>) {
        let columns = &self.columns;
        row.place(Own::PrivateIp, &columns.address);
        row.place(Own::PrivateIpv6, &columns.address);
        if row.has(self.interface) {
            set_enum(row, &columns.interface_type_id, &columns.interface_type, (4, "Tunnel"));
        }
        set_enum(row, &columns.tunnel_type_id, &columns.tunnel_type, (0, UNKNOWN));
    }
}

#[cfg(test)]
mod tests;
