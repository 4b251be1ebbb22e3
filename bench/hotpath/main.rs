//! The hot path of the server and nothing else, again and again: `ringmain-bench instructions` counts what it takes. To
//! see where the instructions go: `valgrind --tool=callgrind target/dist/ringmain-hotpath produce`, and then
//! `callgrind_annotate` on the file it leaves.

mod frames;
mod server;

use std::hint::black_box;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use ringmain::protocol::Frame;

use crate::server::Server;

/// As the server's: allocation is part of the path.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(
    name = "ringmain-hotpath",
    version,
    about = "Repeats the server's hot path, without sockets and disk"
)]
struct Args {
    way: Way,
    /// Measured requests
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Produce: requests that one commit group makes durable. Fetch: batches of an answer
    #[arg(long, default_value_t = 1)]
    together: usize,
    /// Records of a batch
    #[arg(long, default_value_t = 1)]
    records: usize,
    /// Bytes of a record's value
    #[arg(long, default_value_t = 100)]
    record_bytes: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Way {
    Produce,
    Fetch,
}

fn main() {
    let args = Args::parse();
    let batch = frames::batch(args.records, args.record_bytes);
    let mut server = Server::start();
    match args.way {
        Way::Produce => produce(&mut server, &args, &frames::produce(&batch)),
        Way::Fetch => fetch(&mut server, &args, &batch),
    }
}

/// Requests that arrive together, as those of many connections do: each is begun, then all are made durable and answered.
fn produce(server: &mut Server, args: &Args, request: &Bytes) {
    for _ in 0..args.requests.div_ceil(args.together) {
        for answer in produced(server, request, args.together) {
            black_box(answer.into_pieces());
        }
    }
}

fn produced(server: &mut Server, request: &Bytes, together: usize) -> Vec<Frame> {
    (0..together).for_each(|_| server.handle(black_box(request)));
    server.turn();
    let answers = server.take_answers();
    assert_eq!(answers.len(), together, "every request is answered once it is durable");
    answers.iter().for_each(frames::check_produced);
    answers
}

/// Fetches the same batches over and over; every answer comes from the tail's memory.
fn fetch(server: &mut Server, args: &Args, batch: &Bytes) {
    let fill = frames::produce(batch);
    (0..args.together).for_each(|_| _ = produced(server, &fill, 1));
    let bytes = batch.len() * args.together;
    let request = frames::fetch(bytes);
    for _ in 0..args.requests {
        server.handle(black_box(&request));
        let [answer] = <[Frame; 1]>::try_from(server.take_answers()).expect("it is answered at once");
        assert!(answer.total_len() > bytes, "all that was asked for is in memory");
        black_box(answer.into_pieces());
    }
}
