use super::*;

fn user(name: &str) -> Party {
    Party::of(Some(name))
}

/// One class; everyone is told by their user's name and a number.
fn crowd(of: &[(&'static str, u32, u32)]) -> FairQueue<(&'static str, u32), 1> {
    let mut shares = FairQueue::default();
    for (name, count, cost) in of {
        (0..*count).for_each(|number| shares.wait(0, user(name), *cost, (*name, number)));
    }
    shares
}

fn names(shares: &mut FairQueue<(&'static str, u32), 1>, count: usize) -> String {
    (0..count).map_while(|_| shares.take(0)).map(|(name, _)| name).collect()
}

#[test]
fn users_take_turns_however_many_each_has_brought() {
    for (of, turns) in [
        (vec![("a", 20_000, 1), ("b", 3, 1)], "abababaaa"),
        (vec![("b", 1, 1), ("a", 20_000, 1)], "baaaaaaaa"),
        (vec![("a", 1000, 1), ("b", 1000, 1), ("c", 2, 1)], "abcabcaba"),
        (vec![("a", 9, 1)], "aaaaaaaaa"),
    ] {
        assert_eq!(names(&mut crowd(&of), 9), turns);
    }
}

#[test]
fn what_costs_more_is_had_less_often() {
    let mut shares = crowd(&[("a", 20, 1000), ("b", 3000, 1)]);
    let turns = names(&mut shares, 2002);
    assert_eq!(turns.matches('a').count(), 2, "two thousand of each");
    let mut shares = crowd(&[("a", 100, 5), ("b", 100, 1), ("c", 100, 2)]);
    let turns = names(&mut shares, 85);
    assert_eq!(["a", "b", "c"].map(|name| turns.matches(name).count()), [10, 50, 25]);
}

#[test]
fn a_users_own_go_in_the_order_in_which_they_came() {
    let mut shares = crowd(&[("a", 50, 1), ("b", 50, 3)]);
    let all: Vec<_> = std::iter::from_fn(|| shares.take(0)).collect();
    for name in ["a", "b"] {
        let numbers: Vec<_> =
            all.iter().filter(|(user, _)| *user == name).map(|(_, number)| *number).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn whoever_comes_is_next_and_saves_nothing_up() {
    let mut shares = crowd(&[("a", 1000, 1)]);
    names(&mut shares, 500);
    (0..1000).for_each(|number| shares.wait(0, user("b"), 1, ("b", number)));
    assert_eq!(names(&mut shares, 6), "bababa", "b was away for five hundred turns");
}

#[test]
fn one_who_brings_the_next_only_when_the_last_is_served_does_not_keep_others_waiting() {
    let mut shares = crowd(&[("b", 3, 1)]);
    shares.wait(0, user("a"), 1000, ("a", 0));
    let mut turns = String::new();
    while let Some((name, number)) = shares.take(0) {
        turns.push_str(name);
        if name == "a" && number < 9 {
            shares.wait(0, user("a"), 1000, ("a", number + 1));
        }
    }
    assert_eq!(turns, "babbaaaaaaaaa");
}

#[test]
fn classes_are_kept_waiting_apart_and_paid_for_together() {
    let mut shares = FairQueue::<u32, 2>::default();
    (0..100).for_each(|number| shares.wait(0, user("a"), 1, number));
    (100..110).for_each(|number| shares.wait(1, user("b"), 1, number));
    (110..120).for_each(|number| shares.wait(0, user("c"), 1, number));
    assert_eq!(shares.next([false, true]), Some(1));
    let both: Vec<_> =
        (0..6).map_while(|_| shares.next([true; 2]).and_then(|class| shares.take(class))).collect();
    assert_eq!(
        both,
        [0, 100, 110, 1, 101, 111],
        "wide calls do not wait behind tokens of another, nor the other way round"
    );
    assert_eq!((shares.dismiss(1).len(), shares.next([false, true])), (8, None));
    assert_eq!(shares.take(0), Some(2));
}

#[test]
fn of_one_user_the_first_to_come_goes_first_whatever_its_class() {
    let mut shares = FairQueue::<u32, 2>::default();
    let classes = [1, 0, 0, 1, 1, 0];
    (0..).zip(classes).for_each(|(number, class)| shares.wait(class, Party::UNNAMED, 1, number));
    let taken: Vec<_> =
        (0..6).map_while(|_| shares.next([true; 2]).and_then(|class| shares.take(class))).collect();
    assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn who_could_not_be_let_in_for_long_does_not_have_all_the_turns_after_it() {
    let mut shares = FairQueue::<&str, 2>::default();
    (0..1000).for_each(|_| shares.wait(0, user("a"), 1, "a"));
    (0..1000).for_each(|_| shares.wait(1, user("b"), 1, "b"));
    assert!((0..500).all(|_| shares.take(1) == Some("b")));
    let turns: String =
        (0..6).map_while(|_| shares.next([true; 2]).and_then(|class| shares.take(class))).collect();
    assert_eq!(turns, "ababab");
}

#[test]
fn those_who_are_gone_cost_their_user_nothing() {
    let mut shares = crowd(&[("a", 10_000, 1), ("b", 2, 1)]);
    shares.forget(|(name, number)| *name == "a" && *number < 9_998);
    assert_eq!(names(&mut shares, 9), "abab");
    assert!(shares.is_empty());
}

#[test]
fn nothing_is_kept_of_users_who_neither_wait_nor_owe() {
    let mut shares = FairQueue::<u32, 1>::default();
    (0..20_000).for_each(|number| shares.wait(0, user("steady"), 1, number));
    for number in 0..10_000 {
        shares.wait(0, user(&format!("user-{number}")), 1, number);
        (0..2).for_each(|_| assert!(shares.take(0).is_some()));
        assert!(shares.users.len() <= 4, "{}", shares.users.len());
    }
    while shares.take(0).is_some() {}
    assert_eq!((shares.users.len(), shares.owing.len(), shares.turns[0].len()), (0, 0, 0));
    for number in 0..10_000 {
        shares.wait(0, user(&format!("user-{number}")), 1, number);
        assert!(shares.take(0).is_some());
    }
    assert_eq!(shares.users.len(), 0, "nobody waits");
}

#[test]
fn a_batch_of_large_ones_has_room_for_everybody_elses_small_ones_first() {
    let mut shares = crowd(&[("a", 20, 1000), ("b", 30, 1), ("c", 30, 2)]);
    let batch = |shares: &mut FairQueue<_, 1>| {
        shares.batch(256, 1000).into_iter().map(|(name, _): (&str, u32)| name).collect::<String>()
    };
    let [first, second, third] = [batch(&mut shares), batch(&mut shares), batch(&mut shares)];
    assert_eq!((first.as_str(), third.as_str()), ("a", "a"), "alone: others do not wait for its commit");
    assert_eq!(["b", "c"].map(|name| second.matches(name).count()), [30, 30]);
    assert_eq!(crowd(&[("a", 2, 5000)]).batch(256, 1000).len(), 1, "larger than a batch may be");
    assert_eq!(crowd(&[("a", 300, 1)]).batch(256, 1000).len(), 256);
    assert!(FairQueue::<(), 1>::default().batch(256, 1000).is_empty());
}
