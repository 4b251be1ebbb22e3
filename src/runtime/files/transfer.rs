//! Bytes to and from files, by direct I/O.
//!
//! What is written is chunk memory of this shard as it stands; only pieces are gathered into a chunk of their own first.

use std::io;
use std::rc::Rc;

use glommio::io::{DmaBuffer, DmaFile};

use crate::base::io::{IoDone, SegmentId, WriteData};
use crate::base::{BLOCK_BYTES, Chunk, ChunkSlice, ChunkWriter};
use crate::runtime::memory::{ChunkBuffer, from_read};

use super::Files;
use super::open::{Mode, plain_error};

impl Files {
    pub(super) async fn write(&self, file: &DmaFile, data: WriteData, position: u64) -> io::Result<IoDone> {
        let chunk = match data {
            WriteData::Whole(chunk) => chunk,
            WriteData::Copy(pieces) => self.gathered(&pieces),
        };
        let written = file.write_rc_at(buffer_of(&chunk)?, position).await.map_err(plain_error)?;
        if written == chunk.len() {
            Ok(IoDone::Done)
        } else {
            self.write_rest(file, &chunk, position, written).await
        }
    }

    /// The kernel took only a part: the rest, from the last whole block on.
    async fn write_rest(
        &self,
        file: &DmaFile,
        chunk: &Chunk,
        position: u64,
        mut written: usize,
    ) -> io::Result<IoDone> {
        while written < chunk.len() {
            let from = written - written % BLOCK_BYTES;
            let rest = self.gathered(&[chunk.slice(from..chunk.len())]);
            let more =
                file.write_rc_at(buffer_of(&rest)?, position + from as u64).await.map_err(plain_error)?;
            if from + more <= written {
                return Err(io::Error::other("a write makes no progress"));
            }
            written = from + more;
        }
        Ok(IoDone::Done)
    }

    fn gathered(&self, pieces: &[ChunkSlice]) -> Chunk {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        let mut memory = ChunkWriter::new(self.memory.allocate(len));
        for piece in pieces {
            memory.append(piece);
        }
        memory.freeze()
    }

    pub(super) async fn read(&self, segment: SegmentId, position: u64, length: usize) -> io::Result<IoDone> {
        let file = self.open.segment(segment, Mode::Plain).await?;
        let result = file.read_at_aligned(position, length).await.map_err(plain_error)?;
        Ok(IoDone::Read(from_read(result)))
    }
}

/// The memory of a chunk that is written as it stands.
fn buffer_of(chunk: &Chunk) -> io::Result<Rc<DmaBuffer>> {
    let buffer = chunk.owner::<ChunkBuffer>().and_then(|owner| owner.buffer(chunk.len()));
    buffer.ok_or_else(|| {
        io::Error::other("a chunk to be written is not of this shard's memory, or not all of it")
    })
}
