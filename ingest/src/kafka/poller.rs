//! The poll thread: the only one that talks to the consumer. Messages become chunks, one open a partition; what is to be
//! said waits in a backlog for room in the channel, and while it waits for long, the partitions are paused.

mod stops;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow::{ChunkBuffers, ChunkBuilder, Lag, PartitionId, Positions, SourceEvent};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender};

pub(super) use stops::within;
use stops::{is_deletion, is_outside_log};

use super::brokers::TopicFacts;
use super::error::is_final;
use super::heard::{Heard, Trouble};
use super::rebalance::{Change, Group, LONG_PATIENCE, Rows};
use super::tenant::Tenants;
use super::{KafkaConfig, KafkaError, StartPositions};

/// What the source asks for.
#[derive(Debug)]
pub(super) enum Command {
    Seek(Positions),
    Acknowledge(Positions),
}

/// Longest wait for a message. Open chunks leave after it, and at this age.
const LINGER: Duration = Duration::from_millis(20);

/// Messages between two looks at commands and clocks.
const BURST: usize = 1024;

/// A full channel is waited for so long before the partitions are paused and polling goes on without them.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the group is told positions, and asked for the ends of partitions that others read.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// A partition that is ours.
#[derive(Debug)]
struct Lane {
    /// The next offset to deliver; what a racing fetch brings from below is dropped.
    position: i64,
    /// Where a bounded run ends.
    end: Option<i64>,
    /// Up to where the ledger is known to be: what the group is told.
    durable: i64,
    open: Option<ChunkBuilder>,
    /// Of the last record that was delivered.
    received_us: Option<i64>,
    quiet: Quiet,
}

impl Lane {
    fn at(position: i64, end: Option<i64>) -> Self {
        Self { position, end, durable: position, open: None, received_us: None, quiet: Quiet::from_now() }
    }

    /// The open chunk, which is to leave.
    fn close(&mut self) -> Option<SourceEvent> {
        let open = self.open.take()?;
        self.quiet.since = now();
        Some(SourceEvent::Chunk(open.finish()))
    }
}

/// What is known of a partition of which nothing comes.
#[derive(Debug)]
struct Quiet {
    since: Instant,
    /// The client says that it has delivered everything.
    at_end: bool,
    /// The log's end, as the brokers had it when they were last asked.
    log_end: Option<i64>,
}

impl Quiet {
    fn from_now() -> Self {
        Self { since: now(), at_end: false, log_end: None }
    }

    /// Whether nothing waits for us. Offsets beyond our position may be markers of transactions, which are never delivered: then
    /// the log does not grow, and the client has come to its end.
    fn note(&mut self, position: i64, log_end: i64) -> bool {
        let before = self.log_end.replace(log_end);
        log_end <= position || (self.at_end && before == Some(log_end))
    }
}

/// Why the loop ends.
enum Halt {
    /// Nobody listens any more.
    Deaf,
    Failed(KafkaError),
}

impl From<KafkaError> for Halt {
    fn from(error: KafkaError) -> Self {
        Self::Failed(error)
    }
}

/// See the module's front.
pub(super) struct Poller {
    config: KafkaConfig,
    consumer: Arc<BaseConsumer<Group>>,
    rows: Rows,
    /// Those of the topic that were announced.
    known: BTreeSet<i32>,
    /// The topic's partitions as the brokers last told of them, still to be held against what is known.
    told: Vec<i32>,
    tenants: Tenants,
    lanes: BTreeMap<i32, Lane>,
    /// Ours, but not read until somebody acts.
    stopped: BTreeSet<i32>,
    /// Ours, but not read until brokers say where their logs end.
    waiting: BTreeSet<i32>,
    /// The last of them that was asked for.
    asked: i32,
    /// A position may be outside its log, and brokers did not say yet.
    is_unsure: bool,
    /// The topic that we read is no more; what has its name now is not asked for ends.
    is_over: bool,
    /// Nothing has its name.
    is_deleted: bool,
    buffers: ChunkBuffers,
    backlog: VecDeque<SourceEvent>,
    events: Sender<Result<SourceEvent, KafkaError>>,
    commands: Receiver<Command>,
    runtime: Handle,
    sent_at: Instant,
    reported_at: Instant,
    is_paused: bool,
    has_ended: bool,
}

impl Poller {
    /// Connects, and joins the group or takes every partition. To be called within a runtime.
    pub(super) fn connect(
        config: KafkaConfig,
        facts: &TopicFacts,
        starts: Arc<dyn StartPositions>,
        events: Sender<Result<SourceEvent, KafkaError>>,
        commands: Receiver<Command>,
    ) -> Result<Self, KafkaError> {
        let topic = config.topic.clone();
        let tenants = Tenants::of(&config.tenant, &topic).ok_or_else(|| KafkaError::Template(topic.clone()))?;
        let rows = Rows { name: config.name.as_str().into(), incarnation: facts.id.as_str().into() };
        let group = Group::new(&config, rows.clone(), starts);
        let mut client = config.client();
        Heard::listen(&mut client);
        if client.get("statistics.interval.ms").is_none() {
            client.set("statistics.interval.ms", REPORT_EVERY.as_millis().to_string());
        }
        let made = client.create_with_context(group);
        let consumer: BaseConsumer<Group> = made.map_err(KafkaError::client("make a consumer"))?;
        let mut poller = Self {
            config,
            consumer: Arc::new(consumer),
            rows,
            known: facts.partitions.iter().copied().collect(),
            told: Vec::new(),
            tenants,
            lanes: BTreeMap::new(),
            stopped: BTreeSet::new(),
            waiting: BTreeSet::new(),
            asked: -1,
            is_unsure: false,
            is_over: false,
            is_deleted: false,
            buffers: ChunkBuffers::default(),
            backlog: VecDeque::new(),
            events,
            commands,
            runtime: Handle::current(),
            sent_at: now(),
            reported_at: now(),
            is_paused: false,
            has_ended: false,
        };
        match poller.config.follow {
            true => poller.consumer.subscribe(&[&topic]).map_err(KafkaError::client("join the group"))?,
            false => poller.take_all()?,
        }
        Ok(poller)
    }

    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.known.iter().map(|partition| self.id(*partition)).collect()
    }

    /// Every partition, from the ledger's position to its present end, without a group.
    fn take_all(&mut self) -> Result<(), KafkaError> {
        let all: Vec<i32> = self.known.iter().copied().collect();
        let mut list = TopicPartitionList::new();
        for (partition, position) in self.consumer.context().positions(&self.consumer, &all, LONG_PATIENCE)? {
            let position = position?;
            self.name(&mut list, partition, position)?;
            let end = Some(self.log_ends(partition)?.1);
            self.lanes.insert(partition, Lane::at(position, end));
            self.backlog.push_back(SourceEvent::Assigned(self.id(partition), position));
        }
        self.consumer.assign(&list).map_err(KafkaError::client("take every partition"))
    }

    fn name(&self, list: &mut TopicPartitionList, partition: i32, position: i64) -> Result<(), KafkaError> {
        let added = list.add_partition_offset(&self.config.topic, partition, Offset::Offset(position));
        added.map_err(KafkaError::client("name a position"))
    }

    fn log_ends(&self, partition: i32) -> Result<(i64, i64), KafkaError> {
        let asked = self.consumer.fetch_watermarks(&self.config.topic, partition, self.config.timeout);
        asked.map_err(KafkaError::client(format!("partition {partition}: ask for the log's ends")))
    }

    fn id(&self, partition: i32) -> PartitionId {
        self.rows.id(partition)
    }

    /// Polls until the source is dropped, or what cannot be mended.
    pub(super) fn run(mut self) {
        if let Err(Halt::Failed(error)) = self.poll_on() {
            // The reader gets it after what was delivered before.
            let _ = self.events.blocking_send(Err(error));
        }
        self.consumer.context().leave();
    }

    fn poll_on(&mut self) -> Result<(), Halt> {
        while self.obey()? {
            self.drain()?;
            self.pause(!self.backlog.is_empty())?;
            self.report()?;
            self.poll_burst()?;
            self.announce();
            self.end_if_over();
        }
        Ok(())
    }

    /// Carries out what the source asked for. False when it is to end.
    fn obey(&mut self) -> Result<bool, Halt> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Seek(positions)) => self.seek(&positions)?,
                Ok(Command::Acknowledge(positions)) => self.acknowledge(&positions),
                Err(TryRecvError::Disconnected) => return Ok(false),
                Err(TryRecvError::Empty) => return Ok(true),
            }
        }
    }

    fn seek(&mut self, positions: &Positions) -> Result<(), KafkaError> {
        for (id, position) in positions {
            let Some(lane) = self.lanes.get_mut(&id.partition) else { continue };
            // Who was first has it durable, and may have died before it could say so.
            (lane.position, lane.durable, lane.open) = (*position, lane.durable.max(*position), None);
            lane.quiet = Quiet::from_now();
            self.seek_client(id.partition, *position)?;
            self.backlog.push_back(SourceEvent::Assigned(id.clone(), *position));
        }
        Ok(())
    }

    fn seek_client(&self, partition: i32, position: i64) -> Result<(), KafkaError> {
        let at = Offset::Offset(position);
        let sought = self.consumer.seek(&self.config.topic, partition, at, self.config.timeout);
        sought.map_err(KafkaError::client(format!("partition {partition}: seek {position}")))
    }

    fn acknowledge(&mut self, positions: &Positions) {
        for (id, position) in positions {
            if let Some(lane) = self.lanes.get_mut(&id.partition) {
                lane.durable = lane.durable.max(*position);
            }
        }
    }

    /// A hint for whoever looks at the group's lag. Said again and again, of all that is ours: one that fails, as during a
    /// rebalance, changes nothing, and whoever had a partition before may have died before it could say so.
    fn hint(&self) {
        let mut list = TopicPartitionList::new();
        for (partition, lane) in &self.lanes {
            let _ = self.name(&mut list, *partition, lane.durable);
        }
        if list.count() > 0 {
            let _ = self.consumer.commit(&list, CommitMode::Async);
        }
    }

    /// Sends what waits: with patience, but not for so long that the group would miss us.
    fn drain(&mut self) -> Result<(), Halt> {
        let patience = if self.is_paused { Duration::ZERO } else { PATIENCE };
        while !self.backlog.is_empty() {
            let room = self.runtime.block_on(async { tokio::time::timeout(patience, self.events.reserve()).await });
            match (room, self.backlog.pop_front()) {
                (Ok(Ok(room)), Some(event)) => room.send(Ok(event)),
                (Ok(Err(_)), _) => return Err(Halt::Deaf),
                (Err(_), event) => {
                    event.into_iter().for_each(|e| self.backlog.push_front(e));
                    break;
                }
                (_, None) => break,
            }
        }
        Ok(())
    }

    fn pause(&mut self, wanted: bool) -> Result<(), KafkaError> {
        if !wanted && !self.is_paused {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for partition in self.lanes.keys() {
            list.add_partition(&self.config.topic, *partition);
        }
        self.is_paused = wanted;
        match wanted {
            true => self.consumer.pause(&list).map_err(KafkaError::client("pause partitions")),
            false => self.consumer.resume(&list).map_err(KafkaError::client("resume partitions")),
        }
    }

    /// Tells the group how far we are, and asks for new partitions, and for the ends of those that others read, so that a silent
    /// one can be told from one whose reader is slow.
    fn report(&mut self) -> Result<(), KafkaError> {
        if !self.config.follow || now() - self.reported_at < REPORT_EVERY {
            return Ok(());
        }
        self.reported_at = now();
        self.hint();
        self.tell_lag();
        if self.is_deleted {
            self.backlog.extend(self.partitions().into_iter().map(SourceEvent::Gone));
        }
        if self.is_over {
            return Ok(());
        }
        self.ask_again()?;
        self.tell_silence();
        self.ask_partitions();
        let is_ours = |p: &i32| self.lanes.contains_key(p) || self.stopped.contains(p) || self.waiting.contains(p);
        let of_others = |p: &i32| !is_ours(p);
        for partition in self.known.iter().copied().filter(of_others) {
            // A broker that does not answer now is asked again; the partition is not silent until one did.
            if let Ok((_, high)) = self.log_ends(partition) {
                self.backlog.push_back(SourceEvent::LogEnd(self.id(partition), high));
            }
        }
        Ok(())
    }

    /// Tells how much waits in partitions that are ours.
    fn tell_lag(&mut self) {
        for (partition, log_end) in self.consumer.context().take_log_ends() {
            if let Some(lane) = self.lanes.get(&partition) {
                let lag = Lag { offsets: (log_end - lane.position).max(0), received_us: lane.received_us };
                self.backlog.push_back(SourceEvent::Lag(self.id(partition), lag));
            }
        }
    }

    /// Tells of partitions that nothing comes of and nothing waits in. What was delivered before is told before.
    fn tell_silence(&mut self) {
        let at = now();
        let is_quiet = |lane: &Lane| lane.open.is_none() && at - lane.quiet.since >= REPORT_EVERY;
        let quiet: Vec<i32> = self.lanes.iter().filter(|(_, lane)| is_quiet(lane)).map(|(p, _)| *p).collect();
        for partition in quiet {
            let at = now();
            let Ok((_, log_end)) = self.log_ends(partition) else { continue };
            let id = self.id(partition);
            let Some(lane) = self.lanes.get_mut(&partition) else { continue };
            if lane.quiet.note(lane.position, log_end) {
                self.backlog.push_back(SourceEvent::Silent(id, at - lane.quiet.since));
            }
        }
    }

    /// What is told waits for the next poll, which brings the news first if they are of another topic with the name.
    fn ask_partitions(&mut self) {
        if let Ok(metadata) = self.consumer.fetch_metadata(Some(&self.config.topic), self.config.timeout) {
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            self.told = partitions.map(|partition| partition.id()).collect();
        }
    }

    /// Says which partitions are new.
    fn announce(&mut self) {
        let told = std::mem::take(&mut self.told);
        if !self.is_over {
            told.into_iter().for_each(|partition| self.add(partition));
        }
    }

    fn add(&mut self, partition: i32) {
        if self.known.insert(partition) {
            self.backlog.push_back(SourceEvent::Added(self.id(partition)));
        }
    }

    fn poll_burst(&mut self) -> Result<(), Halt> {
        let consumer = self.consumer.clone();
        for _ in 0..BURST {
            // To wait costs a look at the clock, also where there is nothing to wait for.
            let polled = consumer.poll(Duration::ZERO).or_else(|| consumer.poll(LINGER));
            self.note_changes()?;
            match polled {
                Some(Ok(message)) => self.take(&message)?,
                Some(Err(ClientError::PartitionEOF(partition))) => self.caught_up(partition),
                Some(Err(error)) if is_outside_log(&error) => self.hold_against_logs()?,
                Some(Err(error)) => self.trouble(error)?,
                None => break,
            }
        }
        if now() - self.sent_at >= LINGER {
            self.sent_at = now();
            let open: Vec<i32> = self.lanes.keys().copied().collect();
            open.into_iter().for_each(|partition| self.close(partition));
        }
        Ok(())
    }

    /// What the group decided during the last poll.
    fn note_changes(&mut self) -> Result<(), KafkaError> {
        for change in self.consumer.context().take() {
            match change {
                Change::Assigned(partition, position) => {
                    self.return_if_deleted();
                    self.add(partition);
                    self.forget_stops(partition);
                    self.lanes.insert(partition, Lane::at(position, None));
                    self.backlog.push_back(SourceEvent::Assigned(self.id(partition), position));
                }
                // What was read of it is kept: nobody can read it again.
                Change::Revoked(_) if self.is_deleted => {}
                Change::Revoked(partition) => {
                    self.lanes.remove(&partition);
                    self.forget_stops(partition);
                    self.backlog.push_back(SourceEvent::Revoked(self.id(partition)));
                }
                Change::Stopped(partition, why) => {
                    self.add(partition);
                    self.stop(partition, why)?;
                }
                Change::Waiting(partition, why) => {
                    self.add(partition);
                    self.wait_for(partition, &why);
                }
                Change::StoppedAll(why) => self.stop_all(why)?,
                Change::Failed(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn trouble(&mut self, error: ClientError) -> Result<(), KafkaError> {
        if is_deletion(&error) {
            return self.stop_deleted();
        }
        if !is_final(&error) {
            return Ok(());
        }
        Err(match self.consumer.context().trouble().filter(Trouble::is_refusal) {
            Some(trouble) => KafkaError::brokers(&self.config.brokers, Some(trouble), error),
            None => KafkaError::client("read")(error),
        })
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), KafkaError> {
        let (partition, offset) = (message.partition(), message.offset());
        let Self { config, rows, tenants, lanes, buffers, backlog, .. } = self;
        let Some(lane) = lanes.get_mut(&partition) else { return Ok(()) };
        if offset < lane.position || lane.end.is_some_and(|end| offset >= end) {
            return Ok(());
        }
        let received_ms = message.timestamp().to_millis().filter(|ms| *ms >= 0);
        let received_ms = received_ms.ok_or(KafkaError::NoTimestamp { partition, offset })?;
        let tenant = tenants.name(message);
        if lane.open.as_ref().is_some_and(|open| open.tenant() != tenant || open.bytes() >= config.chunk_bytes) {
            backlog.extend(lane.close());
        }
        let new = || ChunkBuilder::reusing(rows.id(partition), tenant.clone(), lane.position, buffers);
        let open = lane.open.get_or_insert_with(new);
        let payload = message.payload().unwrap_or_default();
        let kept = &payload[..payload.len().min(config.line_limit)];
        open.push_cut(kept, payload.len() as u64, offset, received_ms.saturating_mul(1000));
        lane.position = offset + 1;
        lane.received_us = Some(received_ms.saturating_mul(1000));
        (lane.quiet.at_end, lane.quiet.log_end) = (false, None);
        Ok(())
    }

    /// The partition's open chunk is to leave.
    fn close(&mut self, partition: i32) {
        self.backlog.extend(self.lanes.get_mut(&partition).and_then(Lane::close));
    }

    fn caught_up(&mut self, partition: i32) {
        self.close(partition);
        if let Some(lane) = self.lanes.get_mut(&partition) {
            lane.end = lane.end.map(|_| lane.position);
            lane.quiet.at_end = true;
            // Of a log that grows, it is true only for the moment.
            if !self.config.follow {
                self.backlog.push_back(SourceEvent::CaughtUp(self.id(partition)));
            }
        }
    }

    /// Says that a bounded run has read everything.
    fn end_if_over(&mut self) {
        let is_over = !self.config.follow && self.lanes.values().all(|l| l.end.is_some_and(|end| l.position >= end));
        if is_over && !self.has_ended {
            self.has_ended = true;
            let open: Vec<i32> = self.lanes.keys().copied().collect();
            open.into_iter().for_each(|partition| self.close(partition));
            self.backlog.push_back(SourceEvent::EndOfInput);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "when chunks leave and brokers are asked again; no record depends on it")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_at_the_logs_end_or_before_what_is_never_delivered() {
        let mut quiet = Quiet::from_now();
        assert!(quiet.note(7, 7));
        assert!(!quiet.note(7, 9), "two records, or markers, came");
        assert!(!quiet.note(7, 9), "the client may not have come to them");
        quiet.at_end = true;
        assert!(quiet.note(7, 9), "markers: the client has come to the end, and the log did not grow");
        assert!(!quiet.note(7, 10), "it grows");
    }
}
