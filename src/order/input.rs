//! What is read more than once: a file, or what came by a pipe, held in memory that is wiped.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::error::OrderError;

/// The most that is taken from a pipe.
const MOST_HELD: u64 = 1 << 30;
/// Memory is wiped where it was filled: a vector that grew would leave copies behind.
const PIECE: usize = 1 << 20;

/// An input that can be read again from its start.
pub(crate) struct Input {
    /// Its name in messages.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    /// What its name ends with, after the dot.
    pub(crate) extension: Option<String>,
    place: Place,
}

#[derive(Clone)]
enum Place {
    File(Arc<File>),
    Memory(Arc<Vec<Zeroizing<Vec<u8>>>>),
}

impl Input {
    /// Opens `file`; `None` is standard input, which is read to its end.
    ///
    /// # Errors
    /// It cannot be read, or a pipe has more than 1 GiB.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, OrderError> {
        let name = file.map_or("standard input".to_owned(), |path| path.display().to_string());
        let failed = |e: io::Error| OrderError::failed(format!("read {name}: {e}"));
        let (size, place) = match file {
            None => hold(io::stdin().lock(), MOST_HELD).map_err(failed)?,
            Some(path) => of_file(path).map_err(failed)?,
        };
        let extension =
            file.map(PathBuf::from).and_then(|path| Some(path.extension()?.to_str()?.to_ascii_lowercase()));
        Ok(Self { name, size, extension, place })
    }

    /// Reads it from its start.
    pub(crate) fn reading(&self) -> Reading {
        Reading { place: self.place.clone(), offset: 0, digest: Context::new(&SHA256) }
    }
}

/// A pipe with a name (`<(zcat tokens.gz)`) can be read only once, as standard input.
fn of_file(path: &Path) -> io::Result<(u64, Place)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_file() { Ok((about.len(), Place::File(Arc::new(file)))) } else { hold(file, MOST_HELD) }
}

fn hold(mut input: impl Read, most: u64) -> io::Result<(u64, Place)> {
    let (mut pieces, mut size) = (Vec::new(), 0);
    loop {
        let mut piece = Zeroizing::new(vec![0; PIECE]);
        let length = fill(&mut input, &mut piece)?;
        piece.truncate(length);
        size += length as u64;
        if size > most {
            let advice = "it has more than 1 GiB, which is not held in memory: write it to a file and name \
                that as FILE";
            return Err(io::Error::new(ErrorKind::FileTooLarge, advice));
        }
        if length == 0 {
            return Ok((size, Place::Memory(Arc::new(pieces))));
        }
        pieces.push(piece);
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// One reading, which knows the digest of what it has read.
pub(crate) struct Reading {
    place: Place,
    offset: u64,
    digest: Context,
}

impl Reading {
    /// SHA-256 of what was read so far.
    pub(crate) fn digest(&self) -> Vec<u8> {
        self.digest.clone().finish().as_ref().to_vec()
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.place {
            Place::File(file) => file.read_at(buffer, self.offset)?,
            Place::Memory(pieces) => copy(pieces, self.offset, buffer),
        };
        self.digest.update(&buffer[..count]);
        self.offset += count as u64;
        Ok(count)
    }
}

/// Every piece but the last is full.
fn copy(pieces: &[Zeroizing<Vec<u8>>], offset: u64, buffer: &mut [u8]) -> usize {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = pieces.get(offset / PIECE).and_then(|piece| piece.get(offset % PIECE..)).unwrap_or_default();
    let count = rest.len().min(buffer.len());
    buffer[..count].copy_from_slice(&rest[..count]);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: &[u8], most: u64) -> io::Result<Input> {
        let (size, place) = hold(bytes, most)?;
        Ok(Input { name: String::new(), size, extension: None, place })
    }

    fn whole(mut reading: Reading) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = Vec::new();
        reading.read_to_end(&mut bytes).unwrap();
        (bytes, reading.digest())
    }

    #[test]
    fn what_is_held_reads_the_same_each_time() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 7] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let input = held(&bytes, MOST_HELD).unwrap();
            let first = whole(input.reading());
            assert_eq!((input.size, &first.0), (length as u64, &bytes));
            assert_eq!(whole(input.reading()), first);
        }
    }

    #[test]
    fn too_much_for_memory_is_refused_with_advice() {
        assert!(held(&[7; 100], 100).is_ok());
        let error = held(&[7; 101], 100).err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains("1 GiB") && error.contains("FILE")));
    }

    #[test]
    fn a_file_that_changes_changes_its_digest() {
        let path = std::env::temp_dir().join(format!("input-{}.csv", uuid::Uuid::now_v7()));
        std::fs::write(&path, "one").unwrap();
        let input = Input::open(Some(&path)).unwrap();
        assert_eq!((input.size, input.extension.as_deref()), (3, Some("csv")));
        let before = whole(input.reading());
        std::fs::write(&path, "two").unwrap();
        let after = whole(input.reading());
        std::fs::remove_file(&path).unwrap();
        assert_eq!((before.0.as_slice(), after.0.as_slice()), (&b"one"[..], &b"two"[..]));
        assert_ne!(before.1, after.1);
    }
}
