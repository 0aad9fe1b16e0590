use super::*;

#[test]
fn the_one_that_waits_longest_makes_room_and_no_one_that_is_being_answered() {
    let mut slots = Slots { most: 3, open: Vec::new(), left: Arc::default(), on_its_way: Duration::ZERO };
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

/// Whoever comes while all are being answered is served once one of them is, and nobody is turned away.
#[tokio::test]
async fn who_finds_all_being_answered_waits_for_a_place() {
    let ends: [fn(&Slot); 3] =
        [|slot| slot.close(), |slot| slot.enter(Phase::Idle), |slot| slot.enter(Phase::Body)];
    for end in ends {
        let mut slots = Slots { most: 2, open: Vec::new(), left: Arc::default(), on_its_way: Duration::ZERO };
        let [first, second] = std::array::from_fn(|_| slots.admit().expect("a place").0);
        first.enter(Phase::Answer);
        second.enter(Phase::Answer);
        {
            let mut waits = pin!(slots.place());
            assert!(is_pending(waits.as_mut()).await, "all are being answered");
            end(&first);
            tokio::time::timeout(Duration::from_secs(5), waits).await.expect("a place");
        }
        assert!(slots.open.iter().any(|slot| Arc::ptr_eq(slot, &second)));
    }
}

/// Whether it is pending.
async fn is_pending(mut work: std::pin::Pin<&mut impl Future>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx).is_pending())).await
}

/// Who has just come is given the time to say what for, and takes it from nobody who has had it.
#[test]
fn a_head_on_its_way_keeps_its_place_for_a_moment() {
    let time = Duration::from_secs(3600);
    let mut slots = Slots { most: 2, open: Vec::new(), left: Arc::default(), on_its_way: time };
    let [first, second] = std::array::from_fn(|_| slots.admit().expect("a place").0);
    assert!(slots.admit().is_none(), "both have just come");
    second.enter(Phase::Body);
    assert!(slots.admit().is_none(), "its body has just begun");
    first.enter(Phase::Idle);
    let (_third, before) = slots.admit().expect("the first's place");
    assert!(before.is_some_and(|before| Arc::ptr_eq(&before, &first)));
    slots.on_its_way = Duration::ZERO;
    let (_fourth, before) = slots.admit().expect("the second's place");
    assert!(before.is_some_and(|before| Arc::ptr_eq(&before, &second)));
}
