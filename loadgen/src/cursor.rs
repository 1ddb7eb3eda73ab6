//! Reads a partition in offset order from any offset, as bytes or as truth.

use dataflow::Reason;

use crate::draw::Draw;
use crate::fleet::apps::{app_named, app_of};
use crate::fleet::{Fleet, Partition, story};
use crate::plan::{Planted, What};
use crate::record::cloud::CloudRecord;
use crate::record::flow::FlowLog;
use crate::record::malformed::Fault;
use crate::record::session::{Kind, Place, Session};
use crate::record::vpn::{self, VpnLog};
use crate::record::{Record, Wire, line_time};
use crate::render::render;
use crate::truth::{TruthRow, truth_rows};

/// Draws of planted records: one stream a label.
const PLANTED_STREAM: u64 = 1 << 48;
/// Draws of what is sent twice: one stream a partition.
const TWICE_STREAM: u64 = 1 << 42;

/// A record is sent again at most this many background records later.
const TWICE_WITHIN: u64 = 64;

/// Doublings of the least lateness.
const LATE_DOUBLINGS: u32 = 7;

/// While a device sends what it kept, so many of so many records are its own.
const CATCH_UP_SHARE: (u64, u64) = (3, 4);

/// A log is with the collector this long after it was sent.
pub(crate) const COLLECTION_US: i64 = 350_000;

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
            None => fleet.curves[partition.curve].at(self.offset - self.rank as i64, partition.background),
        })
    }

    /// The planted record that stands here, if one does.
    fn planted<'f>(&self, partition: &'f Partition) -> Option<&'f Planted> {
        (partition.offsets.get(self.rank) == Some(&self.offset)).then(|| &partition.planted[self.rank])
    }

    /// The record that stands here, and what is known of it.
    pub(crate) fn record<'f>(&self, fleet: &'f Fleet, schedule_us: i64) -> (Record<'f>, Known) {
        let partition = &fleet.partitions[self.partition];
        let sent_us = fleet.config.start_us + schedule_us;
        if let Some(planted) = self.planted(partition) {
            let known = Known { label: Some(planted.label), duplicate_of: None };
            return (planted_record(fleet, planted, sent_us, self.offset), known);
        }
        let index = (self.offset - self.rank as i64).unsigned_abs();
        let lane = self.partition as u64;
        let mut slot = Slot { partition, lane, sent_us, offset: self.offset, index };
        let first = first_sent(fleet, lane, index);
        let is_again = first != index;
        if is_again {
            let curve = &fleet.curves[partition.curve];
            slot.sent_us = fleet.config.start_us + curve.at(first as i64, partition.background);
            (slot.index, slot.offset) = (first, partition.offset_of(first as i64));
        }
        let duplicate_of = is_again.then_some(slot.offset);
        let draw = Draw::at(fleet.key, lane, slot.index);
        (background_record(fleet, slot, draw), Known { label: None, duplicate_of })
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

/// What is known of a record beside what it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Index of the label it belongs to.
    pub(crate) label: Option<usize>,
    /// Offset of the record that it repeats.
    pub(crate) duplicate_of: Option<i64>,
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

    /// Passes over the next record without making it; at the end, nothing.
    pub fn skip(&mut self) {
        if self.peek_schedule_us().is_some() {
            self.position.advance(self.fleet);
        }
    }

    /// Appends what must come of the next record, without making its bytes; none at the end.
    pub fn next_truth(&mut self, rows: &mut Vec<TruthRow>) -> Option<RecordMeta> {
        let schedule_us = self.position.schedule_us(self.fleet)?;
        let (record, known) = self.position.record(self.fleet, schedule_us);
        let meta = meta(&record, self.position.offset, schedule_us);
        let partition = &self.fleet.partitions[self.position.partition];
        let tenant = &self.fleet.tenants[partition.tenant].name;
        let from = rows.len();
        truth_rows(&record, (&partition.id, tenant, meta.offset), known.label, rows);
        rows[from..].iter_mut().for_each(|row| row.duplicate_of = known.duplicate_of);
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
pub(crate) struct Slot<'f> {
    pub(crate) partition: &'f Partition,
    /// The partition's number in the fleet: the stream of its draws.
    pub(crate) lane: u64,
    pub(crate) sent_us: i64,
    pub(crate) offset: i64,
    /// Its number among the background records.
    pub(crate) index: u64,
}

/// The background record that stands at `index`: an earlier one, if it is sent once more there.
fn first_sent(fleet: &Fleet, lane: u64, mut index: u64) -> u64 {
    let share = u64::from(fleet.config.duplicates_per_million);
    if share == 0 {
        return index;
    }
    loop {
        let mut draw = Draw::at(fleet.key, TWICE_STREAM + lane, index);
        let back = 1 + draw.below(TWICE_WITHIN);
        if draw.below(1_000_000) >= share || back > index {
            return index;
        }
        index -= back;
    }
}

impl Slot<'_> {
    /// Its number among the background records of the tenant's partitions, as if they took turns.
    fn turn(&self, fleet: &Fleet) -> u64 {
        self.index * u64::from(fleet.config.partitions_per_tenant) + u64::from(self.partition.number)
    }
}

fn background_record<'f>(fleet: &'f Fleet, slot: Slot<'f>, mut draw: Draw) -> Record<'f> {
    let config = &fleet.config;
    let story = if config.stories_per_mille > 0 { story::record(fleet, &slot) } else { None };
    if let Some(record) = story {
        return record;
    }
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
    let (device, made_us) = maker(fleet, &slot, &mut draw);
    let wire = config.mix.firewall_wire(fleet.devices[device].wire, &mut draw);
    let time_us = line_time(wire, &fleet.devices[device], made_us + fleet.devices[device].skew_us);
    let place = Place { device, time_us, received_us: slot.sent_us + COLLECTION_US, sequence: slot.offset as u64 };
    if !is_malformed && draw.below(1_000) < u64::from(config.vpn_per_mille) {
        let stride = vpn::ordinary(slot.turn(fleet), &mut draw);
        return Record::Vpn(wire, VpnLog::new(fleet, place, stride, &mut draw));
    }
    let mut session = Session::draw(fleet, place, &mut draw);
    if is_malformed {
        return Record::Malformed(Fault::draw(&mut draw), session);
    }
    session.vary(wire, &mut draw);
    if config.stories_per_mille > 0 {
        session.log_end_only();
    }
    if !config.traffic.is_usual() {
        session = learned(fleet, session, place, &mut draw);
    }
    session.shorten_question();
    Record::Session(wire, session)
}

/// The device that made a record, and when by a right clock: mostly when it is sent, or somewhat before; longer before, if
/// it is late on purpose or the device could not be reached.
fn maker(fleet: &Fleet, slot: &Slot<'_>, draw: &mut Draw) -> (usize, i64) {
    let (config, devices) = (&fleet.config, &slot.partition.devices);
    let device = *draw.pick(devices);
    let delay = if draw.one_in(8) { draw.between(0, config.delay_max_us()) } else { 0 };
    let late = u64::from(config.late_per_million);
    if late > 0 && draw.below(1_000_000) < late {
        let least = (config.late_max_us >> (LATE_DOUBLINGS + 1)).max(1).unsigned_abs();
        return (device, slot.sent_us - draw.heavy(least, LATE_DOUBLINGS) as i64);
    }
    let since_us = slot.sent_us - config.start_us;
    let Some(storm) = fleet.curves[slot.partition.curve].storm(since_us) else { return (device, slot.sent_us - delay) };
    let lost = storm.device(devices.len());
    if since_us < storm.back_us {
        // Somebody else speaks, if there is somebody.
        let other = devices[(lost + 1 + draw.index(devices.len().max(2) - 1)) % devices.len()];
        return (if device == devices[lost] { other } else { device }, slot.sent_us - delay);
    }
    match draw.below(CATCH_UP_SHARE.1) < CATCH_UP_SHARE.0 {
        true => (devices[lost], config.start_us + storm.made_us(since_us)),
        false => (device, slot.sent_us - delay),
    }
}

/// A session of the size, and with the chance of a refusal, that were learned.
fn learned<'f>(fleet: &'f Fleet, mut session: Session<'f>, place: Place, draw: &mut Draw) -> Session<'f> {
    let traffic = &fleet.config.traffic;
    if let (Kind::Traffic(_), Some(is_refused)) = (session.kind, traffic.refuses(draw)) {
        match (is_refused, session.is_allowed()) {
            (true, true) => session.refuse(draw),
            (false, false) => session = Session::draw(fleet, place, draw),
            _ => {}
        }
    }
    traffic.resize(&mut session, draw);
    session
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
        What::Probe { .. } | What::Upload { .. } | What::Reach { .. } | What::Query { .. } | What::Finding { .. } => {
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
        What::Query { src, dst, bytes } => {
            session.aim(src, dst, 53);
            session.app = app_named("dns-base");
            session.sent = bytes;
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
