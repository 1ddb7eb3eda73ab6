//! The fleet: tenants, firewalls, partitions, and which record stands at which offset.
//!
//! A partition is its background, spread over the span by its curve, merged by time with what is planted in it. The planted
//! records are few and known from the start, so that the record at any offset is found by one binary search.

pub(crate) mod apps;
pub(crate) mod curve;
pub(crate) mod device;
pub(crate) mod hosts;
pub(crate) mod people;
mod presets;
pub(crate) mod sizes;
pub(crate) mod story;

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::PartitionId;
use uuid::Uuid;

use crate::config::FleetConfig;
use crate::cursor::PartitionCursor;
use crate::draw::{Draw, power};
use crate::error::Error;
use crate::label::{Label, RecordRange};
use crate::plan::{self, Ground, Planted};
use crate::record::cloud;
use crate::render::cloud::CloudForms;
use crate::render::session::SessionForms;
use crate::render::vpn::VpnForms;
use curve::Curve;
use device::Device;
use hosts::Hosts;

/// Streams of draws that belong to no partition.
const DEVICE_STREAM: u64 = 1 << 32;

/// Names UUIDs of topics; a random namespace of our own.
const NAMESPACE: Uuid = Uuid::from_u128(0x5b0c_3a54_9d0e_4f7e_8a61_7e2f_90c4_1d33);

/// A customer.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    /// Windows domain of its people.
    pub(crate) domain: String,
    /// Its account in the cloud.
    pub(crate) account: String,
    pub(crate) bucket: String,
}

impl Tenant {
    pub(crate) fn new(index: u32) -> Self {
        let name = match index {
            0 => "acme".to_owned(),
            1 => "globex".to_owned(),
            2 => "initech".to_owned(),
            _ => format!("tenant-{}", index + 1),
        };
        Self {
            domain: name.to_uppercase(),
            account: format!("{:012}", 100_200_300_400 + u64::from(index) * 7_000_003),
            bucket: format!("{name}-data-lake"),
            name: name.into(),
        }
    }
}

/// One partition: what is planted in it and how much background surrounds that.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) id: PartitionId,
    pub(crate) tenant: usize,
    /// Its number among the tenant's.
    pub(crate) number: u32,
    pub(crate) devices: Vec<usize>,
    /// In the order of their offsets.
    pub(crate) planted: Vec<Planted>,
    /// Their offsets.
    pub(crate) offsets: Vec<i64>,
    /// Background records.
    pub(crate) background: i64,
    /// Index of its curve.
    pub(crate) curve: usize,
}

impl Partition {
    /// Records of the partition.
    pub(crate) fn records(&self) -> i64 {
        self.background + self.planted.len() as i64
    }

    /// The offset of background record `index`.
    pub(crate) fn offset_of(&self, index: i64) -> i64 {
        // Below the planted record of rank r stand r others and its offset less r of the background.
        let (mut low, mut high) = (0, self.offsets.len());
        while low < high {
            let rank = low + (high - low) / 2;
            if self.offsets[rank] - rank as i64 <= index { low = rank + 1 } else { high = rank }
        }
        index + low as i64
    }

    /// Gives each planted record its offset.
    fn merge(&mut self, curve: &Curve) {
        self.planted.sort_by_key(|p| (p.schedule_us, p.label, p.salt));
        let before = |(rank, p): (usize, &Planted)| rank as i64 + curve.before(p.schedule_us, self.background);
        self.offsets = self.planted.iter().enumerate().map(before).collect();
    }
}

/// A fleet of firewalls and cloud accounts with labelled attacks. Made once; reading it changes nothing.
#[derive(Debug)]
pub struct Fleet {
    pub(crate) config: FleetConfig,
    pub(crate) key: u64,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) devices: Vec<Device>,
    pub(crate) partitions: Vec<Partition>,
    indexes: HashMap<PartitionId, usize>,
    pub(crate) curves: Vec<Curve>,
    pub(crate) hosts: Hosts,
    /// Indexes of applications, each as often as its weight.
    pub(crate) weighted_apps: Vec<u8>,
    /// Indexes of the clouds' operations.
    pub(crate) weighted_operations: cloud::Weighted,
    pub(crate) session_forms: SessionForms,
    pub(crate) vpn_forms: VpnForms,
    pub(crate) cloud_forms: CloudForms,
    labels: Vec<Label>,
}

impl Fleet {
    /// Makes the fleet and plans its attacks. Every tenant has a topic, `firewall.<tenant>`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and [`Error::TooFewEvents`]: the configuration describes no fleet.
    pub fn new(config: FleetConfig) -> Result<Self, Error> {
        Self::named(config, None)
    }

    /// The same fleet, byte for byte, with all its partitions in one topic, numbered in the order of [`Fleet::partitions`].
    ///
    /// # Errors
    /// As [`Fleet::new`].
    pub fn in_topic(config: FleetConfig, topic: &str) -> Result<Self, Error> {
        Self::named(config, Some(topic))
    }

    fn named(config: FleetConfig, topic: Option<&str>) -> Result<Self, Error> {
        config.check()?;
        let key = Draw::at(config.seed, 0, 0).bits();
        let tenants: Vec<Tenant> = (0..config.tenants).map(Tenant::new).collect();
        let device = |(i, wire)| Device::new(i, wire, &config, &mut Draw::at(key, DEVICE_STREAM, u64::from(i)));
        let devices: Vec<Device> = (0..).zip(config.mix.device_wires(config.devices)).map(device).collect();
        let mut partitions = partitions(&config, topic, &tenants, &devices);
        let plan = plan::plan(&Ground { config: &config, key, tenants: &tenants, devices: &devices });
        let planted = plan.planted.len() as u64;
        if planted * 2 > config.events {
            return Err(Error::TooFewEvents { events: config.events, planted });
        }
        for planted in plan.planted {
            partitions[devices[planted.device].partition].planted.push(planted);
        }
        let curves = curves(&config, key);
        partitions.iter_mut().for_each(|p| p.curve = p.tenant % curves.len());
        spread(&mut partitions, config.events - planted, &config, &curves);
        let mut fleet = Self {
            weighted_apps: apps::weighted(&config.traffic.apps),
            curves,
            config,
            key,
            tenants,
            devices,
            indexes: partitions.iter().enumerate().map(|(at, p)| (p.id.clone(), at)).collect(),
            partitions,
            hosts: Hosts::new(),
            weighted_operations: cloud::Weighted::new(),
            session_forms: SessionForms::new(),
            vpn_forms: VpnForms::new(),
            cloud_forms: CloudForms::new(),
            labels: plan.labels,
        };
        fleet.complete_labels();
        Ok(fleet)
    }

    /// What the fleet was made from.
    pub fn config(&self) -> &FleetConfig {
        &self.config
    }

    /// Every partition, by tenant and number.
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.iter().map(|p| p.id.clone()).collect()
    }

    /// Whose records a partition holds; none if the partition is not the fleet's.
    pub fn tenant(&self, partition: &PartitionId) -> Option<Arc<str>> {
        let at = self.index_of(partition)?;
        Some(self.tenants[self.partitions[at].tenant].name.clone())
    }

    /// Names of the tenants.
    pub fn tenants(&self) -> Vec<Arc<str>> {
        self.tenants.iter().map(|t| t.name.clone()).collect()
    }

    /// Records of a partition: the offset after its last; none if the partition is not the fleet's.
    pub fn records(&self, partition: &PartitionId) -> Option<i64> {
        Some(self.partitions[self.index_of(partition)?].records())
    }

    /// The attacks and near misses, in the order they were planned.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Reads a partition from an offset on; none if the partition is not the fleet's.
    pub fn cursor(&self, partition: &PartitionId, offset: i64) -> Option<PartitionCursor<'_>> {
        Some(PartitionCursor::new(self, self.index_of(partition)?, offset))
    }

    pub(crate) fn index_of(&self, partition: &PartitionId) -> Option<usize> {
        self.indexes.get(partition).copied()
    }

    /// Fills in what is known only when every record has its offset.
    fn complete_labels(&mut self) {
        let mut labels = std::mem::take(&mut self.labels);
        for partition in &self.partitions {
            for (planted, offset) in partition.planted.iter().zip(&partition.offsets) {
                let label = &mut labels[planted.label];
                label.start_us = label.start_us.min(planted.time_us);
                label.end_us = label.end_us.max(planted.time_us);
                RecordRange::note(&mut label.records, &partition.id, *offset);
            }
        }
        for label in labels.iter_mut().filter(|l| l.rule == plan::LOGGING_STOPPED) {
            self.name_row(label);
        }
        self.labels = labels;
    }

    /// A filter rule's alert is keyed by the row: adds the row's identity to the label's key.
    fn name_row(&self, label: &mut Label) {
        let Some(range) = label.records.first() else { return };
        let Some(mut cursor) = self.cursor(&range.partition, range.first_offset) else { return };
        let mut rows = Vec::new();
        cursor.next_truth(&mut rows);
        let Some(row) = rows.iter().find(|r| r.attack.is_some()) else { return };
        for (name, value) in [
            ("_topic", row.partition.topic.to_string()),
            ("_incarnation", row.partition.incarnation.to_string()),
            ("_partition_id", row.partition.partition.to_string()),
            ("_offset", row.offset.to_string()),
            ("_record", row.record.to_string()),
        ] {
            label.key.insert(name.to_owned(), value);
        }
    }
}

fn partitions(config: &FleetConfig, topic: Option<&str>, tenants: &[Tenant], devices: &[Device]) -> Vec<Partition> {
    let incarnation: Arc<str> = Uuid::new_v5(&NAMESPACE, config.canonical().as_bytes()).to_string().into();
    let mut logging = vec![Vec::new(); config.partitions() as usize];
    devices.iter().enumerate().for_each(|(at, device)| logging[device.partition].push(at));
    let partition = |index: u32| {
        let tenant = (index / config.partitions_per_tenant) as usize;
        let number = index % config.partitions_per_tenant;
        let id = match topic {
            Some(topic) => PartitionId::new(topic, incarnation.clone(), index as i32),
            None => PartitionId::new(format!("firewall.{}", tenants[tenant].name), incarnation.clone(), number as i32),
        };
        Partition {
            id,
            tenant,
            number,
            devices: logging[index as usize].clone(),
            planted: Vec::new(),
            offsets: Vec::new(),
            background: 0,
            curve: 0,
        }
    };
    (0..config.partitions()).map(partition).collect()
}

/// Curves of a fleet whose rate is not even: bursts and outages come to few tenants at once.
const CURVES: u64 = 12;

fn curves(config: &FleetConfig, key: u64) -> Vec<Curve> {
    let count = if config.rate.is_even() { 1 } else { CURVES };
    (0..count).map(|number| Curve::new(config, key, number)).collect()
}

/// Divides the background among the partitions and gives every planted record its offset.
fn spread(partitions: &mut [Partition], background: u64, config: &FleetConfig, curves: &[Curve]) {
    let shares = shares(background, partitions.len() as u64, config);
    for (partition, share) in partitions.iter_mut().zip(shares) {
        partition.background = share as i64;
        partition.merge(&curves[partition.curve]);
    }
}

/// Background records of each partition: as many each, or by the tenants' ranks.
fn shares(background: u64, partitions: u64, config: &FleetConfig) -> Vec<u64> {
    if config.tenant_zipf <= 0.0 {
        return (0..partitions).map(|p| background / partitions + u64::from(p < background % partitions)).collect();
    }
    let weight =
        |p: u64| (1e12 / power((p / u64::from(config.partitions_per_tenant) + 1) as f64, config.tenant_zipf)) as u128;
    let total: u128 = (0..partitions).map(weight).sum();
    let (mut passed, mut given) = (0u128, 0u64);
    let mut share = |p: u64| {
        passed += weight(p);
        let upto = (u128::from(background) * passed / total) as u64;
        upto - std::mem::replace(&mut given, upto)
    };
    (0..partitions).map(&mut share).collect()
}

#[cfg(test)]
pub(crate) mod tests;
