//! Loopback TCP between ordinary threads of this process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::floor::Latency;
use crate::stats::{histogram, nanos, record};

const SEND_BYTES: usize = 1024 * 1024;
const READ_BYTES: usize = 4 * 1024 * 1024;
const STREAM_TIME: Duration = Duration::from_millis(1500);
const ROUND_TRIPS: u32 = 20_000;
const ROUND_TRIPS_WARM: u32 = 1_000;
const REQUEST_BYTES: usize = 1024;
pub(super) const ANSWER_BYTES: usize = 64;
/// A record of 100 bytes with what is around it.
pub const SMALL_BYTES: usize = 250;
const REQUEST_STREAMS: usize = 16;
const REQUEST_DEPTH: usize = 4;

#[derive(Clone, Copy, Debug)]
pub struct Net {
    /// Bytes a second.
    pub one_stream: f64,
    pub two_streams: f64,
    pub four_streams: f64,
    pub round_trip: Latency,
    /// Small requests answered a second, many connections on both sides' threads.
    pub requests: f64,
}

impl Net {
    pub fn measure() -> Result<Net, BenchError> {
        Ok(Net {
            one_stream: streams(1)?,
            two_streams: streams(2)?,
            four_streams: streams(4)?,
            round_trip: round_trips()?,
            requests: requests()?,
        })
    }

    /// Over so many connections.
    pub fn bytes_per_second(&self, connections: usize) -> f64 {
        match connections {
            0 | 1 => self.one_stream,
            2 => self.one_stream.max(self.two_streams),
            _ => self.one_stream.max(self.two_streams).max(self.four_streams),
        }
    }
}

/// Both ends of a connection.
pub(super) fn pair() -> Result<(TcpStream, TcpStream), BenchError> {
    let failed = BenchError::io;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed("listen on loopback"))?;
    let address = listener.local_addr().map_err(failed("listen on loopback"))?;
    let near = TcpStream::connect(address).map_err(failed("connect to loopback"))?;
    let (far, _) = listener.accept().map_err(failed("accept from loopback"))?;
    near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).map_err(failed("set TCP_NODELAY"))?;
    Ok((near, far))
}

fn streams(count: usize) -> Result<f64, BenchError> {
    let pairs = (0..count).map(|_| pair()).collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    let until = begun + STREAM_TIME;
    let received = thread::scope(|scope| {
        let mut readers = Vec::new();
        for (near, far) in pairs {
            scope.spawn(move || send(near, until));
            readers.push(scope.spawn(move || receive(far)));
        }
        readers
            .into_iter()
            .map(|reader| reader.join().map_err(|_| BenchError::Thread)?)
            .sum::<Result<f64, _>>()
    })?;
    Ok(received / begun.elapsed().as_secs_f64())
}

fn send(mut stream: TcpStream, until: Instant) -> Result<(), BenchError> {
    let bytes = vec![7; SEND_BYTES];
    while Instant::now() < until {
        stream.write_all(&bytes).map_err(BenchError::io("send over loopback"))?;
    }
    Ok(())
}

fn receive(mut stream: TcpStream) -> Result<f64, BenchError> {
    let mut buffer = vec![0; READ_BYTES];
    let mut received = 0;
    loop {
        match stream.read(&mut buffer).map_err(BenchError::io("receive over loopback"))? {
            0 => return Ok(crate::distribution::to_f64(received)),
            count => received += count as u64,
        }
    }
}

/// What two threads that only ask and two that only answer get out of the kernel: a broker's bound for small requests.
fn requests() -> Result<f64, BenchError> {
    let pairs = (0..REQUEST_STREAMS).map(|_| pair()).collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    let until = begun + STREAM_TIME;
    let answered = thread::scope(|scope| {
        let mut askers = Vec::new();
        for (near, far) in pairs {
            scope.spawn(move || answer(far));
            askers.push(scope.spawn(move || ask(near, until)));
        }
        askers.into_iter().map(|asker| asker.join().map_err(|_| BenchError::Thread)?).sum::<Result<f64, _>>()
    })?;
    Ok(answered / begun.elapsed().as_secs_f64())
}

/// Requests that arrived together are answered together, as a broker under load does.
fn answer(mut stream: TcpStream) {
    let mut requests = vec![0; SMALL_BYTES * REQUEST_DEPTH];
    let mut left_over = 0;
    while let Ok(count) = stream.read(&mut requests)
        && count > 0
    {
        let whole = (left_over + count) / SMALL_BYTES;
        left_over = (left_over + count) % SMALL_BYTES;
        if stream.write_all(&vec![1; ANSWER_BYTES * whole]).is_err() {
            return;
        }
    }
}

fn ask(mut stream: TcpStream, until: Instant) -> Result<f64, BenchError> {
    let requests = vec![7; SMALL_BYTES * REQUEST_DEPTH];
    let mut answers = vec![0; ANSWER_BYTES * REQUEST_DEPTH];
    let mut count = 0;
    while Instant::now() < until {
        stream
            .write_all(&requests)
            .and_then(|()| stream.read_exact(&mut answers))
            .map_err(BenchError::io("ask over loopback"))?;
        count += REQUEST_DEPTH as u64;
    }
    Ok(crate::distribution::to_f64(count))
}

fn round_trips() -> Result<Latency, BenchError> {
    let (mut near, mut far) = pair()?;
    let mut times = histogram();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut request = [0; REQUEST_BYTES];
            while far.read_exact(&mut request).is_ok() && far.write_all(&[1; ANSWER_BYTES]).is_ok() {}
        });
        let mut answer = [0; ANSWER_BYTES];
        for round in 0..ROUND_TRIPS + ROUND_TRIPS_WARM {
            let begun = Instant::now();
            near.write_all(&[7; REQUEST_BYTES])
                .and_then(|()| near.read_exact(&mut answer))
                .map_err(BenchError::io("make a round trip over loopback"))?;
            if round >= ROUND_TRIPS_WARM {
                record(&mut times, nanos(begun.elapsed()), 1);
            }
        }
        // The other side reads until this end is closed.
        drop(near);
        Ok(Latency::of(&times))
    })
}
