//! What an order that is given again needs to make the same events: a random part of their ids, and the
//! cutoffs that were given by the clock.
//!
//! A file an incident in `$XDG_STATE_HOME/revocation-worker`, else `~/.local/state/revocation-worker`, which
//! its owner alone reads. Whoever guesses name and targets cannot compute the ids. Files that were not
//! written for 90 days are removed by the next order.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::event::{digest, time_by};
use crate::clock::Clock;
use crate::visible::hex;

/// How long a file outlives its last order.
const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);
const SUFFIX: &str = "incident";

/// What is kept of one incident.
pub(crate) struct Resume {
    /// 32 hex digits, part of every id.
    pub(crate) random: String,
    /// The `time` of events whose cutoff it is, by id.
    times: HashMap<String, String>,
    /// `None`: nothing can be kept here.
    file: Option<File>,
    not_kept: Option<String>,
}

impl Resume {
    /// What is kept of an incident at a broker; made, where it is the first time.
    ///
    /// # Errors
    /// A sentence: nothing can be kept here.
    pub(crate) fn of(broker: &str, incident: &str) -> Result<Self, String> {
        let folder = folder()
            .ok_or_else(|| cannot_keep(&io::Error::new(ErrorKind::NotFound, "there is no home directory")))?;
        let kept = Self::in_folder(&folder, broker, incident);
        kept.map_err(|error| {
            cannot_keep(&io::Error::new(error.kind(), format!("{}: {error}", folder.display())))
        })
    }

    /// Of an order that cannot be resumed.
    pub(crate) fn nothing() -> Self {
        Self { random: random(), times: HashMap::new(), file: None, not_kept: None }
    }

    fn in_folder(folder: &Path, broker: &str, incident: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        forget(folder, SystemTime::now());
        let path = folder.join(format!("{}.{SUFFIX}", hex(&digest([broker, incident])[..16])));
        if !path.exists() {
            begin(folder, &path)?;
        }
        let text = fs::read_to_string(&path)?;
        let mut lines = text.lines();
        let random = lines
            .next()
            .filter(|line| line.len() == 32)
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "its first line is no random part"))?;
        let mut times = HashMap::new();
        // Two orders at once may both have written: the first counts.
        for (id, time) in lines
            .filter_map(|line| line.split_once(' '))
            .filter(|(_, time)| humantime::parse_rfc3339(time).is_ok())
        {
            times.entry(id.to_owned()).or_insert_with(|| time.to_owned());
        }
        Ok(Self {
            random: random.to_owned(),
            times,
            file: Some(OpenOptions::new().append(true).open(&path)?),
            not_kept: None,
        })
    }

    /// The `time` of an event whose cutoff it is: that of the first order of this event.
    pub(crate) fn cutoff(&mut self, id: &str, clock: &Clock) -> String {
        if let Some(time) = self.times.get(id) {
            return time.clone();
        }
        let time = time_by(clock);
        // The line's end comes first, so that a line which was cut short spoils no other.
        if let Some(Err(error)) =
            self.file.as_mut().map(|file| file.write_all(format!("\n{id} {time}").as_bytes()))
        {
            self.not_kept = Some(cannot_keep(&error));
            self.file = None;
        }
        self.times.insert(id.to_owned(), time.clone());
        time
    }

    /// Why a cutoff could not be kept, as a sentence.
    pub(crate) fn not_kept(self) -> Option<String> {
        self.not_kept
    }
}

fn cannot_keep(error: &io::Error) -> String {
    format!(
        "cannot keep what the same command would go on by; given again, it orders everything once more: \
            {error}"
    )
}

fn random() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn folder() -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = std::env::var_os("XDG_STATE_HOME").and_then(absolute);
    state
        .or_else(|| Some(std::env::home_dir()?.join(".local/state")))
        .map(|state| state.join("revocation-worker"))
}

/// Writes a random part, whole or not at all; that of another order which was quicker stays.
fn begin(folder: &Path, path: &Path) -> io::Result<()> {
    let draft = folder.join(format!("{}.draft", random()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let linked = writeln!(file, "{}", random()).and_then(|()| file.sync_all()).and_then(|()| {
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    fs::remove_file(&draft)?;
    linked
}

/// Removes what nobody has ordered anything by for long. What cannot be removed is no reason not to order.
fn forget(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let is_old = |path: &Path| {
        fs::metadata(path)
            .and_then(|about| about.modified())
            .is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > KEPT_FOR))
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == SUFFIX || extension == "draft")
                && is_old(path)
        })
        .for_each(|path| drop(fs::remove_file(path)));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("kept-{}", random())).join("state"))
        }

        fn resume(&self, broker: &str, incident: &str) -> Resume {
            Resume::in_folder(&self.0, broker, incident).expect("it is kept")
        }

        fn files(&self) -> Vec<PathBuf> {
            fs::read_dir(&self.0).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(self.0.parent().expect("a parent")).expect("remove the folder");
        }
    }

    #[test]
    fn the_same_order_finds_what_the_first_one_wrote_and_another_one_does_not() {
        let folder = Folder::new();
        let mut first = folder.resume("broker/vhost", "leak");
        let time = first.cutoff("id-1", &Clock::default());
        let mut again = folder.resume("broker/vhost", "leak");
        assert_eq!((again.cutoff("id-1", &Clock::default()), &again.random), (time, &first.random));
        for (broker, incident) in [
            ("broker/vhost", "leak-2"),
            ("broker/other", "leak"),
            ("broker", "vhostleak"),
            ("", "broker/vhostleak"),
        ] {
            assert_ne!(folder.resume(broker, incident).random, first.random);
        }
    }

    #[test]
    fn only_its_owner_reads_it_and_no_draft_stays() {
        let folder = Folder::new();
        folder.resume("b", "i");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(
            (mode(&folder.0), folder.files().iter().map(|file| mode(file)).collect::<Vec<_>>()),
            (0o700, vec![0o600])
        );
    }

    #[test]
    fn of_two_that_wrote_at_once_the_first_counts_and_half_a_line_does_not() {
        let folder = Folder::new();
        let (mut one, mut other) = (folder.resume("b", "i"), folder.resume("b", "i"));
        assert_eq!(one.random, other.random);
        let time = one.cutoff("id", &Clock::default());
        other.cutoff("id", &Clock::default());
        OpenOptions::new()
            .append(true)
            .open(&folder.files()[0])
            .and_then(|mut file| file.write_all(b"\nhalf 2026-11-"))
            .expect("write");
        let mut third = folder.resume("b", "i");
        let after = third.cutoff("after", &Clock::default());
        assert_eq!((third.cutoff("id", &Clock::default()), third.times.contains_key("half")), (time, false));
        assert_eq!(folder.resume("b", "i").cutoff("after", &Clock::default()), after);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let folder = Folder::new();
        let first = folder.resume("b", "i");
        forget(&folder.0, SystemTime::now() + KEPT_FOR - Duration::from_secs(60));
        assert_eq!(folder.resume("b", "i").random, first.random);
        forget(&folder.0, SystemTime::now() + KEPT_FOR + Duration::from_secs(60));
        assert_ne!(folder.resume("b", "i").random, first.random);
    }
}
