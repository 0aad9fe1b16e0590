//! Reading an archive again: every byte against what its manifest says it must be, in bounded memory.

use std::io::{self, Read, Seek, SeekFrom};

use super::chain::Pass;
use super::findings::Finding;
use super::manifest::read_signature;
use super::{Entry, Hash, MANIFEST, MEMBERS, Manifest, PublicKey, tar};

/// Enough for the checkpoints of some hundred million lines.
const LARGEST_MANIFEST: u64 = 64 * 1024 * 1024;
const SIGNATURE_LEN: usize = 64;
const CHUNK: usize = 128 * 1024;

/// What came out.
pub struct Verified {
    /// What the archive says of itself, where that can be read. To be believed only where nothing was found
    /// and the signer is known.
    pub manifest: Option<Manifest>,
    /// Whether a trusted key signed it.
    pub is_known: bool,
    /// What is not as it was exported, a sentence each; none: the signer of the manifest has signed exactly
    /// this file.
    pub findings: Vec<String>,
}

/// Compares every byte of `archive` with what its manifest says, and the manifest with its signature.
///
/// # Errors
/// It cannot be read. Whatever is wrong with what was read is a finding.
pub fn verify(archive: impl Read + Seek, trusted: &[PublicKey]) -> io::Result<Verified> {
    let mut file = archive;
    let length = file.seek(SeekFrom::End(0))?;
    let mut check = Check { file, length, findings: Vec::new() };
    let manifest = check.run()?;
    let is_known = manifest.as_ref().is_some_and(|manifest| trusted.contains(&manifest.signer.public_key));
    Ok(Verified { manifest, is_known, findings: check.findings })
}

/// Size and SHA-256 of a whole file, as `sha256sum` has it.
///
/// # Errors
/// It cannot be read.
pub fn digest(file: impl Read) -> io::Result<(u64, Hash)> {
    let seen = stream(file, Pass::new(None, ""))?.finish();
    Ok((seen.bytes, seen.sha256))
}

struct Check<R> {
    file: R,
    length: u64,
    findings: Vec<String>,
}

/// Where things are.
struct Layout {
    /// The members' sizes by their headers; `None`: the headers do not lead to the manifest, and the sizes
    /// that it gives must serve.
    sizes: Option<Vec<u64>>,
    manifest_at: u64,
    manifest_bytes: u64,
}

impl<R: Read + Seek> Check<R> {
    fn run(&mut self) -> io::Result<Option<Manifest>> {
        let Some(layout) = self.find_manifest()? else { return Ok(None) };
        let bytes = self.read(layout.manifest_at + tar::BLOCK as u64, layout.manifest_bytes)?;
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(why) => {
                self.report(&Finding::BadManifest(why));
                return Ok(None);
            }
        };
        self.check_tail(&manifest, &bytes, layout.manifest_at)?;
        self.check_members(&manifest, &layout)?;
        Ok(Some(manifest))
    }

    fn report(&mut self, finding: &Finding<'_>) {
        self.findings.push(finding.to_string());
    }

    /// So many bytes from there on, or as many as there are.
    fn read(&mut self, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        self.file.seek(SeekFrom::Start(at))?;
        self.file.by_ref().take(bytes).read_to_end(&mut read)?;
        Ok(read)
    }

    /// From header to header; where one is damaged, backwards from the end.
    fn find_manifest(&mut self) -> io::Result<Option<Layout>> {
        let (mut at, mut sizes) = (0, Vec::new());
        for name in MEMBERS.into_iter().chain([MANIFEST]) {
            let Some(size) = tar::size(&self.read(at, tar::BLOCK as u64)?, name) else {
                let found = self.find_manifest_backwards()?;
                if found.is_none() {
                    self.report(&Finding::NoManifest { at, name, length: self.length });
                }
                return Ok(found);
            };
            if name == MANIFEST {
                return Ok(Some(Layout {
                    sizes: Some(sizes),
                    manifest_at: at,
                    manifest_bytes: size.min(LARGEST_MANIFEST),
                }));
            }
            sizes.push(size);
            at += tar::footprint(size);
        }
        Ok(None)
    }

    fn find_manifest_backwards(&mut self) -> io::Result<Option<Layout>> {
        let block = tar::BLOCK as u64;
        let least = self.length.saturating_sub(LARGEST_MANIFEST);
        let mut at = self.length;
        while at >= least + block {
            at -= block;
            if let Some(size) = tar::size(&self.read(at, block)?, MANIFEST) {
                return Ok(Some(Layout {
                    sizes: None,
                    manifest_at: at,
                    manifest_bytes: size.min(LARGEST_MANIFEST),
                }));
            }
        }
        Ok(None)
    }

    /// Signature, then everything from the manifest's header to the end of the file.
    fn check_tail(&mut self, manifest: &Manifest, bytes: &[u8], at: u64) -> io::Result<()> {
        if manifest.signer.fingerprint != manifest.signer.public_key.fingerprint() {
            self.report(&Finding::BadFingerprint);
        }
        let place = at + tar::footprint(bytes.len() as u64) + tar::BLOCK as u64;
        let file = self.read(place, manifest.render_signature(&[0; SIGNATURE_LEN]).len() as u64)?;
        let signature = read_signature(&file);
        match &signature {
            None => self.report(&Finding::NoSignature),
            Some(signature) if !manifest.signer.public_key.has_signed(bytes, signature) => {
                self.report(&Finding::BadSignature(&manifest.signer));
            }
            Some(_) => {}
        }
        let expected = manifest
            .render_tail(bytes, &signature.unwrap_or_else(|| vec![0; SIGNATURE_LEN]))
            .unwrap_or_default();
        self.compare_tail(&expected, at)
    }

    fn compare_tail(&mut self, expected: &[u8], at: u64) -> io::Result<()> {
        let end = at + expected.len() as u64;
        let found = self.read(at, expected.len() as u64)?;
        if let Some(differs) = found.iter().zip(expected).position(|(found, expected)| found != expected) {
            self.report(&Finding::Tail { at: at + differs as u64 });
        }
        if self.length < end {
            self.report(&Finding::CutOff { length: self.length, exported: end });
        } else if self.length > end {
            self.report(&Finding::Appended { bytes: self.length - end });
        }
        Ok(())
    }

    fn check_members(&mut self, manifest: &Manifest, layout: &Layout) -> io::Result<()> {
        let is_shifted = layout.sizes.is_none() && layout.manifest_at != manifest.place();
        if is_shifted {
            self.report(&Finding::Length { found: layout.manifest_at, exported: manifest.place() });
        }
        let (mut at, mut previous) = (0, None);
        for (index, entry) in manifest.members.iter().enumerate() {
            let size =
                layout.sizes.as_ref().and_then(|sizes| sizes.get(index)).map_or(entry.bytes, |size| *size);
            let is_sound = self.check_member(
                entry,
                at,
                size,
                manifest.mtime(),
                Pass::new(previous, &entry.name),
                is_shifted,
            )?;
            // Behind the first gap nothing is where it was.
            if is_shifted && !is_sound {
                break;
            }
            at += tar::footprint(size);
            previous = Some(entry.head);
        }
        Ok(())
    }

    /// Whether everything about it is as it was exported.
    fn check_member(
        &mut self,
        entry: &Entry,
        at: u64,
        size: u64,
        mtime: u64,
        pass: Pass,
        is_shifted: bool,
    ) -> io::Result<bool> {
        let before = self.findings.len();
        let header = self.read(at, tar::BLOCK as u64)?;
        if tar::header(&entry.name, size, mtime).is_none_or(|expected| header != expected) {
            self.report(&Finding::Header(&entry.name));
        }
        let (seen, exported) = (stream(self.file.by_ref().take(size), pass)?.finish(), entry.seen());
        if seen.sha256 != exported.sha256 {
            self.report(&Finding::Content { entry, seen, is_shifted });
        } else if seen != exported {
            self.report(&Finding::Chain(&entry.name));
        }
        let padding = self.read(at + tar::BLOCK as u64 + size, tar::padding(size) as u64)?;
        if padding.len() != tar::padding(size) || padding.iter().any(|byte| *byte != 0) {
            self.report(&Finding::Padding(&entry.name));
        }
        Ok(self.findings.len() == before)
    }
}

fn stream(mut content: impl Read, mut pass: Pass) -> io::Result<Pass> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match content.read(&mut chunk) {
            Ok(0) => return Ok(pass),
            Ok(read) => pass.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
