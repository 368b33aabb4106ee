//! Any sequence of operations, against a model of a few lines.

use std::time::Duration;

use proptest::prelude::*;
use stride::event::Counts;
use stride::job::{Class, JobId, JobState, Outcome, Position, Step, StepKind};
use stride::limits::Cost;
use stride::retry::{Next, Record};
use stride::store::{Chosen, Claim, Filter, Redo, Store, StoreError, bring_back, forget};

use crate::support::{
    BYSTANDER, Fixture, POLICY, advanced, failed, in_doubt, not_ready, settlement,
    settlement_under, succeeded, throttled, unreachable, unsendable,
};

#[derive(Debug, Clone)]
enum Operation {
    /// Loads this many names from this one on, of which some exist already.
    Load(usize, usize),
    /// Claims the pending job after this many others, if there is one.
    Claim(usize),
    /// Claims the waiting job after this many others, if there is one.
    GoOn(usize),
    /// Settles one of the claims in flight.
    Settle(usize, usize, bool),
    /// Claims a job and drops the group, or settles one and drops it.
    Abandon(usize),
    Crash,
    /// An answer comes for one of the claims that are settled already, or whose runner has died.
    Late(usize, usize),
    /// Saves the outcomes of claims in flight, and crashes. The next runner imports them, or another one recovers first.
    Rescue(usize, bool),
    Requeue(bool),
    /// Sets the result of a done job aside.
    Redo(usize),
    /// Brings back the results that were set aside: of one job, or all.
    Restore(Option<usize>),
    /// Forgets a job, or brings it back: in the run's process, or in another one.
    Forget {
        job: usize,
        back: bool,
        beside: bool,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => (0usize..12, 0usize..4).prop_map(|(from, n)| Operation::Load(from, n)),
        6 => (0usize..6).prop_map(Operation::Claim),
        6 => (0usize..3).prop_map(Operation::GoOn),
        9 => (0usize..4, 0usize..OUTCOMES, any::<bool>()).prop_map(|(i, outcome, hold)| Operation::Settle(i, outcome, hold)),
        1 => (0usize..4).prop_map(Operation::Abandon),
        1 => Just(Operation::Crash),
        2 => (0usize..8, 0usize..OUTCOMES).prop_map(|(i, outcome)| Operation::Late(i, outcome)),
        1 => (0usize..OUTCOMES, any::<bool>()).prop_map(|(outcome, late)| Operation::Rescue(outcome, late)),
        1 => any::<bool>().prop_map(Operation::Requeue),
        2 => (0usize..8).prop_map(Operation::Redo),
        2 => prop::option::of(0usize..8).prop_map(Operation::Restore),
        2 => (0usize..8, any::<bool>(), any::<bool>()).prop_map(|(job, back, beside)| Operation::Forget { job, back, beside }),
    ]
}

const OUTCOMES: usize = 14;

fn outcome(i: usize) -> Outcome {
    match i {
        0 => succeeded("{}"),
        1 => failed(Class::Rejected, Some(422), "m"),
        2 => failed(Class::Rejected, Some(409), "m"),
        3 => failed(Class::Transient, Some(500), "m"),
        4 => throttled(Some(Duration::from_secs(1))),
        5 => unreachable(),
        6 => unsendable(),
        7 => Outcome::Interrupted,
        8 => failed(Class::BadResponse, Some(200), "m"),
        9 => failed(Class::Auth, Some(401), "m"),
        10 => advanced("{}", StepKind::Poll),
        11 => advanced("{}", StepKind::Write),
        12 => not_ready(),
        _ => in_doubt(),
    }
}

/// The expected contents of the store: the jobs in list order, and the counts that do not follow from them.
#[derive(Default)]
struct Model {
    jobs: Vec<Job>,
    attempts: u64,
    in_doubt: u64,
    recovered: u64,
}

struct Job {
    name: String,
    state: JobState,
    /// Its state before it was forgotten.
    was: JobState,
    attempts: u32,
    record: Record,
    has_result: bool,
    /// Number of its results that were set aside.
    set_aside: u32,
    /// The class of its last failure.
    class: Option<Class>,
    /// Its next step, from the first answer on.
    next: Option<Step>,
    /// Number of polls of its last attempt, if that was answered "not ready".
    polled: Option<u32>,
}

impl Job {
    /// The step of its next call.
    fn step(&self) -> Step {
        let step = self.next.unwrap_or(Step::FIRST);
        let polls = match step.kind {
            StepKind::Poll => self.polled.unwrap_or(0) + 1,
            _ => 0,
        };
        Step { polls, ..step }
    }

    /// Its state when it is called again.
    fn open(&self) -> JobState {
        match self.next {
            Some(_) => JobState::Waiting,
            None => JobState::Pending,
        }
    }
}

impl Model {
    fn add(&mut self, name: &str) {
        if self.jobs.iter().all(|job| job.name != name) {
            let (name, record) = (name.to_owned(), Record::default());
            self.jobs.push(Job {
                name,
                state: JobState::Pending,
                was: JobState::Pending,
                attempts: 0,
                record,
                has_result: false,
                set_aside: 0,
                class: None,
                next: None,
                polled: None,
            });
        }
    }

    fn claim(&mut self, index: usize) {
        let job = &mut self.jobs[index];
        job.state = JobState::Running;
        // Further polls belong to the same attempt.
        if job.polled.is_none() {
            job.attempts += 1;
            self.attempts += 1;
        }
    }

    fn go(&mut self, index: usize, (next, record): (Next, Record), outcome: &Outcome) {
        let job = &mut self.jobs[index];
        let step = job.step();
        job.polled = None;
        match next {
            Next::Done => job.next = None,
            Next::Advance(_) => {
                let Outcome::Advanced { next: kind, .. } = outcome else {
                    unreachable!()
                };
                job.next = Some(Step {
                    index: step.index + 1,
                    kind: *kind,
                    ..Step::FIRST
                });
            }
            Next::Poll(_) => {
                job.polled = Some(step.polls.max(1));
                job.next = Some(Step {
                    kind: StepKind::Poll,
                    asked: step.asked + 1,
                    ..step
                });
            }
            Next::Again(_) | Next::Fail | Next::Hold => {}
        }
        job.state = match next {
            Next::Done => JobState::Done,
            Next::Again(_) | Next::Advance(_) | Next::Poll(_) => job.open(),
            Next::Fail => JobState::Failed,
            Next::Hold => JobState::Held,
        };
        job.record = record;
        job.has_result = matches!(outcome, Outcome::Succeeded(_));
        job.class = outcome.failure().map(|failure| failure.class);
        self.in_doubt += u64::from(matches!(outcome, Outcome::InDoubt(_)));
    }

    fn crash(&mut self) {
        let is_running = |job: &&Job| job.state == JobState::Running;
        let alone = self.jobs.iter().filter(is_running).count() == 1;
        for index in 0..self.jobs.len() {
            if self.jobs[index].state == JobState::Running {
                self.go(
                    index,
                    POLICY.after_death(self.jobs[index].record, &self.jobs[index].step(), alone),
                    &in_doubt(),
                );
                self.recovered += 1;
            }
        }
    }

    fn requeue(&mut self, from: JobState) -> u64 {
        let mut moved = 0;
        for job in self.jobs.iter_mut().filter(|job| job.state == from) {
            if let Some(step) = &mut job.next {
                step.asked = 0;
            }
            (job.state, job.record.charged, job.record.crashes) = (job.open(), 0, 0);
            let passes = matches!(job.class, Some(Class::Transient | Class::Throttled));
            job.record.failed_before |= from == JobState::Failed && passes;
            moved += 1;
        }
        moved
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.jobs
            .iter()
            .for_each(|job| *counts.of_mut(job.state) += 1);
        Counts {
            total: self.jobs.len() as u64 - counts.forgotten,
            attempts: self.attempts,
            in_doubt: self.in_doubt,
            in_doubt_recovered: self.recovered,
            ..counts
        }
    }
}

/// A store, its model, and the claims in flight with the positions of their jobs in the list.
struct Run {
    fixture: Fixture,
    store: Option<Store>,
    model: Model,
    flights: Vec<(usize, Claim)>,
    /// Claims that the store must not record any more.
    over: Vec<Claim>,
}

impl Run {
    fn new() -> Self {
        let fixture = Fixture::new(&["0", "1", "2", "3"]);
        let mut model = Model {
            attempts: 1,
            ..Model::default()
        };
        ["0", "1", "2", "3", BYSTANDER]
            .iter()
            .for_each(|name| model.add(name));
        let bystander = &mut model.jobs[4];
        (bystander.state, bystander.attempts, bystander.has_result) = (JobState::Done, 1, true);
        bystander.record.generation = 1;
        let store = Some(fixture.start());
        Self {
            fixture,
            store,
            model,
            flights: Vec::new(),
            over: Vec::new(),
        }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn step(&mut self, operation: &Operation) {
        match *operation {
            Operation::Load(from, n) => {
                let names: Vec<String> = (from..from + n).map(|i| i.to_string()).collect();
                let before = self.model.jobs.len() as u64;
                let loaded = self.store().load(|loader| {
                    names
                        .iter()
                        .try_for_each(|name| loader.add(&name.as_str().into()))
                });
                names.iter().for_each(|name| self.model.add(name));
                assert_eq!(loaded.unwrap().added, self.model.jobs.len() as u64 - before);
            }
            Operation::Claim(skip) => {
                let pending = |job: &&Job| job.state == JobState::Pending;
                let expected = self
                    .model
                    .jobs
                    .iter()
                    .filter(pending)
                    .nth(skip)
                    .map(|job| job.name.clone());
                let mut group = self.store().group().unwrap();
                let offers = group.offer(Position(0), 1000, Duration::MAX).unwrap();
                let Some(offer) = offers.get(skip) else {
                    return assert_eq!(expected, None);
                };
                let claim = group
                    .claim(offer.job, skip, Cost::default(), None)
                    .unwrap()
                    .unwrap();
                group.commit().unwrap();
                assert_eq!(claim.job.path.as_str(), expected.as_deref());
                let index = offer.position.0 as usize;
                assert_eq!(claim.record, self.model.jobs[index].record);
                self.model.claim(index);
                self.flights.push((index, claim));
            }
            Operation::GoOn(skip) => {
                let jobs = self.model.jobs.iter().enumerate();
                let waiting = jobs.filter(|(_, job)| job.state == JobState::Waiting);
                let waiting: Vec<usize> = waiting.map(|(index, _)| index).collect();
                let calm = |index: &&usize| self.model.jobs[**index].record.crashes < 2;
                let mut expected: Vec<usize> = waiting.iter().filter(calm).copied().collect();
                let mut group = self.store().group().unwrap();
                let due = group.due(0, 1000, Duration::MAX).unwrap().jobs;
                let mut due: Vec<usize> = due.iter().map(|(job, _)| job.0 as usize).collect();
                due.sort_unstable();
                expected.sort_unstable();
                // All waits are zero, but a throttle's second.
                assert!(due.iter().all(|index| expected.contains(index)));
                let Some(index) = waiting.get(skip).copied() else {
                    return;
                };
                let job = JobId(index as i64);
                let claim = group.claim(job, skip, Cost::default(), None).unwrap();
                let claim = claim.unwrap();
                group.commit().unwrap();
                let job = &self.model.jobs[index];
                let (step, expected) = (claim.attempt.step, job.step());
                assert_eq!(
                    (step.index, step.kind, step.asked, step.polls),
                    (
                        expected.index,
                        expected.kind,
                        expected.asked,
                        expected.polls
                    )
                );
                assert_eq!(claim.job.answers.len(), usize::from(step.index));
                self.model.claim(index);
                assert_eq!(claim.attempt.id.number, self.model.jobs[index].attempts);
                self.flights.push((index, claim));
            }
            Operation::Settle(i, which, hold) if i < self.flights.len() => {
                let (index, claim) = self.flights.swap_remove(i);
                let mut policy = POLICY;
                if hold {
                    policy.in_doubt = stride::retry::DoubtPolicy::Hold;
                }
                let settlement = settlement_under(&policy, &claim, outcome(which));
                let mut group = self.store().group().unwrap();
                group.settle(&settlement).unwrap();
                group.commit().unwrap();
                let next = (settlement.next, settlement.record);
                self.model.go(index, next, &settlement.outcome);
                self.over.push(claim);
            }
            Operation::Settle(..) => {}
            Operation::Abandon(i) => {
                let flight = self.flights.get(i).map(|(_, claim)| claim.clone());
                let mut group = self.store().group().unwrap();
                if let Some(claim) = flight {
                    group.settle(&settlement(&claim, succeeded("{}"))).unwrap();
                }
                for offer in group.offer(Position(0), 2, Duration::MAX).unwrap() {
                    group.claim(offer.job, 0, Cost::default(), None).unwrap();
                }
            }
            Operation::Crash => {
                drop(self.store.take());
                self.store = Some(self.fixture.start());
                self.model.crash();
                let cut_off = self.flights.drain(..).map(|(_, claim)| claim);
                self.over.extend(cut_off);
            }
            Operation::Late(i, which) => {
                let Some(claim) = self.over.iter().rev().nth(i).cloned() else {
                    return;
                };
                let mut group = self.store().group().unwrap();
                let refused = group.settle(&settlement(&claim, outcome(which)));
                assert!(
                    matches!(refused, Err(StoreError::Stale { .. })),
                    "{refused:?}"
                );
            }
            Operation::Rescue(which, late) => {
                let mut rescue = self.store().rescue();
                let flights = std::mem::take(&mut self.flights);
                let mut saved = Vec::new();
                for (index, claim) in flights {
                    let settlement = settlement_under(&POLICY, &claim, outcome(which));
                    rescue.save(&[(&claim, &settlement)]);
                    saved.push((index, settlement));
                    self.over.push(claim);
                }
                assert_eq!(rescue.finish().saved, saved.len() as u64);
                drop(self.store.take());
                // An earlier recovery makes a difference only to claims in doubt.
                let doubt = matches!(outcome(which), Outcome::InDoubt(_));
                if late {
                    self.store = Some(self.fixture.start());
                    drop(self.store.take());
                }
                let mut store = self.fixture.open();
                let (imported, refused) = store.import_rescues().unwrap();
                assert!(imported.iter().all(|file| file.left.is_empty()) && refused.is_empty());
                store.start(1, &POLICY).unwrap();
                self.store = Some(store);
                if late && doubt {
                    return self.model.crash();
                }
                for (index, settlement) in saved {
                    let next = (settlement.next, settlement.record);
                    self.model.go(index, next, &settlement.outcome);
                }
            }
            Operation::Requeue(held) => {
                let from = if held {
                    JobState::Held
                } else {
                    JobState::Failed
                };
                let moved = self
                    .store()
                    .requeue(&Filter {
                        held,
                        ..Filter::default()
                    })
                    .unwrap();
                assert_eq!(moved, self.model.requeue(from));
            }
            Operation::Redo(job) => {
                let (store, job) = self.job(job);
                if job.name == BYSTANDER {
                    return;
                }
                let redone = store
                    .redo(Redo::Names(&[job.name.as_str().into()]))
                    .unwrap();
                assert_eq!(redone.changed == 1, job.state == JobState::Done);
                if redone.changed == 1 {
                    (job.state, job.has_result, job.next) = (JobState::Pending, false, None);
                    (job.record.charged, job.record.crashes) = (0, 0);
                    job.set_aside += 1;
                }
            }
            Operation::Restore(job) => {
                let names = job.map(|job| self.job(job).1.name.clone());
                let is_chosen =
                    |job: &&mut Job| names.as_ref().is_none_or(|name| *name == job.name);
                let mut expected = 0;
                for job in self.model.jobs.iter_mut().filter(is_chosen) {
                    let is_open = matches!(
                        job.state,
                        JobState::Pending | JobState::Waiting | JobState::Failed | JobState::Held
                    );
                    if is_open && job.set_aside > 0 {
                        (job.state, job.has_result, job.next) = (JobState::Done, true, None);
                        job.polled = None;
                        job.set_aside -= 1;
                        expected += 1;
                    }
                }
                let names: Vec<_> = names.iter().map(|name| name.as_str().into()).collect();
                let before = self.fixture.reader().restorable().unwrap();
                let restored = self.store().restore(&names).unwrap();
                assert_eq!(restored.changed, expected);
                let after = self.fixture.reader().restorable().unwrap();
                assert_eq!(after, before - expected);
            }
            Operation::Forget { job, back, beside } => self.forget(job, back, beside),
        }
    }

    /// The store, and a job of the model.
    fn job(&mut self, job: usize) -> (&mut Store, &mut Job) {
        let jobs = &mut self.model.jobs;
        let job = job % jobs.len();
        (self.store.as_mut().unwrap(), &mut jobs[job])
    }

    fn forget(&mut self, job: usize, back: bool, beside: bool) {
        let job = job % self.model.jobs.len();
        let job = &mut self.model.jobs[job];
        if job.name == BYSTANDER {
            return;
        }
        let names = [job.name.as_str().into()];
        let (chosen, database) = (Chosen::Names(&names), self.fixture.database.clone());
        let store = self.store.as_mut().unwrap();
        let made = match (back, beside) {
            (false, false) => store.forget(chosen),
            (true, false) => store.bring_back(chosen),
            (false, true) => forget(&database, chosen),
            (true, true) => bring_back(&database, chosen),
        }
        .unwrap();
        // The next transaction takes in what another process has changed.
        drop(store.group().unwrap());
        let is_running = job.state == JobState::Running;
        let changes = !is_running && (job.state == JobState::Forgotten) == back;
        assert_eq!(
            (made.changed, made.is_refused()),
            (u64::from(changes), is_running && !back)
        );
        if changes && back {
            job.state = job.was;
        } else if changes {
            (job.was, job.state) = (job.state, JobState::Forgotten);
        }
    }

    fn compare(&mut self) {
        let counts = self.model.counts();
        assert_eq!(self.store().counts(), counts);
        let reader = self.fixture.reader();
        assert_eq!(reader.counts().unwrap(), counts);
        let jobs = self.model.jobs.iter();
        let mut jobs = jobs.filter(|job| job.state != JobState::Forgotten);
        let each = &mut |record: stride::store::Record| {
            let job = jobs.next().unwrap();
            assert_eq!(record.path.as_str(), Some(job.name.as_str()));
            assert_eq!(
                (record.state, record.attempts),
                (job.state, job.attempts),
                "{}",
                job.name
            );
            assert_eq!(record.result.is_some(), job.has_result, "{}", job.name);
            Ok::<_, StoreError>(())
        };
        reader.records(true, each).unwrap();
        assert_eq!(jobs.count(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_as_its_model(operations in prop::collection::vec(operation(), 1..50)) {
        let mut run = Run::new();
        run.compare();
        for operation in &operations {
            run.step(operation);
            run.compare();
        }
        prop_assert_eq!(run.fixture.problems(), [""; 0]);
    }
}
