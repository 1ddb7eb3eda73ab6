//! Calls of a cloud's API, as its audit log records them: CloudTrail, Cloud Audit Logs, the Azure activity log.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use crate::draw::Draw;
use crate::fleet::people::UserName;
use crate::fleet::{Fleet, Tenant, people};
use crate::record::Wire;

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

/// An operation of a service. `request` and `response` are templates; the response of what is no AWS call is what its log
/// says of the resource.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    pub(crate) is_read: bool,
    pub(crate) request: &'static str,
    pub(crate) response: &'static str,
    weight: usize,
}

/// AWS's operations, from `templates/cloudtrail_operations.txt`.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> =
    LazyLock::new(|| include_str!("../render/templates/cloudtrail_operations.txt").lines().map(operation).collect());

static GCP_OPERATIONS: LazyLock<Vec<Operation>> =
    LazyLock::new(|| include_str!("../render/templates/gcp_operations.txt").lines().map(operation).collect());

static AZURE_OPERATIONS: LazyLock<Vec<Operation>> =
    LazyLock::new(|| include_str!("../render/templates/azure_operations.txt").lines().map(operation).collect());

/// The operations of the cloud whose log it is.
pub(crate) fn operations(wire: Wire) -> &'static [Operation] {
    match wire {
        Wire::GcpAudit => &GCP_OPERATIONS,
        Wire::AzureActivity => &AZURE_OPERATIONS,
        _ => &OPERATIONS,
    }
}

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

/// Indexes into the operations of each cloud, each as often as its weight. What only attacks and near misses do has none.
#[derive(Debug)]
pub(crate) struct Weighted {
    aws: Vec<u8>,
    gcp: Vec<u8>,
    azure: Vec<u8>,
}

impl Weighted {
    pub(crate) fn new() -> Self {
        let [aws, gcp, azure] = [Wire::CloudTrail, Wire::GcpAudit, Wire::AzureActivity].map(weighted);
        Self { aws, gcp, azure }
    }

    pub(crate) fn of(&self, wire: Wire) -> &[u8] {
        match wire {
            Wire::GcpAudit => &self.gcp,
            Wire::AzureActivity => &self.azure,
            _ => &self.aws,
        }
    }
}

pub(crate) fn weighted(wire: Wire) -> Vec<u8> {
    (0u8..).zip(operations(wire)).flat_map(|(i, o)| std::iter::repeat_n(i, o.weight)).collect()
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

/// A record: one event, or a `Records` array; of Azure always an array.
#[derive(Debug)]
pub(crate) struct CloudRecord<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) wire: Wire,
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
    pub(crate) wire: Wire,
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
const GCP_REGIONS: [&str; 3] = ["europe-west1", "us-central1", "asia-southeast1"];
const AZURE_REGIONS: [&str; 3] = ["westeurope", "eastus2", "southeastasia"];
const GCP_AGENTS: [&str; 3] =
    ["google-cloud-sdk gcloud/503.0.0", "Terraform/1.9.8 terraform-provider-google/6.12.0", "gcs-java/2.44"];

/// Names of regions as each cloud has them.
fn regions(wire: Wire) -> &'static [&'static str] {
    match wire {
        Wire::GcpAudit => &GCP_REGIONS,
        Wire::AzureActivity => &AZURE_REGIONS,
        _ => &REGIONS,
    }
}

const AGENTS: [&str; 4] = [
    "aws-cli/2.22.7 md/awscrt#0.23.4 ua/2.0 os/linux#6.8 md/arch#x86_64 lang/python#3.12 cfg/retry-mode#standard",
    "Boto3/1.35.80 md/Botocore#1.35.80 ua/2.0 os/linux#6.1 md/arch#aarch64 lang/python#3.11",
    "aws-sdk-go-v2/1.32.6 os/linux lang/go#1.23 md/GOOS#linux md/GOARCH#amd64 api/ec2#1.197.0",
    "AWS Internal",
];

impl<'a> CloudRecord<'a> {
    /// A record of the background: one in eight of AWS's is an array of two to five events.
    pub(crate) fn draw(fleet: &'a Fleet, tenant: usize, wire: Wire, base_us: i64, draw: &mut Draw) -> Self {
        let array = match wire {
            Wire::GcpAudit => None,
            Wire::AzureActivity => Some(1 + draw.below(4) as u8),
            _ => draw.one_in(8).then(|| 2 + draw.below(4) as u8),
        };
        Self { fleet, wire, tenant, base_us, array, planned: None, draw: *draw }
    }

    /// A record that holds a planted call, one time in three amid others.
    pub(crate) fn planted(mut self, call: PlannedCall) -> Self {
        let mut draw = self.draw;
        let is_amid_others = draw.one_in(3);
        self.array = match self.wire {
            Wire::GcpAudit => None,
            Wire::AzureActivity => Some(if is_amid_others { 3 } else { 1 }),
            _ => is_amid_others.then_some(3),
        };
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

    /// Nobody changes anything as AWS's root.
    fn ordinary_operation(&self, identity: Identity, draw: &mut Draw) -> usize {
        let operation = usize::from(*draw.pick(self.fleet.weighted_operations.of(self.wire)));
        let is_roots = self.wire == Wire::CloudTrail && identity == Identity::Root;
        if is_roots && !OPERATIONS[operation].is_read { 0 } else { operation }
    }

    fn ordinary(&self, draw: &mut Draw) -> CloudEvent<'a> {
        let identity = match draw.below(100) {
            0..=29 => Identity::IamUser,
            30..=84 => Identity::AssumedRole,
            85 => Identity::Root,
            _ => Identity::Service,
        };
        let late = draw.between(0, self.fleet.config.delay_max_us());
        let unit = if self.wire == Wire::CloudTrail { 1_000_000 } else { 1 };
        CloudEvent {
            fleet: self.fleet,
            wire: self.wire,
            tenant: &self.fleet.tenants[self.tenant],
            time_us: (self.base_us - late).div_euclid(unit) * unit,
            identity,
            operation: self.ordinary_operation(identity, draw),
            is_denied: draw.one_in(25),
            user: people::person(draw),
            role: draw.pick::<&'static str>(&ROLES),
            region: draw.pick::<&'static str>(regions(self.wire)),
            source: (identity != Identity::Service).then(|| office(draw)),
            agent: draw.pick::<&'static str>(if self.wire == Wire::GcpAudit { &GCP_AGENTS } else { &AGENTS }),
            salts: [draw.bits(), draw.bits()],
        }
    }
}

impl CloudEvent<'_> {
    /// What is called.
    pub(crate) fn operation(&self) -> &'static Operation {
        &operations(self.wire)[self.operation]
    }

    /// The person who calls, where the log names people by their addresses; none if a service does, or on AWS.
    pub(crate) fn person(&self) -> Option<UserName> {
        let is_person = self.wire != Wire::CloudTrail && self.identity != Identity::Service;
        is_person.then(|| UserName::from(self.user).address())
    }
}

/// Whence people call the cloud.
fn office(draw: &mut Draw) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1 + draw.below(60) as u8))
}

#[cfg(test)]
mod tests;
