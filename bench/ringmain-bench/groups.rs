//! Load for group coordinators: many groups whose members report on schedule, and offset commits.
//!
//! In the first each connection plays one member of every group, as a client library with many consumers would, so that answers of
//! different groups wait for each other only where the broker makes them.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ringmain::client::{Connection, ConnectionOptions};
use ringmain::protocol::messages::find_coordinator_response::Coordinator;
use ringmain::protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ringmain::protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ringmain::protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use ringmain::protocol::{ApiKey, ErrorCode};

use crate::args::{CommitArgs, GroupsArgs};
use crate::broker::Broker;
use crate::commit::{COMMIT_VERSION, Commits, Line};
use crate::distribution::{Distribution, PERCENTILES, to_f64};
use crate::engine;
use crate::error::BenchError;
use crate::outcome::Value;
use crate::socket::Socket;
use crate::stats::{Window, histogram, nanos, record};

/// Old enough that no member has to join twice for an id.
const JOIN_VERSION: i16 = 3;
const SYNC_VERSION: i16 = 2;
const HEARTBEAT_VERSION: i16 = 2;
const SESSION_MS: i32 = 30_000;
const PATIENCE: Duration = Duration::from_secs(60);
const PROTOCOL: &str = "range";

/// Where one member of one group stands.
#[derive(Clone, Debug, Default)]
struct Member {
    id: String,
    generation: i32,
    /// Everybody, when it leads.
    members: Vec<String>,
    is_joined: bool,
    is_synced: bool,
}

/// Heartbeats of many groups on schedule.
pub fn groups(args: &GroupsArgs) -> Result<Vec<Value>, BenchError> {
    let begun = Instant::now();
    let barrier = Arc::new(Barrier::new(args.members));
    // How many of each group's members are in its generation.
    let synced: Arc<[AtomicUsize]> = (0..args.groups).map(|_| AtomicUsize::new(0)).collect();
    let connections: Vec<Connection> =
        (0..args.members).map(|_| connect(&args.bootstrap_server)).collect::<Result<_, _>>()?;
    let threads: Vec<_> = connections
        .into_iter()
        .map(|connection| {
            let (args, barrier, synced) = (args.clone(), Arc::clone(&barrier), Arc::clone(&synced));
            thread::spawn(move || play(connection, &args, &barrier, &synced, begun))
        })
        .collect();
    let (mut latency, mut settled, mut rejoined) = (histogram(), Duration::ZERO, 0);
    for thread in threads {
        let part = thread.join().map_err(|_| BenchError::Thread)??;
        latency.add(&part.latency).expect("all histograms have one shape");
        settled = settled.max(part.settled);
        rejoined += part.rejoined;
    }
    let mut figures = vec![
        Value::new("members", to_f64((args.groups * args.members) as u64), ""),
        Value::new("all joined and synced after", settled.as_secs_f64(), "s"),
        Value::new("heartbeats", to_f64(latency.len()) / args.seconds, "1/s"),
        Value::new("members that had to join again", to_f64(rejoined), ""),
    ];
    figures.extend(percentiles("heartbeat", &latency));
    Ok(figures)
}

struct Played {
    latency: Histogram<u64>,
    settled: Duration,
    rejoined: u64,
}

fn play(
    mut connection: Connection,
    args: &GroupsArgs,
    barrier: &Barrier,
    synced: &[AtomicUsize],
    begun: Instant,
) -> Result<Played, BenchError> {
    let names: Vec<String> = (0..args.groups).map(|number| format!("{}-{number}", args.group)).collect();
    let mut members = vec![Member::default(); args.groups];
    // Answers come in the order of the requests: members of several groups that join over one connection could wait for
    // each other. So the groups settle one after the other.
    for (index, synced) in synced.iter().enumerate() {
        let mut counted = 0;
        while synced.load(Ordering::Relaxed) < args.members {
            settle(&mut connection, &names[index..=index], &mut members[index..=index])?;
            let is = usize::from(members[index].is_synced);
            synced.fetch_add(is.wrapping_sub(counted), Ordering::Relaxed);
            counted = is;
        }
    }
    let mut played = Played { latency: histogram(), settled: begun.elapsed(), rejoined: 0 };
    barrier.wait();
    let interval = Duration::from_millis(args.interval_ms) / u32::try_from(args.groups.max(1)).unwrap_or(1);
    let (start, end) = (Instant::now(), Instant::now() + Duration::from_secs_f64(args.seconds));
    let mut due = start;
    for index in (0..args.groups).cycle() {
        if due >= end {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if !heartbeat(&mut connection, &names[index], &members[index])? {
            played.rejoined += 1;
            members[index].is_joined = false;
            members[index].is_synced = false;
            settle(&mut connection, &names, &mut members)?;
        }
        record(&mut played.latency, nanos(due.elapsed()), 1);
        due += interval;
    }
    Ok(played)
}

/// One round: every member that is not in its group's generation asks for its next step, all at once.
fn settle(connection: &mut Connection, names: &[String], members: &mut [Member]) -> Result<(), BenchError> {
    let is_open = |member: &Member| !member.is_joined;
    for (name, member) in names.iter().zip(&*members).filter(|(_, member)| is_open(member)) {
        connection.send_version(&join(name, member), JOIN_VERSION)?;
    }
    for member in members.iter_mut().filter(|member| is_open(member)) {
        let answer = connection.receive_within(PATIENCE)?;
        let answer: JoinGroupResponse<'_> = answer.decode()?;
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => {
                member.id = answer.member_id.into_owned();
                member.generation = answer.generation_id;
                member.members = answer.members.iter().map(|it| it.member_id.to_string()).collect();
                member.is_joined = true;
            }
            Some(ErrorCode::UnknownMemberId) => member.id.clear(),
            Some(ErrorCode::RebalanceInProgress) => {}
            _ => return Err(BenchError::Broker { what: "JoinGroup", code: answer.error_code }),
        }
    }
    let is_open = |member: &Member| member.is_joined && !member.is_synced;
    for (name, member) in names.iter().zip(&*members).filter(|(_, member)| is_open(member)) {
        connection.send_version(&sync(name, member), SYNC_VERSION)?;
    }
    for member in members.iter_mut().filter(|member| is_open(member)) {
        let answer = connection.receive_within(PATIENCE)?;
        let answer: SyncGroupResponse<'_> = answer.decode()?;
        match ErrorCode::from_code(answer.error_code) {
            Some(ErrorCode::None) => member.is_synced = true,
            Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => member.is_joined = false,
            Some(ErrorCode::UnknownMemberId) => *member = Member::default(),
            _ => return Err(BenchError::Broker { what: "SyncGroup", code: answer.error_code }),
        }
    }
    // A rebalance shows in the next heartbeat only.
    for (name, member) in names.iter().zip(&*members).filter(|(_, member)| member.is_synced) {
        connection.send_version(&beat(name, member), HEARTBEAT_VERSION)?;
    }
    for member in members.iter_mut().filter(|member| member.is_synced) {
        let answer = connection.receive_within(PATIENCE)?;
        let answer: HeartbeatResponse = answer.decode()?;
        if answer.error_code != 0 {
            member.is_joined = false;
            member.is_synced = false;
        }
    }
    Ok(())
}

fn heartbeat(connection: &mut Connection, name: &str, member: &Member) -> Result<bool, BenchError> {
    connection.send_version(&beat(name, member), HEARTBEAT_VERSION)?;
    let answer = connection.receive_within(PATIENCE)?;
    let answer: HeartbeatResponse = answer.decode()?;
    Ok(answer.error_code == 0)
}

fn join<'a>(name: &'a str, member: &'a Member) -> JoinGroupRequest<'a> {
    JoinGroupRequest {
        group_id: name.into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: SESSION_MS,
        member_id: member.id.as_str().into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: PROTOCOL.into(), metadata: Cow::Borrowed(b"") }],
        ..JoinGroupRequest::default()
    }
}

fn sync<'a>(name: &'a str, member: &'a Member) -> SyncGroupRequest<'a> {
    let assignments = member.members.iter().map(|id| SyncGroupRequestAssignment {
        member_id: id.as_str().into(),
        assignment: Cow::Borrowed(b"assignment"),
    });
    SyncGroupRequest {
        group_id: name.into(),
        generation_id: member.generation,
        member_id: member.id.as_str().into(),
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    }
}

fn beat<'a>(name: &'a str, member: &'a Member) -> HeartbeatRequest<'a> {
    HeartbeatRequest {
        group_id: name.into(),
        generation_id: member.generation,
        member_id: member.id.as_str().into(),
        group_instance_id: None,
    }
}

/// Offset commits, many in progress on each connection.
pub fn commits(args: &CommitArgs) -> Result<Vec<Value>, BenchError> {
    let group = |number: usize| format!("{}-{number}", args.group);
    let mut asking = connect(&args.bootstrap_server)?;
    let (mut sockets, mut lines) = (Vec::new(), Vec::new());
    for number in 0..args.connections {
        find(&mut asking, &group(number))?;
        let broker = Broker::connect(&args.bootstrap_server)?;
        broker.versions().common(ApiKey::OffsetCommit, COMMIT_VERSION)?;
        sockets.push(Socket::new(broker.into_stream())?);
        lines.push(Line::new(&group(number), &args.topic)?);
    }
    let (warmup, seconds) = (Duration::from_secs_f64(args.warmup), Duration::from_secs_f64(args.seconds));
    let mut load = Commits::new(lines, args.depth, Window::new(warmup, seconds));
    match engine::run(sockets, &mut load)? {
        0 => {}
        unanswered => return Err(BenchError::Unanswered(unanswered)),
    }
    let mut figures = vec![Value::new("commits", to_f64(load.answered) / args.seconds, "1/s")];
    figures.extend(percentiles("commit", &load.latency));
    Ok(figures)
}

fn connect(address: &str) -> Result<Connection, BenchError> {
    let options = ConnectionOptions { request_timeout: PATIENCE, ..ConnectionOptions::default() };
    let mut connection = Connection::connect(address, &options)?;
    find(&mut connection, "ringmain-bench")?;
    Ok(connection)
}

/// Waits until the group has a coordinator that has read its log.
fn find(connection: &mut Connection, group: &str) -> Result<(), BenchError> {
    let until = Instant::now() + PATIENCE;
    loop {
        let request = FindCoordinatorRequest { key: group.into(), ..FindCoordinatorRequest::default() };
        connection.send_version(&request, 3)?;
        let answer = connection.receive_within(PATIENCE)?;
        let answer: FindCoordinatorResponse<'_> = answer.decode()?;
        let found: Option<&Coordinator<'_>> = answer.coordinators.first();
        match found.map_or(answer.error_code, |it| it.error_code) {
            0 => return Ok(()),
            code if Instant::now() >= until => {
                return Err(BenchError::Broker { what: "FindCoordinator", code });
            }
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn percentiles(name: &str, histogram: &Histogram<u64>) -> Vec<Value> {
    let distribution = Distribution::of(histogram, histogram.len());
    let found = PERCENTILES.iter().filter_map(|(label, _)| {
        Some(Value::new(format!("{name} {label}"), distribution.percentile(label)?, "us"))
    });
    let max = Value::new(format!("{name} max"), distribution.max, "us");
    found.chain([max]).collect()
}
