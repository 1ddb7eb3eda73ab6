//! Calls of the cloud's API, as CloudTrail records them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use crate::draw::Draw;
use crate::fleet::{Fleet, Tenant, people};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A user with a key of their own.
    IamUser,
    /// A role that somebody assumed.
    AssumedRole,
    /// The account's root.
    Root,
    /// A service of the cloud itself.
    Service,
}

/// An operation of a service. `request` and `response` are templates.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    pub(crate) is_read: bool,
    pub(crate) request: &'static str,
    pub(crate) response: &'static str,
    weight: usize,
}

/// The operations, from `templates/cloudtrail_operations.txt`.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> =
    LazyLock::new(|| include_str!("../render/templates/cloudtrail_operations.txt").lines().map(operation).collect());

fn operation(line: &'static str) -> Operation {
    let parts: Vec<&str> = line.split('|').collect();
    let [service, name, access, weight, request, response] = parts[..] else { panic!("six parts: {line}") };
    let weight = weight.parse().expect("a weight in our own table");
    Operation { service, name, is_read: access == "read", request, response, weight }
}

/// Index of an operation of our own table.
pub(crate) fn operation_named(service: &str, name: &str) -> usize {
    let at = OPERATIONS.iter().position(|o| o.service == service && o.name == name);
    at.expect("an operation of our own table")
}

/// An index for each unit of weight. What only attacks and near misses do has none.
pub(crate) fn weighted() -> Vec<u8> {
    (0u8..).zip(OPERATIONS.iter()).flat_map(|(i, o)| std::iter::repeat_n(i, o.weight)).collect()
}

/// A call that an attack or near miss makes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedCall {
    pub(crate) operation: usize,
    pub(crate) is_denied: bool,
    pub(crate) identity: Identity,
    /// The role that is assumed, or that the call is about; any if none.
    pub(crate) role: Option<&'static str>,
    /// What the access key is made of, so that several calls use or make the same one; any if none.
    pub(crate) key: Option<u64>,
    pub(crate) user: &'static str,
    pub(crate) source: Ipv4Addr,
    /// The time in the record.
    pub(crate) time_us: i64,
}

/// A record: one event, or a `Records` array.
#[derive(Debug)]
pub(crate) struct CloudRecord<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) tenant: usize,
    /// Time before the delay of each event is taken off.
    pub(crate) base_us: i64,
    /// Events of the array; none for a record that is one event.
    pub(crate) array: Option<u8>,
    /// The planted call and its index among the events.
    pub(crate) planned: Option<(u8, PlannedCall)>,
    draw: Draw,
}

/// One event.
#[derive(Debug)]
pub(crate) struct CloudEvent<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) tenant: &'a Tenant,
    pub(crate) time_us: i64,
    pub(crate) identity: Identity,
    pub(crate) operation: usize,
    pub(crate) is_denied: bool,
    pub(crate) user: &'static str,
    pub(crate) role: &'static str,
    pub(crate) region: &'static str,
    /// The caller's address; none if a service calls.
    pub(crate) source: Option<IpAddr>,
    pub(crate) agent: &'static str,
    pub(crate) salts: [u64; 2],
}

pub(crate) const ROLES: [&str; 6] = ["admin", "ci-deploy", "readonly", "data-pipeline", "break-glass", "eks-node"];
const REGIONS: [&str; 5] = ["us-east-1", "eu-central-1", "us-west-2", "ap-southeast-1", "eu-west-1"];
const AGENTS: [&str; 4] = [
    "aws-cli/2.22.7 md/awscrt#0.23.4 ua/2.0 os/linux#6.8 md/arch#x86_64 lang/python#3.12 cfg/retry-mode#standard",
    "Boto3/1.35.80 md/Botocore#1.35.80 ua/2.0 os/linux#6.1 md/arch#aarch64 lang/python#3.11",
    "aws-sdk-go-v2/1.32.6 os/linux lang/go#1.23 md/GOOS#linux md/GOARCH#amd64 api/ec2#1.197.0",
    "AWS Internal",
];

impl<'a> CloudRecord<'a> {
    /// A record of the background: one in eight is an array of two to five events.
    pub(crate) fn draw(fleet: &'a Fleet, tenant: usize, base_us: i64, draw: &mut Draw) -> Self {
        let array = draw.one_in(8).then(|| 2 + draw.below(4) as u8);
        Self { fleet, tenant, base_us, array, planned: None, draw: *draw }
    }

    /// A record that holds a planted call, one time in three amid others.
    pub(crate) fn planted(mut self, call: PlannedCall) -> Self {
        let mut draw = self.draw;
        self.array = draw.one_in(3).then_some(3);
        self.planned = Some((draw.below(u64::from(self.events())) as u8, call));
        self
    }

    /// How many events it holds.
    pub(crate) fn events(&self) -> u8 {
        self.array.unwrap_or(1)
    }

    /// Event `index`.
    pub(crate) fn event(&self, index: u8) -> CloudEvent<'a> {
        let mut draw = Draw::at({ self.draw }.bits(), 0, u64::from(index));
        let mut event = self.ordinary(&mut draw);
        if let Some((_, call)) = self.planned.filter(|(at, _)| *at == index) {
            event.operation = call.operation;
            (event.identity, event.user, event.is_denied) = (call.identity, call.user, call.is_denied);
            (event.source, event.time_us) = (Some(IpAddr::V4(call.source)), call.time_us);
            event.role = call.role.unwrap_or(event.role);
            event.salts[0] = call.key.unwrap_or(event.salts[0]);
        }
        event
    }

    fn ordinary(&self, draw: &mut Draw) -> CloudEvent<'a> {
        let identity = match draw.below(100) {
            0..=29 => Identity::IamUser,
            30..=84 => Identity::AssumedRole,
            85 => Identity::Root,
            _ => Identity::Service,
        };
        let late = draw.between(0, self.fleet.config.delay_max_us());
        CloudEvent {
            fleet: self.fleet,
            tenant: &self.fleet.tenants[self.tenant],
            time_us: (self.base_us - late).div_euclid(1_000_000) * 1_000_000,
            identity,
            operation: usize::from(*draw.pick(&self.fleet.weighted_operations)),
            is_denied: draw.one_in(25),
            user: people::person(draw),
            role: draw.pick::<&'static str>(&ROLES),
            region: draw.pick::<&'static str>(&REGIONS),
            source: (identity != Identity::Service).then(|| office(draw)),
            agent: draw.pick::<&'static str>(&AGENTS),
            salts: [draw.bits(), draw.bits()],
        }
    }
}

/// Whence people call the cloud.
fn office(draw: &mut Draw) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1 + draw.below(60) as u8))
}

#[cfg(test)]
mod tests;
