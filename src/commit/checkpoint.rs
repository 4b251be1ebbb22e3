//! The shard's checkpoint: where recovery begins for each partition. A start reads only what was written since.
//!
//! ```text
//! file   = magic "RMCHECK1" (8)  version u32  clean u8  reserved (3)  log identity (16)  replay from u64
//!          count u32  (length u32  bytes)*count  crc u32 (CRC-32 of all before)          all integers little-endian
//! ```
//!
//! The file is replaced atomically (temporary file, sync, rename, directory sync) each time a commit file is freed, and at
//! an orderly stop. `crate::log` encodes the bytes of each partition. Each version may have more of them than the ones before,
//! which are still read.

/// Everything recovery needs from before the first group it replays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub identity: [u8; 16],
    /// Sequence where replay begins: all groups below it are in segments.
    pub replay_from: u64,
    /// The checkpoint was written by an orderly stop: segments hold everything, and nothing needs to be scanned.
    pub clean: bool,
    /// One encoded partition snapshot each.
    pub partitions: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint is cut short")]
    Short,
    #[error("this is not a checkpoint")]
    Magic,
    #[error("checkpoint version {0} is newer than this program")]
    Version(u32),
    #[error("the checkpoint's checksum does not match")]
    Crc,
}

const MAGIC: [u8; 8] = *b"RMCHECK1";
const VERSION: u32 = 3;

impl Checkpoint {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let body: usize = self.partitions.iter().map(|partition| partition.len() + 4).sum();
        let mut out = Vec::with_capacity(body + 64);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[u8::from(self.clean), 0, 0, 0]);
        out.extend_from_slice(&self.identity);
        out.extend_from_slice(&self.replay_from.to_le_bytes());
        out.extend_from_slice(&length(self.partitions.len()));
        for partition in &self.partitions {
            out.extend_from_slice(&length(partition.len()));
            out.extend_from_slice(partition);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(CheckpointError::Short)?;
        let mut rest = body;
        if take::<8>(&mut rest)? != MAGIC {
            return Err(CheckpointError::Magic);
        }
        let version = u32::from_le_bytes(take(&mut rest)?);
        if !(1..=VERSION).contains(&version) {
            return Err(CheckpointError::Version(version));
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(CheckpointError::Crc);
        }
        let [clean, ..] = take::<4>(&mut rest)?;
        let identity = take(&mut rest)?;
        let replay_from = u64::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?);
        let mut partitions = Vec::new();
        for _ in 0..count {
            let length = u32::from_le_bytes(take(&mut rest)?) as usize;
            let (partition, after) = rest.split_at_checked(length).ok_or(CheckpointError::Short)?;
            partitions.push(partition.to_vec());
            rest = after;
        }
        Ok(Checkpoint { identity, replay_from, clean: clean == 1, partitions })
    }
}

fn length(value: usize) -> [u8; 4] {
    u32::try_from(value).expect("partition counts and snapshots are far below 4 Gi").to_le_bytes()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CheckpointError> {
    let (head, after) = rest.split_first_chunk::<N>().ok_or(CheckpointError::Short)?;
    *rest = after;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_survives_and_damage_is_noticed() {
        let checkpoint = Checkpoint {
            identity: [3; 16],
            replay_from: 77,
            clean: true,
            partitions: vec![b"one".to_vec(), Vec::new(), b"three".to_vec()],
        };
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), Ok(checkpoint.clone()));
        let older = [1, 2].map(|version| (version, Ok(checkpoint.clone())));
        for (version, outcome) in older.into_iter().chain([(4, Err(CheckpointError::Version(4)))]) {
            let (mut body, _) =
                bytes.split_last_chunk::<4>().map(|(body, crc)| (body.to_vec(), crc)).expect("longer");
            body[8] = version;
            let crc = crc32fast::hash(&body);
            body.extend_from_slice(&crc.to_le_bytes());
            assert_eq!(Checkpoint::decode(&body), outcome);
        }
        for index in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[index] ^= 0x10;
            assert!(Checkpoint::decode(&bad).is_err(), "byte {index}");
            assert!(Checkpoint::decode(&bytes[..index]).is_err(), "cut at {index}");
        }
    }
}
