//! One non-blocking connection of the loader: gathers what is to be sent, cuts what arrives into answers.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

use bytes::Bytes;

use crate::error::BenchError;

const PIECES_MAX: usize = 64;
const READ_BYTES: usize = 64 * 1024;
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A request ready to go: a small head and, if it carries records, those.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub head: Bytes,
    pub body: Bytes,
}

impl Outgoing {
    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

pub struct Socket {
    stream: TcpStream,
    queue: VecDeque<Outgoing>,
    /// Bytes of the first queued request that have gone.
    gone: usize,
    buffer: Vec<u8>,
    /// What of the buffer has arrived and is not yet consumed.
    start: usize,
    end: usize,
}

impl Socket {
    pub fn new(stream: TcpStream) -> Result<Socket, BenchError> {
        stream.set_nonblocking(true).map_err(BenchError::io("set non-blocking"))?;
        let buffer = vec![0; READ_BYTES];
        Ok(Socket { stream, queue: VecDeque::new(), gone: 0, buffer, start: 0, end: 0 })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub fn queue(&mut self, request: Outgoing) {
        self.queue.push_back(request);
    }

    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Sends what the kernel takes; returns how many requests have gone whole.
    pub fn flush(&mut self) -> Result<usize, BenchError> {
        let mut whole = 0;
        while !self.queue.is_empty() {
            match self.write_some() {
                Ok(sent) => {
                    self.gone += sent;
                    whole += self.drop_gone();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(BenchError::Io { what: "send", source }),
            }
        }
        Ok(whole)
    }

    fn write_some(&mut self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); PIECES_MAX];
        let mut skip = self.gone;
        let mut used = 0;
        let pieces = self.queue.iter().flat_map(|request| [&request.head, &request.body]);
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            let Some(slot) = slices.get_mut(used) else { break };
            let Some(rest) = piece.get(skip..).filter(|rest| !rest.is_empty()) else {
                skip -= piece.len();
                continue;
            };
            skip = 0;
            *slot = IoSlice::new(rest);
            used += 1;
        }
        (&self.stream).write_vectored(slices.get(..used).unwrap_or(&[]))
    }

    fn drop_gone(&mut self) -> usize {
        let mut whole = 0;
        while let Some(first) = self.queue.front().map(Outgoing::len).filter(|len| *len <= self.gone) {
            self.gone -= first;
            self.queue.pop_front();
            whole += 1;
        }
        whole
    }

    /// Reads once; false if there is nothing more to read for now.
    pub fn fill(&mut self) -> Result<bool, BenchError> {
        self.make_room()?;
        let room = self.buffer.get_mut(self.end..).unwrap_or(&mut []);
        let asked = room.len();
        match self.stream.read(room) {
            Ok(0) => Err(BenchError::Closed { outstanding: self.queue.len() }),
            Ok(count) => {
                self.end += count;
                // On a stream a short read means drained: the next arrival raises a new edge.
                Ok(count == asked)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(source) => Err(BenchError::Io { what: "receive", source }),
        }
    }

    /// The next whole answer without its size prefix.
    pub fn answer(&mut self) -> Option<&[u8]> {
        let size = self.size()?;
        let from = self.start + 4;
        if self.end < from + size {
            return None;
        }
        self.start = from + size;
        self.buffer.get(from..from + size)
    }

    fn size(&self) -> Option<usize> {
        let prefix = self.buffer.get(self.start..self.end)?.first_chunk::<4>()?;
        usize::try_from(i32::from_be_bytes(*prefix)).ok()
    }

    /// Room for the rest of the answer that has begun, at the front of the buffer.
    fn make_room(&mut self) -> Result<(), BenchError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        let whole = self.size().unwrap_or(0) + 4;
        if whole > ANSWER_BYTES_MAX {
            return Err(BenchError::Answer);
        }
        let fits = self.start + whole <= self.buffer.len() && self.end < self.buffer.len();
        if !fits {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < whole.max(self.end + 1) {
            self.buffer.resize(whole.max(self.end * 2), 0);
        }
        Ok(())
    }
}
