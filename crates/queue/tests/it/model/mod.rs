//! The state against a simple truth, through everything that can happen to a queue: whatever was
//! acknowledged is delivered in the end, nothing that is over comes again, keys keep their order, and what
//! is shown agrees, also after the program ended at any point and after the log was cleaned.

mod truth;
mod world;

use proptest::prelude::*;
use queue::record::{Body, End, Number, What};
use queue::state::{Dropping, MessageState, Replaying, Rules, Which};

use world::{New, World, rules};

#[derive(Debug, Clone)]
enum Step {
    Accept(New),
    BeginUpload,
    Push(usize, usize),
    BreakOff(usize),
    Commit(usize, New),
    Flush(usize),
    Fail,
    Take(usize),
    Settle { which: usize, status: u16, retry_after: Option<u64>, random: u64 },
    Abandon(usize),
    Wait(u64),
    Pause(bool),
    Replay { which: Which, one: Option<Number>, only: Option<u16>, rate: Option<f64> },
    Drop { one: Option<Number>, state: Option<MessageState>, only: Option<u16> },
    Expire,
    Snapshot { slices: usize, at_most: usize },
    BeginCleaning(usize),
    FinishCleaning,
    Rules(Rules),
    Restart(usize),
}

fn some_rules() -> impl Strategy<Value = Rules> {
    let receivers = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3).prop_shuffle();
    let receivers = prop_oneof![3 => Just(vec!["a"]), 3 => receivers];
    let full = prop_oneof![Just(1 << 40), 500u64..6_000];
    (receivers, 1u32..4, full).prop_map(|(receivers, concurrency, full)| rules(&receivers, concurrency, full))
}

fn new() -> impl Strategy<Value = New> {
    let delay = prop_oneof![3 => Just(0), 1 => 0u64..3_000];
    let order = prop::option::of(0u64..3);
    let key = prop::option::weighted(0.2, (0u8..4, any::<bool>()));
    (delay, order, key, 0usize..400).prop_map(|(delay, order, key, size)| New { delay, order, key, size })
}

fn answer() -> impl Strategy<Value = (u16, Option<u64>)> {
    let status = prop_oneof![4 => Just(200u16), 2 => Just(500), 1 => Just(404), 1 => Just(503), 1 => Just(0)];
    (status, prop::option::weighted(0.2, 0u64..5_000))
}

fn work() -> impl Strategy<Value = Step> {
    let settle =
        (any::<usize>(), answer(), any::<u64>()).prop_map(|(which, (status, retry_after), random)| {
            Step::Settle { which, status, retry_after, random }
        });
    prop_oneof![
        5 => new().prop_map(Step::Accept),
        8 => (1usize..6).prop_map(Step::Flush),
        5 => (1usize..5).prop_map(Step::Take),
        7 => settle,
        3 => prop_oneof![0u64..50, 0u64..3_000].prop_map(Step::Wait),
    ]
}

fn trouble() -> impl Strategy<Value = Step> {
    let which = prop_oneof![Just(Which::Dead), Just(Which::Done), Just(Which::All)];
    let one = || prop::option::of(1u64..30);
    let only = || prop::option::weighted(0.3, 0u16..3);
    let state = prop::option::of(prop_oneof![
        Just(MessageState::Waiting),
        Just(MessageState::Running),
        Just(MessageState::Done),
        Just(MessageState::Dead)
    ]);
    let rate = prop::option::of(1.0..100.0);
    let replay = (which, one(), only(), rate).prop_map(|(which, one, only, rate)| Step::Replay {
        which,
        one,
        only,
        rate,
    });
    let drop = (one(), state, only()).prop_map(|(one, state, only)| Step::Drop { one, state, only });
    let snapshot = (1usize..8, 1usize..9).prop_map(|(slices, at_most)| Step::Snapshot { slices, at_most });
    prop_oneof![
        2 => Just(Step::BeginUpload),
        3 => (any::<usize>(), 0usize..300).prop_map(|(which, size)| Step::Push(which, size)),
        1 => any::<usize>().prop_map(Step::BreakOff),
        2 => (any::<usize>(), new()).prop_map(|(which, new)| Step::Commit(which, new)),
        2 => Just(Step::Fail),
        1 => any::<usize>().prop_map(Step::Abandon),
        1 => any::<bool>().prop_map(Step::Pause),
        3 => replay,
        1 => drop,
        2 => Just(Step::Expire),
        6 => snapshot,
        4 => (1usize..30).prop_map(Step::BeginCleaning),
        3 => Just(Step::FinishCleaning),
        1 => some_rules().prop_map(Step::Rules),
        3 => (0usize..9).prop_map(Step::Restart),
    ]
}

fn run(world: &mut World, step: Step) {
    match step {
        Step::Accept(new) => world.accept(&new),
        Step::BeginUpload => world.begin_upload(),
        Step::Push(upload, size) => world.push(upload, size),
        Step::BreakOff(upload) => world.break_off(upload),
        Step::Commit(upload, new) => world.commit(upload, &new),
        Step::Flush(count) => world.flush(count),
        Step::Fail => world.fail(),
        Step::Take(count) => while_some(count, || world.take()),
        Step::Settle { which, status, retry_after, random } => {
            world.settle(which, status, retry_after, random);
        }
        Step::Abandon(which) => world.abandon(which),
        Step::Wait(time) => world.now += time,
        Step::Pause(paused) => world.append_other(&What::Paused(paused)),
        Step::Replay { which, one, only, rate } => {
            world.replay(Replaying::new(which, one, only, rate, world.now));
        }
        Step::Drop { one: Some(number), only, .. } => {
            world.append_other(&What::Dropped { number, receiver: only });
        }
        Step::Drop { one: None, state, only } => world.drop(Dropping::new(state, only)),
        Step::Expire => world.expire(),
        Step::Snapshot { slices, at_most } => (0..slices).for_each(|_| world.snapshot(at_most)),
        Step::BeginCleaning(records) => world.begin_cleaning(records),
        Step::FinishCleaning => world.finish_cleaning(),
        Step::Rules(rules) => world.set_rules(rules),
        Step::Restart(kept) => world.restart(kept),
    }
}

fn while_some(count: usize, mut step: impl FnMut() -> bool) {
    for _ in 0..count {
        if !step() {
            return;
        }
    }
}

/// What is shown is true.
fn compare(world: &World) {
    let World { state, truth, .. } = world;
    let all: Vec<_> = truth.messages.keys().copied().collect();
    assert_eq!(state.list(None, 0, usize::MAX), all);
    assert_eq!(state.is_paused(), truth.paused);
    let counts = state.counts(world.now);
    assert_eq!(counts.bytes, truth.bytes(|_| true) + world.reserved_bytes());
    let shown = [
        (MessageState::Waiting, counts.waiting),
        (MessageState::Running, counts.running),
        (MessageState::Done, counts.done),
        (MessageState::Dead, counts.dead),
    ];
    for (which, count) in shown {
        let those = truth.messages.iter().filter(|(_, message)| message.state() == which);
        let those: Vec<_> = those.map(|(number, _)| *number).collect();
        assert_eq!(state.list(Some(which), 0, usize::MAX), those, "{which:?}");
        assert_eq!(count, those.len(), "{which:?}");
    }
    for (number, position) in state.positions_after(0, usize::MAX) {
        compare_message(world, number, position);
    }
    for counts in counts.receivers {
        let its = truth.messages.values().filter_map(|message| message.deliveries.get(&counts.index));
        let open = its.clone().filter(|delivery| delivery.end.is_none() && !delivery.running);
        assert_eq!(counts.dead, its.filter(|delivery| delivery.end == Some(End::Dead)).count());
        // Those that were taken out while they were delivered count there till they are over.
        assert!(counts.waiting <= open.count());
    }
}

fn compare_message(world: &World, number: Number, position: engine::Position) {
    let message = &world.truth.messages[&number];
    let view = world.state.message(number).expect("it is listed");
    assert_eq!((view.position, view.since, view.bytes), (position, message.since, message.bytes));
    assert_eq!(view.state, message.state());
    assert_eq!(view.deliveries.len(), message.deliveries.len());
    let What::Accepted(accepted) = world.record(position) else { panic!("{number} is no message") };
    assert_eq!(accepted.number, number);
    if let Body::Pieces { at, upload } = &accepted.body {
        for (at, length) in at {
            let What::Piece { upload: its, bytes } = world.record(*at) else { panic!("{at} is no piece") };
            assert_eq!((its, bytes.len()), (*upload, *length as usize));
        }
    }
    for seen in view.deliveries {
        let known = message.deliveries[&seen.index];
        assert!(world.truth.shows(number, seen.index).contains(&seen.state), "{number}: {seen:?}");
        assert_eq!((seen.attempts, seen.due), (known.attempts, known.held), "{number}: {seen:?}");
        let attempts = seen.last.map(|last| match world.record(last) {
            What::Tried(tried) => (tried.number, tried.receiver, tried.history.attempts),
            What::Ended(ended) => (ended.number, ended.receiver, ended.history.attempts),
            other => panic!("{other:?}"),
        });
        assert_eq!(attempts, (known.attempts > 0).then_some((number, seen.index, known.attempts)));
    }
}

/// Everything that can be delivered is, if receivers take it.
fn finish(world: &mut World) {
    world.flush(usize::MAX);
    world.set_rules(rules(&["a", "b", "c"], 3, 1 << 40));
    world.append_other(&What::Paused(false));
    world.flush(usize::MAX);
    for _ in 0..100_000 {
        compare(world);
        while world.take() {}
        if world.works.is_empty() {
            let Some(next) = world.state.next_at(world.now) else { break };
            assert!(next > world.now, "take gave nothing");
            world.now = next;
        }
        while !world.works.is_empty() {
            world.settle(0, 200, None, 0);
        }
        world.flush(usize::MAX);
    }
    let open = world.truth.messages.iter().find(|(_, message)| message.is_open());
    assert!(open.is_none(), "{open:?} is left");
}

/// More of them: `NEARSIDE_SEEDS=20000 cargo test -p queue --release model`.
fn lives() -> ProptestConfig {
    let cases = std::env::var("NEARSIDE_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(100), max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(lives())]

    #[test]
    fn knows_what_is_true(
        rules in some_rules(),
        steps in prop::collection::vec(prop_oneof![3 => work(), 1 => trouble()], 1..250),
    ) {
        let mut world = World::new(rules);
        for step in steps {
            run(&mut world, step);
            compare(&world);
        }
        finish(&mut world);
        world.restart(usize::MAX);
        compare(&world);
    }
}
