//! The `sandbox` command as a newcomer runs it: it ends with every token dead, says so, and leaves nothing behind.
#![cfg(test)]
#![cfg(feature = "sandbox")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A temporary directory for one run, in which everything that it starts lives.
struct Home(PathBuf);

impl Home {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("demo-{}", uuid::Uuid::now_v7().simple()));
        fs::create_dir(&path)?;
        // The database's own account must be able to pass through.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        Ok(Self(path))
    }

    fn demo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_revocation-worker"));
        command.arg("sandbox").args(arguments).env("TMPDIR", &self.0).current_dir(&self.0).stdin(Stdio::null());
        command
    }

    /// A PATH on which everything is but Node.
    fn path_without_node(&self) -> Result<PathBuf> {
        let programs = self.0.join("programs");
        fs::create_dir(&programs)?;
        let path = std::env::var_os("PATH").ok_or("no PATH")?;
        for entry in std::env::split_paths(&path).filter_map(|folder| fs::read_dir(folder).ok()).flatten() {
            let (program, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            if !["node", "nodejs", "npm"].iter().any(|node| name == *node) && !programs.join(&name).exists() {
                drop(std::os::unix::fs::symlink(program, programs.join(name)));
            }
        }
        Ok(programs)
    }

    /// Directories of servers, and processes that work in one, removed or not.
    fn left(&self) -> Result<Vec<String>> {
        let bases = fs::read_dir(&self.0)?.filter_map(|entry| entry.ok()).filter(|entry| entry.file_name() != "programs");
        let places = bases.filter_map(|base| fs::read_dir(base.path()).ok()).flatten().filter_map(|place| place.ok());
        let places = places.filter(|place| place.file_name() != "ports").map(|place| place.path().display().to_string());
        let is_inside = |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&self.0));
        let processes = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()).map(|entry| entry.path()).filter(|path| is_inside(path));
        Ok(places.chain(processes.map(|path| fs::read_to_string(path.join("cmdline")).unwrap_or_default())).collect())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn every_token_dies_and_nothing_is_left_also_without_node() -> Result {
    let home = Home::new()?;
    let output = home.demo(&["--users", "3", "--json"]).env("PATH", home.path_without_node()?).output()?;
    let figures: Value = serde_json::from_slice(&output.stdout)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(figures["authorization_server"], "built-in");
    assert_eq!((&figures["users"], &figures["tokens"], &figures["attempts"]), (&3.into(), &6.into(), &6.into()));
    assert_eq!(figures["left"], serde_json::json!({ "accepted": 0, "active": 0 }));
    assert_eq!(figures["bystander"], serde_json::json!({ "accepted": 1, "active": 2 }));
    let timelines = figures["timelines"].as_array().ok_or("no timelines")?;
    assert!(timelines.iter().all(|user| ["service_refuses_ms", "provider_inactive_ms", "on_record_ms"].iter().all(|ms| user[ms].is_f64())));
    assert_eq!(home.left()?, [""; 0]);
    Ok(())
}

fn interrupt(demo: &Child) -> Result {
    let sent = Command::new("kill").args(["-s", "INT", &demo.id().to_string()]).status()?;
    assert!(sent.success());
    Ok(())
}

#[test]
fn kept_until_interrupted_then_all_gone() -> Result {
    let home = Home::new()?;
    let mut demo = home.demo(&["--users", "1", "--keep"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // Kept open: the demo has a last word to say.
    let mut output = BufReader::new(demo.stdout.take().ok_or("no output")?).lines();
    let lines = output.by_ref().map_while(std::result::Result::ok);
    let lines: Vec<String> = lines.take_while(|line| !line.contains("until Ctrl-C")).collect();
    let seen = lines.join("\n");
    assert!(seen.contains("npm's oidc-provider"), "{seen}");
    assert!(lines.iter().any(|line| line.contains("psql 'postgres://")), "{seen}");
    assert!(!home.left()?.is_empty(), "the test does not see what runs");
    interrupt(&demo)?;
    assert!(demo.wait()?.success(), "{seen}");
    assert_eq!(output.map_while(std::result::Result::ok).last().as_deref(), Some("Ending and removing everything."));
    assert_eq!(home.left()?, [""; 0]);
    Ok(())
}

#[test]
fn interrupted_while_booting_leaves_nothing() -> Result {
    let home = Home::new()?;
    let mut demo = home.demo(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut first = String::new();
    BufReader::new(demo.stdout.take().ok_or("no output")?).read_line(&mut first)?;
    assert!(first.starts_with("Starting"), "{first}");
    interrupt(&demo)?;
    let mut error = String::new();
    demo.stderr.take().ok_or("no errors")?.read_to_string(&mut error)?;
    assert_eq!(demo.wait()?.code(), Some(1), "{error}");
    assert!(error.contains("interrupted"), "{error}");
    assert_eq!(home.left()?, [""; 0]);
    Ok(())
}
