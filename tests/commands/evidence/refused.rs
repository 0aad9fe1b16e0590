//! Which key signs, and what ends without a file.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_its_own_signs_where_there_is_one() {
    let stage = incident().await;
    let scratch = Scratch::new();
    let made = run(&mut bare(&[]), &["keygen", "--signing", "--id", "auditors"]);
    assert_eq!(made.code, 0);
    let said: Vec<_> = made.stderr.split_whitespace().collect();
    let ["public", "key", public, "fingerprint", fingerprint] = said[..] else { panic!("{}", made.stderr) };
    let secret = made.stdout.trim();
    let key_file = scratch.file("key");
    std::fs::write(&key_file, secret).expect("write the key");

    let mut command = command(&stage);
    command
        .env("SEALING_KEYS", SEALING_KEY)
        .env("EVIDENCE_SIGNING_KEY_FILE", &key_file)
        .current_dir(&scratch.0);
    let ran = run(&mut command, &["incident", "export", "leak"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.ends_with(&format!("signed by key auditors, fingerprint {fingerprint}\n")),
        "{}",
        ran.stdout
    );
    let file = scratch.file("leak.tar");
    assert!(Path::new(&file).exists(), "by default it has the incident's name");
    assert_eq!(verify(&[("EVIDENCE_SIGNING_KEY", secret)], &[&file]).code, 0);
    assert_eq!(verify(&[], &[&file, "--public-key", public]).code, 0);
    assert_eq!(verify(&[("SEALING_KEYS", SEALING_KEY)], &[&file]).code, 1, "derived keys did not sign it");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_replaced_unasked() {
    let stage = incident().await;
    let scratch = Scratch::new();
    let file = scratch.file("leak.tar");
    std::fs::write(&file, "precious").expect("write");
    let ran = export(&stage, &["--out", &file]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.ends_with("leak.tar: it exists; give another name with --out, or --force to replace it\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        (std::fs::read(&file).expect("read"), stage.count("audit.operations WHERE action = 'export'").await),
        (b"precious".to_vec(), 0)
    );
    assert_eq!(export(&stage, &["--out", &file, "--force"]).code, 0);
    assert_eq!(verify(&[("SEALING_KEYS", SEALING_KEY)], &[&file]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let stage = Stage::new().await;
    let ran = export(&stage, &[]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            1,
            "revocation-worker: incident leak is not on record; it may still be in the broker, or was \
                refused (revocation-worker dead list)\n"
        )
    );
    assert_eq!(stage.count("audit.operations WHERE action = 'export'").await, 0);
    let ran = run(&mut command(&stage), &["incident", "export", "leak"]);
    assert_eq!(
        (ran.code, ran.stderr.contains("evidence.signing_key") && ran.stderr.contains("sealing.keys")),
        (2, true),
        "{}",
        ran.stderr
    );
    let ran = run(command(&stage).env("EVIDENCE_SIGNING_KEY", CANARY), &["incident", "export", "leak"]);
    assert_eq!((ran.code, ran.stderr.contains(CANARY)), (2, false));
    assert!(
        ran.stderr.contains("evidence.signing_key (from EVIDENCE_SIGNING_KEY): has no colon"),
        "{}",
        ran.stderr
    );
    let ran = run(&mut bare(&[("SEALING_KEYS", SEALING_KEY)]), &["incident", "export", "leak"]);
    assert_eq!((ran.code, ran.stderr.contains("database.url")), (2, true), "{}", ran.stderr);
    assert_eq!(verify(&[], &["/no/such/file"]).code, 1);
    assert_eq!(verify(&[], &["/no/such/file", "--public-key", "AAAA"]).code, 2);
    let ran = verify(&[], &["/proc/version", "--any-signer"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_leaves_no_file() {
    let stage = incident().await;
    let scratch = Scratch::new();
    let mut lock = stage.db.begin().await.expect("begin");
    lock.execute("LOCK TABLE revocation.attempts").await.expect("lock");
    let mut command = command(&stage);
    command.env("SEALING_KEYS", SEALING_KEY).args([
        "incident",
        "export",
        "leak",
        "--out",
        &scratch.file("leak.tar"),
    ]);
    let child = command.stderr(Stdio::piped()).spawn().expect("start");
    let files = || std::fs::read_dir(&scratch.0).expect("look around").count();
    eventually("it has begun to write", async || (files() == 1).then_some(())).await;
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("run kill").success()
    );
    let output = child.wait_with_output().expect("wait for the command");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), said.as_ref()),
        (Some(1), "revocation-worker: interrupted; no file was written\n")
    );
    assert_eq!(files(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_leaves_an_order_and_no_file() {
    let stage = incident().await;
    let ran = export(&stage, &["--out", "/no/such/directory/leak.tar"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("write /no/such/directory/leak.tar: No such file or directory"),
        "{}",
        ran.stderr
    );
    assert_eq!(stage.count("audit.operations WHERE detail->>'phase' = 'ordered'").await, 1);
    assert_eq!(stage.count("audit.operations WHERE action = 'export'").await, 1);
}
