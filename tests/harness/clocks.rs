//! Machines whose clock is wrong, played by libfaketime.

use super::Setup;

impl Setup {
    /// On a machine whose clock is so many seconds ahead of the others', or behind.
    pub(crate) fn ahead(self, seconds: i64) -> Self {
        if seconds == 0 { self } else { self.faked().set("FAKETIME", &format!("{seconds:+}")) }
    }

    /// On a machine whose clock follows what is in a file.
    pub(crate) fn told_the_time_by(self, file: &str) -> Self {
        self.faked().set("FAKETIME_TIMESTAMP_FILE", file).set("FAKETIME_NO_CACHE", "1")
    }

    fn faked(self) -> Self {
        faked().into_iter().fold(self, |setup, (name, value)| setup.set(name, &value))
    }
}

/// What makes a program ask libfaketime for the time.
pub(crate) fn faked() -> [(&'static str, String); 3] {
    let folders = std::fs::read_dir("/usr/lib").expect("libraries").filter_map(Result::ok);
    let library =
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    let library = library.expect("libfaketime: ./dev setup installs it");
    [
        ("LD_PRELOAD", library.to_str().expect("UTF-8").to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_DISABLE_SHM", "1".to_owned()),
    ]
}
