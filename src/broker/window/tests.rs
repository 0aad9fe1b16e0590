use super::state::PICTURE;
use super::*;

const MIB: usize = 1 << 20;

/// The share of logouts in a budget, with a prefetch of 300, and a consumer that has begun.
fn share(budget: usize) -> Arc<Share> {
    let share = Window::new(budget, 300).shares()[0].clone();
    share.begin(u16::MAX);
    share
}

fn grant(share: &Share) -> Option<u16> {
    share.lock().grant(share.budget, share.most)
}

fn take(share: &Arc<Share>, count: usize, bytes: usize) -> Vec<Place> {
    (0..count).filter_map(|_| share.place(bytes, 0).0).collect()
}

#[test]
fn a_queue_that_is_not_known_yet_is_asked_for_a_few() {
    let share = share(64 * MIB);
    let mut asked = Vec::new();
    for _ in 0..4 {
        let count = grant(&share).expect("room");
        asked.push(count);
        drop(take(&share, usize::from(count), 1000));
    }
    assert_eq!(asked, [2, 16, 144, 300]);
}

#[test]
fn fewer_are_asked_for_the_larger_they_are() {
    for (bytes, wanted) in [(1000, 300), (100_000, 143), (MIB, 13), (16 * MIB, 1), (128 * MIB, 1)] {
        let share = share(64 * MIB);
        for _ in 0..100 {
            drop(take(&share, 1, bytes));
        }
        assert_eq!(grant(&share), Some(wanted), "{bytes} bytes");
        for _ in 0..2 * PICTURE {
            drop(take(&share, 1, 1000));
        }
        assert_eq!(grant(&share), Some(300), "larger ones than these were long ago");
    }
}

#[test]
fn what_is_held_is_bounded_and_one_message_always_fits() {
    for (budget, bytes, wanted) in
        [(64 * MIB, MIB, 15), (64 * MIB, 20 * MIB, 1), (MIB, 2 * MIB, 1), (MIB, 0, 128), (64 << 10, 1000, 6)]
    {
        let share = share(budget);
        let places = take(&share, 1000, bytes);
        assert_eq!(places.len(), wanted, "{bytes} bytes of {budget}");
        assert_eq!((grant(&share), share.in_hand().messages), (None, wanted));
        drop(places);
        assert_eq!((share.in_hand().bytes, share.in_hand().messages), (0, 0));
        assert!(grant(&share).is_some());
    }
}

#[test]
fn a_huge_message_is_taken_beside_small_ones_one_at_a_time_until_it_is_laid_down() {
    for (held, huge) in [(0, 16 * MIB), (10, 40 * MIB), (4000, 128 * MIB)] {
        let share = share(64 * MIB);
        let small = take(&share, held, 1000);
        let mut first = share.place(huge, 0).0.expect("one is taken");
        assert!(share.place(huge, 0).0.is_none() && grant(&share).is_none(), "but no second");
        first.lay_down();
        let second = share.place(huge, 0).0.expect("the next");
        drop((first, second));
        assert_eq!(share.in_hand().messages, held);
        drop(small);
        assert_eq!(share.in_hand(), InHand { queue: LOGOUT_QUEUE, messages: 0, bytes: 0, is_full: false });
    }
}

#[test]
fn a_huge_message_in_hand_keeps_no_small_one_waiting() {
    let share = share(64 * MIB);
    drop(take(&share, 100, 1000));
    share.begin(300);
    let (huge, outlook) = share.place(16 * MIB, 0);
    assert_eq!((outlook, grant(&share)), (Outlook::TooMuch, Some(1)), "the next consumer is asked for one");
    share.begin(1);
    for _ in 0..100 {
        let (small, outlook) = share.place(1000, 0);
        assert!(small.is_some() && outlook == Outlook::Spent);
    }
    assert!(
        share.place(16 * MIB, 0).0.is_none() && grant(&share).is_none(),
        "another waits, and what is behind it"
    );
    drop(huge);
    assert!(grant(&share).is_some());
}

#[test]
fn what_has_no_room_is_not_asked_for_again_and_again() {
    for (bytes, targets) in [(900_000, 1000), (1_000_000, 500), (1_040_000, 200)] {
        let mass = Window::new(64 * MIB, 300).shares()[2].clone();
        mass.begin(u16::MAX);
        let mut held = Vec::new();
        while let Some(mut place) = mass.place(bytes, 0).0 {
            place.weigh(targets);
            held.push(place);
        }
        assert_eq!(grant(&mass), None, "it would come and go back, over and over");
        drop(held.remove(0));
        assert!(grant(&mass).is_some());
    }
}

#[test]
fn many_targets_weigh_more_than_their_text() {
    let share = share(64 * MIB);
    let mut places = take(&share, 1, 12_000);
    let text = share.in_hand().bytes;
    places.iter_mut().for_each(|place| place.weigh(1000));
    assert!(share.in_hand().bytes >= text + 500_000);
    drop(places);
    assert_eq!(share.in_hand().bytes, 0);
}

#[test]
fn a_consumer_is_given_up_when_what_may_come_would_not_fit() {
    let share = share(64 * MIB);
    drop(take(&share, 100, 1000));
    share.begin(300);
    assert_eq!(share.place(1000, 0).1, Outlook::More);
    assert_eq!(share.place(MIB, 0).1, Outlook::TooMuch);
    share.begin(2);
    let first = share.place(1000, 0);
    assert_eq!((first.1, share.place(1000, 0).1), (Outlook::More, Outlook::Spent));
}

/// What is behind them in the queue need not wait for their record.
#[tokio::test]
async fn a_consumer_is_replaced_at_once_when_most_of_what_it_brought_is_read() {
    type Read = fn(&mut Place);
    let ways: [(&str, Read); 4] = [
        ("denied", Place::read),
        ("refused", Place::refuse),
        ("waits for keys", Place::set_aside),
        ("refused twice", |place| (place.refuse(), place.read()).0),
    ];
    for (name, read) in ways {
        let share = share(64 * MIB);
        drop(take(&share, 100, 1000));
        share.begin(300);
        let mut held = take(&share, 300, 20);
        assert!(!share.is_outdone(), "{name}: none is read");
        held[..149].iter_mut().for_each(read);
        assert!(!share.is_outdone(), "{name}: not most of them");
        let (spent, ()) = tokio::join!(tokio::time::timeout(STALLED_AFTER / 2, share.stalled()), async {
            held[149..].iter_mut().for_each(read)
        });
        assert!(spent.is_ok(), "{name}: nobody waits for a while");
        share.begin(300);
        held.extend(take(&share, 300, 20));
        assert!(!share.is_outdone(), "{name}: what others brought is no reason");
        drop(held);
        assert_eq!((share.in_hand().bytes, share.lock().read), (0, 0), "{name}");
    }
    let share = share(MIB);
    share.begin(300);
    let mut held = take(&share, 300, 20);
    held.iter_mut().for_each(Place::read);
    assert!(!share.is_outdone(), "there is no room for as many");
}

/// Where there is hardly any room, a few are not asked for again and again.
#[test]
fn a_small_consumer_is_replaced_by_one_of_twice_its_size() {
    // Bytes of a message; how many the consumer asked for; how many more find room; whether that is enough.
    for (bytes, count, room, enough) in [
        (20, 10, 10, false),
        (20, 10, 19, false),
        (20, 10, 20, true),
        (20, 300, 299, false),
        (20, 300, 300, true),
        (MIB, 1, 1, true),
        (MIB, 3, 3, true),
    ] {
        let share = share(64 * MIB);
        drop(take(&share, 100, bytes));
        let fitting = (share.budget - share.budget / 8) / super::cost(bytes);
        share.begin(u16::MAX);
        let _before = take(&share, fitting - count - room, bytes);
        share.begin(u16::try_from(count).unwrap());
        let mut held = take(&share, count, bytes);
        held.iter_mut().for_each(Place::read);
        assert_eq!(share.is_outdone(), enough, "{bytes} bytes, {count}, {room}");
    }
}

#[test]
fn thousands_of_small_refusals_find_room_and_large_ones_no_more_than_before() {
    for (bytes, properties, least, most) in
        [(8, 0, 20_000, 22_000), (1000, 0, 9_000, 10_000), (8, 5_000, 5_000, 5_200), (MIB, 0, 15, 15)]
    {
        let (share, mut held) = (share(64 * MIB), Vec::new());
        while let Some(mut place) = share.place(bytes, properties).0 {
            place.refuse();
            held.push(place);
        }
        assert!((least..=most).contains(&held.len()), "{bytes}, {properties}: {}", held.len());
    }
}

#[test]
fn properties_count_until_they_are_laid_down() {
    for properties in [16 << 10, 300_000, 600_000] {
        let share = share(64 * MIB);
        let mut places: Vec<_> = std::iter::from_fn(|| share.place(8, properties).0).take(3000).collect();
        let fitting = 32 * MIB / properties;
        assert!((fitting / 2..=fitting).contains(&places.len()), "{properties}: {}", places.len());
        places.iter_mut().for_each(Place::lay_down);
        assert!(share.in_hand().bytes <= places.len() * PER_MESSAGE);
    }
}

#[tokio::test]
async fn a_consumer_whose_deliveries_wait_is_replaced_and_a_full_queue_says_so() {
    let share = share(MIB);
    let mut held = take(&share, 40, 1000);
    share.begin(2);
    held.extend(take(&share, 2, 1000));
    share.stalled().await;
    held.extend(take(&share, 1000, 1000));
    share.begin(1);
    held.extend(take(&share, 1, 0));
    let mut ticks = tokio::time::interval(STALLED_AFTER);
    tokio::select! {
        () = share.stalled() => panic!("there is no room"),
        () = async { while !share.in_hand().is_full { ticks.tick().await; } } => {}
    }
    held.truncate(10);
    share.stalled().await;
    held.extend(take(&share, 1, 1000));
    assert!(!share.in_hand().is_full);
}
