//! What people copy out of `ops/` and deploy: it is well formed, and says what the program does.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::source::{File, files};

/// Directives of the unit that take something away, for machines without `systemd-analyze`.
const HARDENING: [&str; 12] = [
    "DynamicUser=yes",
    "CapabilityBoundingSet=",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "MemoryDenyWriteExecute=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "UMask=0077",
];

/// `shutdown_grace`, and what the last acknowledgements and writes may take.
const STOPS_WITHIN: u64 = 25;

/// Says what a test leaves out, and why.
#[expect(clippy::print_stdout, reason = "what is skipped is told")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file, read as people's tools read it.
fn yaml(text: &str) -> Result<Vec<Value>, String> {
    let program =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin)), default=str))";
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start python3: ./dev setup installs python3-yaml");
    python.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("hand over the text");
    let read = python.wait_with_output().expect("its answer");
    if !read.status.success() {
        return Err(String::from_utf8_lossy(&read.stderr).into_owned());
    }
    serde_json::from_slice(&read.stdout).map_err(|error| error.to_string())
}

fn documents(path: &str) -> Vec<Value> {
    yaml(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn what_is_yaml_can_be_read() {
    let all = [files("ops", "yml"), files("ops", "yaml"), files("docs", "yaml")].concat();
    assert!(all.len() > 5, "the files were found");
    for File { path, text } in all {
        assert!(yaml(&text).is_ok_and(|read| !read.is_empty()), "{path}: {:?}", yaml(&text));
    }
    assert!(yaml("a: [").is_err(), "what is none is found");
}

/// The manifest of a kind.
fn of_kind(kind: &str) -> Value {
    let all = documents("ops/kubernetes.yaml");
    all.into_iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("there is no {kind}"))
}

#[test]
fn the_manifests_of_kubernetes_fit_each_other_and_the_program() {
    let (deployment, budget) = (of_kind("Deployment"), of_kind("PodDisruptionBudget"));
    let pod = &deployment["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    let (replicas, kept) = (&deployment["spec"]["replicas"], &budget["spec"]["minAvailable"]);
    assert!(replicas.as_u64() > kept.as_u64(), "a node can be drained");
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], STOPS_WITHIN);
    let worker = &pod["spec"]["containers"][0];
    for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
        assert_eq!(worker[probe]["httpGet"]["path"], path);
        assert_eq!(worker[probe]["httpGet"]["port"], worker["ports"][0]["name"]);
    }
    for (what, spec, command) in
        [("Deployment", &pod["spec"], "run"), ("Job", &of_kind("Job")["spec"]["template"]["spec"], "migrate")]
    {
        let container = &spec["containers"][0];
        assert_eq!(container["args"][0], command, "{what}");
        assert_eq!(spec["securityContext"]["runAsUser"], 65532, "{what}: the user of the Dockerfile");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{what}");
        let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
        for mount in mounts {
            let mut volumes = spec["volumes"].as_array().expect("volumes").iter();
            assert!(volumes.any(|volume| volume["name"] == mount["name"]), "{what}: {mount}");
        }
    }
    assert!(read("Dockerfile").contains("\nUSER 65532:65532\n"));
}

/// The settings in it are valid: `check` gets as far as a broker and a database that are not there.
#[test]
fn the_settings_of_the_config_map_are_valid() {
    let settings = of_kind("ConfigMap")["data"]["revocation-worker.toml"].as_str().expect("TOML").to_owned();
    let folder = std::env::temp_dir().join(format!("revocation-manifest-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("client-secret"), "secret").expect("a secret");
    let here = folder.to_str().expect("UTF-8");
    let settings = settings.replace("/run/secrets/revocation", here);
    let settings = settings.replace("https://id.example.com", "http://127.0.0.1:1");
    fs::write(folder.join("revocation-worker.toml"), settings.replace("0.0.0.0:9300", "127.0.0.1:0"))
        .expect("settings");
    let checked = Command::new(env!("CARGO_BIN_EXE_revocation-worker"))
        .arg("check")
        .env_clear()
        .current_dir(&folder)
        .envs([("AMQP_URL", "amqp://127.0.0.1:1"), ("DATABASE_URL", "postgres://127.0.0.1:1/x")])
        .env("SEALING_KEYS", "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        .output()
        .expect("run check");
    fs::remove_dir_all(&folder).expect("remove the folder");
    let said = String::from_utf8_lossy(&checked.stdout);
    let why = String::from_utf8_lossy(&checked.stderr);
    assert!(said.contains("ok       configuration: valid, with 1 provider"), "{said}{why}");
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let unit = read("ops/revocation-worker.service");
    for directive in HARDENING {
        assert!(unit.lines().any(|line| line == directive), "the unit lacks {directive}");
    }
    assert!(unit.lines().any(|line| line == format!("TimeoutStopSec={STOPS_WITHIN}s")));
    if Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status().is_err() {
        skipped("systemd-analyze is not on this machine; the directives alone were looked at");
        return;
    }
    let folder = std::env::temp_dir().join(format!("revocation-unit-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("revocation-worker.service");
    let here = env!("CARGO_BIN_EXE_revocation-worker");
    fs::write(&file, unit.replace("/usr/local/bin/revocation-worker", here)).expect("write the unit");
    let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output().expect("run it");
    fs::remove_dir_all(&folder).expect("remove the folder");
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_compose_file_names_services_that_it_has() {
    let compose = documents("docker-compose.yml").remove(0);
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["idp", "logout", "postgres", "rabbitmq", "worker"]);
    for (name, service) in services {
        let needed = service["depends_on"].as_object().into_iter().flat_map(|needed| needed.keys());
        let shared = service["network_mode"].as_str().and_then(|mode| mode.strip_prefix("service:"));
        for other in needed.map(String::as_str).chain(shared) {
            assert!(services.contains_key(other), "{name} needs {other}");
        }
    }
    let environment = &services["worker"]["environment"];
    for (variable, host) in [("AMQP_URL", "@rabbitmq:"), ("DATABASE_URL", "@postgres/")] {
        assert!(environment[variable].as_str().is_some_and(|url| url.contains(host)), "{variable}");
    }
    let grace = services["worker"]["stop_grace_period"].as_str().map(str::to_owned);
    assert_eq!(grace, Some(format!("{STOPS_WITHIN}s")));
}

/// A login behind PgBouncer is set to what a worker asks for in its sessions.
#[test]
fn the_settings_behind_pgbouncer_are_those_of_a_session() {
    let store = read("src/store/mod.rs");
    let (_, session) = store.split_once("const SESSION: ").expect("the settings of a session");
    let session = session.split("\n];").next().unwrap_or_default();
    let pairs = session.lines().filter(|line| line.trim().starts_with("(\"")).map(|line| {
        let mut words = line.split('"').skip(1).step_by(2);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    });
    let mut wanted: Vec<_> = pairs.collect();
    assert!(wanted.len() > 5, "the settings were found: {wanted:?}");
    assert!(store.contains(r#"[("plan_cache_mode", "force_generic_plan")]"#), "and a worker's own");
    wanted.push(("plan_cache_mode", "force_generic_plan"));
    let script = read("ops/pgbouncer.sql");
    let lines = script.lines().filter_map(|line| line.strip_prefix("ALTER ROLE :\"login\" SET "));
    let set: Vec<_> = lines.filter_map(|line| line.trim_end_matches(';').split_once(" = ")).collect();
    let set: Vec<_> = set.into_iter().map(|(name, value)| (name, value.trim_matches('\''))).collect();
    assert_eq!(set, wanted);
}

#[test]
fn haproxy_takes_its_configuration() {
    let checked = Command::new("haproxy").arg("-c").arg("-f").arg(root("ops/haproxy.cfg")).output();
    let Ok(checked) = checked else {
        skipped("haproxy is not on this machine");
        return;
    };
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
