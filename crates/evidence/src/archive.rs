//! Writing an archive: members of unknown size, one line after the other, in bounded memory.

use std::io::{self, Seek, SeekFrom, Write};

use time::OffsetDateTime;

use super::chain::Pass;
use super::{Entry, FORMAT, MEMBERS, Manifest, README, SigningKey, tar};

/// An archive that is being written. Its members come in the order of [`MEMBERS`].
pub struct Archive<W> {
    out: W,
    incident: String,
    exported_at: OffsetDateTime,
    members: Vec<Entry>,
}

/// The member that is being written; its header follows when its size is known.
pub struct Member<'a, W> {
    archive: &'a mut Archive<W>,
    name: &'static str,
    pass: Pass,
}

impl<W: Write + Seek> Archive<W> {
    /// Starts where `out` starts. `exported_at` counts in whole seconds.
    pub fn new(out: W, incident: &str, exported_at: OffsetDateTime) -> Self {
        let exported_at = exported_at.replace_nanosecond(0).unwrap_or(exported_at);
        Self { out, incident: incident.to_owned(), exported_at, members: Vec::new() }
    }

    /// Starts the next member.
    ///
    /// # Errors
    /// It cannot be written, or there is no next one.
    pub fn begin(&mut self) -> io::Result<Member<'_, W>> {
        let name = MEMBERS
            .get(self.members.len())
            .ok_or_else(|| io::Error::other("an archive has no more members"))?;
        self.out.write_all(&[0; tar::BLOCK])?;
        let pass = Pass::new(self.members.last().map(|member| member.head), name);
        Ok(Member { archive: self, name, pass })
    }

    /// Writes the README, which is the last of [`MEMBERS`], the manifest and the signature. Returns the
    /// manifest, and what was written to.
    ///
    /// # Errors
    /// It cannot be written, or members are missing.
    pub fn finish(mut self, key: &SigningKey) -> io::Result<(Manifest, W)> {
        let mut readme = self.begin()?;
        if readme.name != README {
            return Err(io::Error::other(format!("{} is missing", readme.name)));
        }
        readme.write(READ_ME.as_bytes())?;
        readme.end()?;
        let Self { mut out, incident, exported_at, members } = self;
        let manifest =
            Manifest { format: FORMAT.to_owned(), incident, exported_at, signer: key.signer(), members };
        let bytes = manifest.render();
        out.write_all(&manifest.render_tail(&bytes, &key.sign(&bytes)).ok_or_else(too_large)?)?;
        out.flush()?;
        Ok((manifest, out))
    }
}

impl<W: Write + Seek> Member<'_, W> {
    /// Adds a line. `text` has no line feed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.write(text.as_bytes())?;
        self.write(b"\n")
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pass.update(bytes);
        self.archive.out.write_all(bytes)
    }

    /// Ends the member.
    ///
    /// # Errors
    /// It cannot be written, or it is larger than 8 GiB, which is all that ustar has room for.
    pub fn end(self) -> io::Result<()> {
        let Self { archive, name, pass } = self;
        let seen = pass.finish();
        let header =
            tar::header(name, seen.bytes, archive.exported_at.unix_timestamp().try_into().unwrap_or(0))
                .ok_or_else(too_large)?;
        let out = &mut archive.out;
        out.write_all(&[0; tar::BLOCK][..tar::padding(seen.bytes)])?;
        let back = i64::try_from(tar::footprint(seen.bytes)).map_err(|_| too_large())?;
        out.seek(SeekFrom::Current(-back))?;
        out.write_all(&header)?;
        out.seek(SeekFrom::End(0))?;
        archive.members.push(Entry::new(name, seen));
        Ok(())
    }
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "a member is larger than 8 GiB, which is all that a tar file of this kind has room for",
    )
}

/// The same for every archive.
const READ_ME: &str = include_str!("readme.txt");
