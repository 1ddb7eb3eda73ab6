//! Reads a partition in offset order from any offset, as bytes or as truth.

use dataflow::Reason;

use crate::draw::Draw;
use crate::fleet::apps::app_of;
use crate::fleet::{Fleet, Partition};
use crate::plan::{Planted, What};
use crate::record::cloud::CloudRecord;
use crate::record::flow::FlowLog;
use crate::record::malformed::Fault;
use crate::record::session::{Place, Session};
use crate::record::vpn::{self, VpnLog};
use crate::record::{Record, Wire, line_time};
use crate::render::render;
use crate::truth::{TruthRow, truth_rows};

/// Draws of planted records: one stream a label.
const PLANTED_STREAM: u64 = 1 << 48;

/// A log is with the collector this long after it was sent.
const COLLECTION_US: i64 = 350_000;

/// Of a thousand logs of a firewall, those about its VPN.
const VPN_PER_MILLE: u64 = 20;

/// What a record is, apart from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMeta {
    /// Its offset.
    pub offset: i64,
    /// When it is to be sent: event time since the start of the run, microseconds. Never falls within a partition.
    /// A pace turns it into wall time.
    pub schedule_us: i64,
    /// What it is.
    pub kind: RecordKind,
    /// Events it holds: 0 if it is malformed, more than one in a CloudTrail array.
    pub events: u32,
    /// Event time of its first event as the line tells it, microseconds UTC; none if it is malformed.
    pub time_us: Option<i64>,
}

/// A record's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// Strata Logging Service JSON.
    StrataJson,
    /// PAN-OS CSV in syslog.
    PanosCsv,
    /// PAN-OS CEF in syslog.
    PanosCef,
    /// PAN-OS LEEF in syslog.
    PanosLeef,
    /// FortiOS key-value pairs in syslog.
    FortiGate,
    /// FortiOS CEF in syslog.
    FortiGateCef,
    /// Cisco ASA syslog.
    CiscoAsa,
    /// CloudTrail, one event.
    CloudTrail,
    /// CloudTrail, a `Records` array.
    CloudTrailRecords,
    /// Google Cloud audit log.
    GcpAudit,
    /// Azure activity log, a `records` array.
    AzureActivity,
    /// Microsoft Entra ID sign-in.
    EntraSignIn,
    /// Okta System Log.
    Okta,
    /// A VPC flow log.
    VpcFlow,
    /// None that can be decoded; the dead letter must say why.
    Malformed(Reason),
}

/// Where a cursor stands; the part of it that borrows nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) partition: usize,
    pub(crate) offset: i64,
    /// Planted records below `offset`.
    rank: usize,
}

impl Position {
    pub(crate) fn new(fleet: &Fleet, partition: usize, offset: i64) -> Self {
        let offset = offset.max(0);
        let rank = fleet.partitions[partition].offsets.partition_point(|o| *o < offset);
        Self { partition, offset, rank }
    }

    /// When the next record is to be sent; none at the end.
    pub(crate) fn schedule_us(&self, fleet: &Fleet) -> Option<i64> {
        let partition = &fleet.partitions[self.partition];
        (self.offset < partition.records()).then(|| match self.planted(partition) {
            Some(planted) => planted.schedule_us,
            None => partition.background_us(self.offset - self.rank as i64, fleet.config.span_us),
        })
    }

    /// The planted record that stands here, if one does.
    fn planted<'f>(&self, partition: &'f Partition) -> Option<&'f Planted> {
        (partition.offsets.get(self.rank) == Some(&self.offset)).then(|| &partition.planted[self.rank])
    }

    fn record<'f>(&self, fleet: &'f Fleet, schedule_us: i64) -> (Record<'f>, Option<usize>) {
        let partition = &fleet.partitions[self.partition];
        let sent_us = fleet.config.start_us + schedule_us;
        match self.planted(partition) {
            Some(planted) => (planted_record(fleet, planted, sent_us, self.offset), Some(planted.label)),
            None => {
                let index = self.offset - self.rank as i64;
                let draw = Draw::at(fleet.key, self.partition as u64, index as u64);
                let slot = Slot { partition, sent_us, offset: self.offset, index: index as u64 };
                (background_record(fleet, slot, draw), None)
            }
        }
    }

    fn advance(&mut self, fleet: &Fleet) {
        let was_planted = self.planted(&fleet.partitions[self.partition]).is_some();
        self.rank += usize::from(was_planted);
        self.offset += 1;
    }

    /// Writes the next record over `out` and moves on; none at the end.
    pub(crate) fn next(&mut self, fleet: &Fleet, out: &mut Vec<u8>) -> Option<RecordMeta> {
        let schedule_us = self.schedule_us(fleet)?;
        let (record, _) = self.record(fleet, schedule_us);
        render(fleet, &record, out);
        let meta = meta(&record, self.offset, schedule_us);
        self.advance(fleet);
        Some(meta)
    }
}

/// A partition, read in offset order.
#[derive(Debug, Clone)]
pub struct PartitionCursor<'a> {
    fleet: &'a Fleet,
    position: Position,
}

impl<'a> PartitionCursor<'a> {
    pub(crate) fn new(fleet: &'a Fleet, partition: usize, offset: i64) -> Self {
        Self { fleet, position: Position::new(fleet, partition, offset) }
    }

    /// The offset of the next record.
    pub fn offset(&self) -> i64 {
        self.position.offset
    }

    /// [`RecordMeta::schedule_us`] of the next record, without making it; none at the end.
    pub fn peek_schedule_us(&self) -> Option<i64> {
        self.position.schedule_us(self.fleet)
    }

    /// Writes the next record, without a line end, over what `out` held; none at the end.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<RecordMeta> {
        self.position.next(self.fleet, out)
    }

    /// Appends what must come of the next record, without making its bytes; none at the end.
    pub fn next_truth(&mut self, rows: &mut Vec<TruthRow>) -> Option<RecordMeta> {
        let schedule_us = self.position.schedule_us(self.fleet)?;
        let (record, label) = self.position.record(self.fleet, schedule_us);
        let meta = meta(&record, self.position.offset, schedule_us);
        let partition = &self.fleet.partitions[self.position.partition];
        let tenant = &self.fleet.tenants[partition.tenant].name;
        truth_rows(&record, (&partition.id, tenant, meta.offset), label, rows);
        self.position.advance(self.fleet);
        Some(meta)
    }
}

fn meta(record: &Record<'_>, offset: i64, schedule_us: i64) -> RecordMeta {
    let (kind, events, time_us) = match record {
        Record::Session(wire, s) => (kind(*wire, false), 1, Some(s.time_us)),
        Record::Vpn(wire, log) => (kind(*wire, false), 1, Some(log.time_us)),
        Record::Flow(log) => (RecordKind::VpcFlow, 1, Some(log.end_us)),
        Record::Cloud(c) => (kind(c.wire, c.array.is_some()), u32::from(c.events()), Some(c.event(0).time_us)),
        Record::Malformed(fault, _) => (RecordKind::Malformed(fault.reason()), 0, None),
    };
    RecordMeta { offset, schedule_us, kind, events, time_us }
}

fn kind(wire: Wire, is_array: bool) -> RecordKind {
    match wire {
        Wire::Strata => RecordKind::StrataJson,
        Wire::Csv => RecordKind::PanosCsv,
        Wire::Cef => RecordKind::PanosCef,
        Wire::Leef => RecordKind::PanosLeef,
        Wire::FortiGate => RecordKind::FortiGate,
        Wire::FortiGateCef => RecordKind::FortiGateCef,
        Wire::Asa => RecordKind::CiscoAsa,
        Wire::CloudTrail if is_array => RecordKind::CloudTrailRecords,
        Wire::CloudTrail => RecordKind::CloudTrail,
        Wire::GcpAudit => RecordKind::GcpAudit,
        Wire::AzureActivity => RecordKind::AzureActivity,
        Wire::EntraSignIn => RecordKind::EntraSignIn,
        Wire::Okta => RecordKind::Okta,
    }
}

/// Where a background record stands.
struct Slot<'f> {
    partition: &'f Partition,
    sent_us: i64,
    offset: i64,
    /// Its number among the background records.
    index: u64,
}

impl Slot<'_> {
    /// Its number among the background records of the tenant's partitions, as if they took turns.
    fn turn(&self, fleet: &Fleet) -> u64 {
        self.index * u64::from(fleet.config.partitions_per_tenant) + u64::from(self.partition.number)
    }
}

fn background_record<'f>(fleet: &'f Fleet, slot: Slot<'f>, mut draw: Draw) -> Record<'f> {
    let config = &fleet.config;
    let dice = draw.below(1_000_000);
    let is_malformed = dice < u64::from(config.malformed_per_million);
    if !is_malformed && dice >= 1_000_000 - u64::from(config.flow_logs_per_million) {
        let seen_us = slot.sent_us - draw.between(0, config.delay_max_us());
        return Record::Flow(FlowLog::draw(fleet, slot.partition.tenant, seen_us, &mut draw));
    }
    let cloud = config.mix.cloud_wire(&mut draw).filter(|_| !is_malformed);
    match cloud {
        Some(wire @ (Wire::EntraSignIn | Wire::Okta)) => sign_in(fleet, slot, wire, draw),
        Some(wire) => Record::Cloud(CloudRecord::draw(fleet, slot.partition.tenant, wire, slot.sent_us, &mut draw)),
        None => firewall_record(fleet, slot, is_malformed, draw),
    }
}

/// A sign-in with an identity provider. It has no device; any of the partition's names the tenant.
fn sign_in<'f>(fleet: &'f Fleet, slot: Slot<'f>, wire: Wire, mut draw: Draw) -> Record<'f> {
    let device = *draw.pick(&slot.partition.devices);
    let late = draw.between(0, fleet.config.delay_max_us());
    let time_us = line_time(wire, &fleet.devices[device], slot.sent_us - late);
    let place = Place { device, time_us, received_us: slot.sent_us + COLLECTION_US, sequence: slot.offset as u64 };
    let stride = vpn::sign_in(slot.turn(fleet), &mut draw);
    Record::Vpn(wire, VpnLog::new(fleet, place, stride, &mut draw))
}

/// A log of one of the partition's firewalls.
fn firewall_record<'f>(fleet: &'f Fleet, slot: Slot<'f>, is_malformed: bool, mut draw: Draw) -> Record<'f> {
    let config = &fleet.config;
    let device = *draw.pick(&slot.partition.devices);
    let wire = config.mix.firewall_wire(fleet.devices[device].wire, &mut draw);
    let delay = if draw.one_in(8) { draw.between(0, config.delay_max_us()) } else { 0 };
    let skew = fleet.devices[device].skew_us;
    let time_us = line_time(wire, &fleet.devices[device], slot.sent_us + skew - delay);
    let place = Place { device, time_us, received_us: slot.sent_us + COLLECTION_US, sequence: slot.offset as u64 };
    if !is_malformed && draw.below(1_000) < VPN_PER_MILLE {
        let stride = vpn::ordinary(slot.turn(fleet), &mut draw);
        return Record::Vpn(wire, VpnLog::new(fleet, place, stride, &mut draw));
    }
    let mut session = Session::draw(fleet, place, &mut draw);
    if is_malformed {
        return Record::Malformed(Fault::draw(&mut draw), session);
    }
    session.vary(wire, &mut draw);
    Record::Session(wire, session)
}

fn planted_record<'f>(fleet: &'f Fleet, planted: &Planted, sent_us: i64, offset: i64) -> Record<'f> {
    let mut draw = Draw::at(fleet.key, PLANTED_STREAM + planted.label as u64, planted.salt);
    let received_us = sent_us + COLLECTION_US;
    let place = Place { device: planted.device, time_us: planted.time_us, received_us, sequence: offset as u64 };
    match planted.what {
        What::Call(call) => {
            let tenant = fleet.devices[planted.device].tenant;
            Record::Cloud(CloudRecord::draw(fleet, tenant, planted.wire, sent_us, &mut draw).planted(call))
        }
        What::Stride(stride) => Record::Vpn(planted.wire, VpnLog::new(fleet, place, stride, &mut draw)),
        What::Probe { .. } | What::Upload { .. } | What::Reach { .. } | What::Finding { .. } => {
            Record::Session(planted.wire, planted_session(fleet, planted.what, place, &mut draw))
        }
    }
}

fn planted_session<'f>(fleet: &'f Fleet, what: What, place: Place, draw: &mut Draw) -> Session<'f> {
    let mut session = Session::draw(fleet, place, draw);
    match what {
        What::Probe { src, dst, port } => {
            session.refuse(draw);
            session.aim(src, dst, port);
        }
        What::Upload { src, dst, bytes } => {
            session.aim(src, dst, 443);
            session.sent = bytes;
        }
        What::Reach { src, dst, port } => {
            session.aim(src, dst, port);
            session.app = app_of(port);
        }
        What::Finding { src, dst, signature } => {
            session.aim(src, dst, 443);
            session.find(signature);
        }
        What::Call(_) | What::Stride(_) => {}
    }
    session
}

#[cfg(test)]
mod tests;
