use super::super::check::tests::{order, rules};
use super::super::input::Input;
use super::super::raw_target::RawTarget;
use super::super::rows::Format;
use super::*;

/// A file of this test's own, and the second pass over it.
struct Scene {
    path: std::path::PathBuf,
    pass: SecondPass,
}

impl Scene {
    fn of(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("second-pass-{}.ndjson", uuid::Uuid::now_v7()));
        std::fs::write(&path, text).unwrap();
        let (order, mut rules) = (order(), rules(&[]));
        let limits = LimitsConfig { max_targets: 2, ..LimitsConfig::default() };
        let input = Some((Input::open(Some(&path)).unwrap(), Format::Ndjson));
        let source = Source { flags: vec![], input, limit: 1024 };
        let found = FirstPass::of(&source, &order, &mut rules, &limits, &mut ()).unwrap();
        let (clock, resume) = (Clock::default(), Resume::nothing());
        Self { path, pass: SecondPass { order, source, rules, limits, clock, resume, found } }
    }

    /// What one stage hands on: the targets of each event.
    fn read(&mut self, stage: Stage) -> (Vec<u64>, Result<(), OrderError>) {
        let (sender, mut ready) = mpsc::channel(100);
        let ended = self.pass.read(stage, &sender);
        let events = std::iter::from_fn(|| ready.try_recv().ok()).map(|event| event.known_as);
        (events.collect(), ended)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).unwrap();
    }
}

const MIXED: &str = r#"{"token":"a"}
    {"sub":"u"}
    {"token":"b"}
    {"token":"a"}
    bad
    {"token":"c"}
    {"client_id":"c"}
    {"sub":"u"}"#;

#[test]
fn each_target_is_in_one_event_of_its_stage() {
    let mut scene = Scene::of(MIXED);
    assert_eq!(scene.pass.found.seen.len(), 5);
    let (cutoffs, ended) = scene.read(Stage::Cutoffs);
    assert!(ended.is_ok() && cutoffs == [1, 1], "a client and a subject: {cutoffs:?}");
    let (tokens, ended) = scene.read(Stage::Tokens);
    assert!(ended.is_ok() && tokens == [2, 1], "{tokens:?}");
    assert!(scene.pass.found.seen.is_empty());
}

/// Its event has counts, which the check of the first pass does not know yet.
#[test]
fn what_just_fits_a_message_is_published() {
    let variables = [("REVOCATION__LIMITS__MAX_MESSAGE_BYTES", "1024")];
    let (order, mut rules) = (order(), rules(&variables));
    let line = |length: usize| format!(r#"{{"token":"{}"}}"#, "t".repeat(length));
    let mut fits = |length| {
        let raw = RawTarget::of_json(line(length).as_bytes());
        raw.and_then(|raw| order.check(&mut rules, raw)).is_ok()
    };
    let longest = (1..1024).rev().find(|length| fits(*length)).unwrap();
    let mut scene = Scene::of(&line(longest));
    (scene.pass.rules, scene.pass.limits.max_message_bytes) = (rules, 1024);
    let (tokens, ended) = scene.read(Stage::Tokens);
    assert!(ended.is_ok() && tokens == [1], "{tokens:?}");
    assert!(scene.pass.found.seen.is_empty());
}

#[test]
fn a_file_that_changed_is_noticed() {
    let mut scene = Scene::of(MIXED);
    std::fs::write(&scene.path, MIXED.replace("\"a\"", "\"x\"")).unwrap();
    let (cutoffs, ended) = scene.read(Stage::Cutoffs);
    assert!(
        cutoffs.is_empty()
            && ended.err().is_some_and(|error| error.to_string().starts_with("the file changed"))
    );
}

#[test]
fn a_receiver_that_went_away_ends_the_reading() {
    let mut scene = Scene::of(MIXED);
    let (sender, ready) = mpsc::channel(1);
    drop(ready);
    assert!(scene.pass.read(Stage::Tokens, &sender).is_ok());
}
