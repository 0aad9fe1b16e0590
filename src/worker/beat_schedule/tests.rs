//! Fleets played second by second, their stream of heartbeats and their clock included.

use super::*;
use time::OffsetDateTime;

const MS: Duration = Duration::from_millis(1);
const PERIOD: Duration = Duration::from_secs(1);

/// A worker, as far as its heartbeats go. What it publishes is confirmed at once, unless it dies.
struct Player {
    schedule: BeatSchedule,
    standing: Standing,
    is_alive: bool,
}

/// What was seen.
#[derive(Default)]
struct Seen {
    beats: Vec<(Duration, usize)>,
    /// Offset in the log of each message: who published it.
    log: Vec<usize>,
    marks: Vec<(Duration, usize)>,
}

struct Fleet {
    start: Instant,
    now: Instant,
    players: Vec<Player>,
    /// Of each player, when it hears what.
    on_its_way: Vec<VecDeque<(Instant, Progress)>>,
    /// How late a heartbeat may be heard.
    late: Duration,
    seen: Seen,
}

impl Fleet {
    fn of(size: usize) -> Self {
        let start = Instant::now();
        let player = |n: usize| {
            let mut schedule = BeatSchedule::new(&n.to_string(), PERIOD, start);
            schedule.listens(true, start);
            Player { schedule, standing: Standing { link: 1, ..Standing::default() }, is_alive: true }
        };
        Self {
            start,
            now: start,
            players: (0..size).map(player).collect(),
            on_its_way: vec![VecDeque::new(); size],
            late: Duration::ZERO,
            seen: Seen::default(),
        }
    }

    fn publish(&mut self, n: usize, is_confirmed: bool) {
        let standing = &mut self.players[n].standing;
        standing.attempted += 1;
        if is_confirmed {
            (standing.sequence, standing.published) =
                (standing.attempted, Some((self.now, OffsetDateTime::UNIX_EPOCH)));
        }
        self.seen.log.push(n);
    }

    fn beat(&mut self, n: usize) {
        let player = &mut self.players[n];
        let progress = player.standing.progress(&n.to_string(), Some(player.schedule.mark_age(self.now)));
        player.schedule.sent(player.standing, self.now);
        for (player, to_hear) in self.players.iter_mut().zip(&mut self.on_its_way) {
            if !player.is_alive {
                continue;
            }
            let heard = self.now + self.late.mul_f64(rand::random());
            // A stream keeps its order.
            let heard = to_hear.back().map_or(heard, |(before, _)| heard.max(*before));
            to_hear.push_back((heard, progress.clone()));
            while let Some((_, progress)) = to_hear.pop_front_if(|(due, _)| *due <= self.now) {
                player.schedule.heard(Some(progress), self.now);
            }
        }
        self.seen.beats.push((self.now - self.start, n));
    }

    /// Lets so much time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += 10 * MS;
            for n in 0..self.players.len() {
                let player = &mut self.players[n];
                while let Some((_, progress)) = self.on_its_way[n].pop_front_if(|(due, _)| *due <= self.now) {
                    player.schedule.heard(Some(progress), self.now);
                }
                match player.schedule.due(&player.standing, self.now) {
                    _ if !player.is_alive => {}
                    Due::Wait(until) => assert!(until > self.now, "it waits for something"),
                    Due::Beat => self.beat(n),
                    Due::Mark => {
                        self.publish(n, true);
                        self.seen.marks.push((self.now - self.start, n));
                        let link = self.players[n].standing.link;
                        self.players[n].schedule.marked(link, self.now);
                        self.beat(n);
                    }
                }
            }
        }
    }

    fn holder(&self) -> usize {
        self.seen.beats.last().expect("a heartbeat").1
    }

    /// Forgets what was seen so far, once all have started.
    fn started(size: usize) -> Self {
        let mut fleet = Self::of(size);
        fleet.run(Duration::from_secs(60));
        fleet.seen = Seen::default();
        fleet.start = fleet.now;
        fleet
    }

    fn longest_gap(&self) -> Duration {
        self.seen.beats.windows(2).map(|pair| pair[1].0 - pair[0].0).max().expect("heartbeats")
    }
}

#[test]
fn an_idle_fleet_of_any_size_sends_about_one_a_second_and_marks_the_log_every_fifteen() {
    for size in [1, 2, 10, 50] {
        let mut fleet = Fleet::started(size);
        fleet.run(Duration::from_secs(600));
        let beats = fleet.seen.beats.len();
        // Each repeats itself every 30 s.
        assert!((590..=600 + 21 * size).contains(&beats), "{size} workers sent {beats}");
        assert!(
            (38..=42).contains(&fleet.seen.marks.len()),
            "{size} workers marked the log {} times",
            fleet.seen.marks.len()
        );
        assert!(fleet.longest_gap() <= PERIOD + 20 * MS, "{:?}", fleet.longest_gap());
    }
}

#[test]
fn another_takes_the_place_of_a_dead_holder_and_marks_the_log_first() {
    for size in [2, 3, 10] {
        for _ in 0..20 {
            let mut fleet = Fleet::started(size);
            fleet.run(Duration::from_secs(5));
            let dead = fleet.holder();
            // Its last message: in the log, and never named.
            fleet.publish(dead, false);
            fleet.players[dead].is_alive = false;
            let (died, behind) = (fleet.now - fleet.start, fleet.seen.log.len());
            fleet.run(Duration::from_secs(10));
            let next = fleet
                .seen
                .beats
                .iter()
                .find(|(at, by)| *at > died && *by != dead)
                .expect("somebody goes on")
                .0;
            assert!(next - died < Duration::from_secs(2), "after {:?}", next - died);
            let marked = fleet.seen.marks.iter().find(|(at, _)| *at > died).expect("the log is marked").0;
            assert!(
                marked <= died + Duration::from_secs(2) && fleet.seen.log.len() > behind,
                "behind what the dead one left"
            );
        }
    }
}

#[test]
fn an_idle_fleet_that_hears_late_does_not_fill_the_log_with_marks() {
    // Of 10 MB a day, in marks of 650 bytes.
    let most = 640 / 2;
    for late in [200, 350, 500] {
        for size in [2, 10, 30] {
            let mut fleet = Fleet::started(size);
            fleet.late = late * MS;
            fleet.run(Duration::from_secs(1800));
            let marks = fleet.seen.marks.len();
            assert!(marks <= most, "{size} workers, up to {late} ms late: {marks} marks");
            assert!(fleet.longest_gap() < Duration::from_millis(2500), "{:?}", fleet.longest_gap());
        }
    }
}

#[test]
fn after_a_loss_of_the_broker_none_waits_longer() {
    let mut fleet = Fleet::started(10);
    let now = fleet.now;
    for player in &mut fleet.players {
        player.schedule.listens(false, now);
        player.schedule.listens(true, now);
        player.standing.link = 2;
    }
    fleet.run(Duration::from_secs(60));
    assert!(fleet.seen.marks.len() >= 10, "each marks the log on its new connection");
    assert!(fleet.players.iter().all(|player| player.schedule.claims.is_empty()));
}

#[test]
fn what_a_worker_publishes_is_said_at_once_and_then_once_a_period() {
    let mut fleet = Fleet::started(3);
    fleet.run(Duration::from_secs(5));
    let quiet = (0..3).find(|n| *n != fleet.holder()).expect("another");
    fleet.run(1500 * MS);
    fleet.seen.beats.clear();
    fleet.publish(quiet, false);
    fleet.run(20 * MS);
    assert_eq!(fleet.seen.beats.iter().filter(|(_, by)| *by == quiet).count(), 1, "something is under way");
    let standing = &mut fleet.players[quiet].standing;
    (standing.sequence, standing.published) =
        (standing.attempted, Some((fleet.now, OffsetDateTime::UNIX_EPOCH)));
    fleet.run(20 * MS);
    assert_eq!(fleet.seen.beats.iter().filter(|(_, by)| *by == quiet).count(), 2, "it is confirmed");
    fleet.seen.beats.clear();
    for _ in 0..500 {
        fleet.publish(quiet, true);
        fleet.run(20 * MS);
    }
    let beats = fleet.seen.beats.iter().filter(|(_, by)| *by == quiet).count();
    assert!((9..=21).contains(&beats), "{beats} in ten busy seconds");
    assert_eq!(fleet.holder(), quiet);
}

#[test]
fn one_that_dies_with_its_first_message_is_noticed() {
    let mut fleet = Fleet::started(3);
    fleet.run(Duration::from_secs(5));
    let brief = (0..3).find(|n| *n != fleet.holder()).expect("another");
    fleet.publish(brief, false);
    fleet.run(10 * MS);
    fleet.players[brief].is_alive = false;
    let behind = fleet.seen.log.len();
    fleet.run(Duration::from_secs(2));
    assert!(fleet.seen.log.len() > behind, "the log is marked behind its message");
}

#[test]
fn a_worker_that_hears_nobody_sends_every_heartbeat_itself() {
    let mut fleet = Fleet::started(2);
    let now = fleet.now;
    fleet.players[0].schedule.listens(false, now);
    fleet.players.pop();
    fleet.run(Duration::from_secs(10));
    assert!((9..=11).contains(&fleet.seen.beats.len()), "{}", fleet.seen.beats.len());
}

#[test]
fn beside_older_workers_each_heartbeat_names_a_mark() {
    let mut fleet = Fleet::started(2);
    for _ in 0..100 {
        fleet.run(100 * MS);
        let now = fleet.now;
        fleet.players.iter_mut().for_each(|player| player.schedule.heard(None, now));
    }
    assert!(fleet.seen.marks.len() >= 8, "{} marks in ten seconds", fleet.seen.marks.len());
    assert!(fleet.longest_gap() <= PERIOD + 20 * MS, "they count for nothing themselves");
}

#[test]
fn without_a_connection_there_is_nothing_to_do_and_on_a_new_one_the_log_is_marked() {
    let mut fleet = Fleet::started(1);
    fleet.players[0].standing.link = 0;
    fleet.run(Duration::from_secs(60));
    assert_eq!((fleet.seen.beats.len(), fleet.seen.marks.len()), (0, 0));
    fleet.players[0].standing.link = 2;
    fleet.run(10 * MS);
    assert_eq!((fleet.seen.beats.len(), fleet.seen.marks.len()), (1, 1));
}
