use super::*;

#[test]
fn the_one_that_waits_longest_makes_room_and_no_one_that_is_being_answered() {
    let mut slots = Slots { most: 3, open: Vec::new() };
    // As a connection's task does, the caller keeps its slot.
    let [first, second, third] = std::array::from_fn(|_| slots.admit().expect("a place").0);
    first.enter(Phase::Answer);
    second.enter(Phase::Idle);
    let (fourth, before) =
        slots.admit().expect("the third's place: it waits for a request since before the second does");
    assert!(before.is_some_and(|before| Arc::ptr_eq(&before, &third)));
    let (fifth, before) = slots.admit().expect("the second's place");
    assert!(before.is_some_and(|before| Arc::ptr_eq(&before, &second)));
    for busy in [&fourth, &fifth] {
        busy.enter(Phase::Answer);
    }
    assert!(slots.admit().is_none(), "all are being answered");
    fifth.enter(Phase::Body);
    let (sixth, before) = slots.admit().expect("the fifth's place: its body may never come");
    assert!(before.is_some_and(|before| Arc::ptr_eq(&before, &fifth)));
    sixth.enter(Phase::Answer);
    drop(fourth);
    assert!(slots.admit().is_some_and(|(_, before)| before.is_none()), "one has gone");
}
