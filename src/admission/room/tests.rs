use super::*;

fn user(name: &str) -> Party {
    Party::of(Some(name))
}

#[test]
fn one_user_alone_takes_three_quarters_and_whoever_comes_finds_room() {
    let places = Places::new(8192);
    let flood: Vec<_> = std::iter::from_fn(|| places.take_for(user("flood"), 1)).collect();
    assert_eq!((flood.len(), places.free()), (6144, 2048));
    for (name, targets) in [("one", 1), ("large", 1000), ("none", 0)] {
        assert!(places.take_for(user(name), targets).is_some(), "{name}");
    }
    assert!(places.take_for(Party::UNNAMED, 1).is_some(), "without a name");
    assert!(places.take_for(user("flood"), 1).is_none());
}

#[test]
fn hundreds_of_users_who_take_what_they_can_leave_room_for_the_next() {
    let places = Places::new(8192);
    let mut rooms = Vec::new();
    for number in 0..200 {
        let party = user(&format!("user-{number}"));
        let taken: Vec<_> = std::iter::from_fn(|| places.take_for(party, 1)).collect();
        assert!(number > 3 || !taken.is_empty(), "{number}");
        rooms.extend(taken);
    }
    assert!(places.free() > 0);
}

#[test]
fn an_event_of_a_thousand_targets_has_room_for_all_or_none() {
    let places = Places::new(1024);
    assert!(places.take_for(user("a"), 1000).is_none(), "more than three quarters");
    let room = places.take_for(user("a"), 700).expect("room");
    assert!(places.take_for(user("a"), 100).is_none());
    assert_eq!(places.taken(), 700);
    drop(room);
    assert_eq!((places.taken(), places.lock().by.len()), (0, 0));
}

#[test]
fn what_is_claimed_counts_as_its_users_once_that_is_known() {
    let places = Places::new(100);
    let mut claimed = places.take(60).expect("room");
    assert!(places.take(41).is_none());
    assert!(claimed.split(user("c")).is_some_and(|room| room.count == 1));
    let jobs: Vec<_> = (0..59).map_while(|_| claimed.split(user("a"))).collect();
    assert!(claimed.split(user("a")).is_none(), "there were sixty");
    assert_eq!((jobs.len(), places.taken()), (59, 59));
    assert!(places.take_for(user("a"), 17).is_none(), "76 are more than three times 24");
    assert!(places.take_for(user("b"), 17).is_some());
    drop((claimed, jobs));
    assert_eq!((places.taken(), places.lock().by.len()), (0, 0), "nothing is kept of who has none");
}

#[test]
fn places_change_hands_with_their_counts() {
    let places = Places::new(10);
    let mut room = places.take_for(user("a"), 2).expect("room");
    let split = room.split(user("b")).expect("a place");
    assert_eq!(places.lock().by, HashMap::from([(user("a"), 1), (user("b"), 1)]));
    drop(room);
    assert_eq!(places.lock().by, HashMap::from([(user("b"), 1)]));
    drop(split);
    assert_eq!(places.free(), 10);
}
