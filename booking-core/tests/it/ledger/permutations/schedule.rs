//! Walks every path through the tree of choices of one scene: at each point any session that is stopped before a step
//! may go on; one that waits for a lock may not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::stage::Stage;
use super::wire::{At, Door};
use crate::ledger::rig::PATIENCE;

/// How often a path is walked again whose choices were others than the first time (a time limit of the product came
/// in between on a slow machine).
const WALKS_MAX: u32 = 20;

/// One session of a scene: what it does, by name, at its door; it answers in a word.
pub(super) type Session = (&'static str, Door, BoxFuture<'static, String>);

/// Sessions that start together, and every end that they may come to.
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// Each of them must come up, and nothing else.
    pub(super) ends: &'static [&'static str],
    /// Steps to stop before, where they are not the stage's.
    steps: Option<&'static [&'static str]>,
}

impl Scene {
    pub(super) const fn new(name: &'static str, ends: &'static [&'static str]) -> Self {
        Self { name, ends, steps: None }
    }

    /// Stops before these steps.
    pub(super) const fn stopping(self, steps: &'static [&'static str]) -> Self {
        Self { steps: Some(steps), ..self }
    }
}

/// A choice: who could go on, and which of them did.
type Choice = (Vec<usize>, usize);

/// Walks all paths, each in a numbered world of its own; answers how many there were.
pub(super) async fn walk(stage: &Stage, scene: &Scene, prepare: impl AsyncFn(u32) -> Vec<Session>) -> usize {
    let mut path: Vec<Choice> = Vec::new();
    // Each end, how often it came up, and one way to it.
    let mut ends: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    let (mut schedules, mut walks, mut steps) = (0, 0, 0);
    loop {
        let number = stage.next();
        let sessions = prepare(number).await;
        let Some((walked, trace)) = follow(stage, scene, sessions, &path).await else {
            walks += 1;
            assert!(walks < WALKS_MAX, "{}: a path could not be walked again: {path:?}", scene.name);
            stage.clear().await;
            continue;
        };
        (path, walks) = (walked, 0);
        schedules += 1;
        steps += path.len();
        stage.settle_rest().await;
        let end = format!("{} | {}", stage.end_of(number).await, trace.answers.join(", "));
        let wrong = stage.violations(number).await;
        assert_eq!(wrong, 0, "{}: violations at the end {end:?} of {:#?}", scene.name, trace.steps);
        ends.entry(end).or_insert((0, trace.steps)).0 += 1;
        stage.clear().await;
        // The last choice with another session left is taken otherwise next time.
        loop {
            let Some((options, taken)) = path.last_mut() else {
                println!("{}: {schedules} schedules, {steps} steps, {} ends", scene.name, ends.len());
                for (end, (times, way)) in &ends {
                    println!("  {times:>5} x {end}");
                    assert!(scene.ends.contains(&end.as_str()), "{}: unexpected end {end:?} of {way:#?}", scene.name);
                }
                assert_eq!(ends.len(), scene.ends.len(), "{}: an end never came up: {ends:#?}", scene.name);
                return schedules;
            };
            if *taken + 1 < options.len() {
                *taken += 1;
                break;
            }
            path.pop();
        }
    }
}

#[derive(Default)]
struct Trace {
    steps: Vec<String>,
    answers: Vec<String>,
}

/// Runs one schedule: the given choices first, then always the first session that can go on. `None` when the choices
/// were not there.
async fn follow(stage: &Stage, scene: &Scene, sessions: Vec<Session>, path: &[Choice]) -> Option<(Vec<Choice>, Trace)> {
    let mut doors = Vec::new();
    let mut tasks = Vec::new();
    for (name, door, work) in sessions {
        door.begin(scene.steps.or(stage.steps));
        doors.push((name, door.clone()));
        tasks.push(tokio::spawn(async move {
            let answer = work.await;
            door.done();
            answer
        }));
        // One after the other up to its first step, so that what each prepares has one order.
        stand_still(stage, &doors, &mut Waiting::default()).await;
    }
    let mut walked: Vec<Choice> = Vec::new();
    let mut trace = Trace::default();
    let mut repeated = true;
    let mut waiting = Waiting::default();
    loop {
        stand_still(stage, &doors, &mut waiting).await;
        let options: Vec<usize> =
            (0..doors.len()).filter(|&session| matches!(doors[session].1.at(), At::Step(_))).collect();
        if options.is_empty() {
            let stuck: Vec<_> = doors.iter().filter(|(_, door)| door.at() != At::Done).map(|(name, _)| name).collect();
            assert!(stuck.is_empty(), "{}: {stuck:?} wait for each other after {:#?}", scene.name, trace.steps);
            break;
        }
        let taken = match path.get(walked.len()).filter(|_| repeated) {
            Some((then, taken)) if *then == options => *taken,
            // Run to its end all the same, so that nothing of it is left.
            Some(_) => {
                repeated = false;
                0
            }
            None => 0,
        };
        let (name, door) = &doors[options[taken]];
        if let At::Step(step) = door.at() {
            trace.steps.push(format!("{name}: {step}"));
        }
        door.let_go();
        walked.push((options, taken));
    }
    for ((name, door), task) in doors.iter().zip(tasks) {
        trace.answers.push(format!("{name}: {}", task.await.unwrap()));
        for code in door.take_errors() {
            // A unique index may speak; a deadlock may not, and a time limit only on a slow machine.
            assert_ne!(code, "40P01", "{}: deadlock in {:#?}", scene.name, trace.steps);
            repeated &= code == "23505";
        }
    }
    (repeated && walked.len() >= path.len()).then_some((walked, trace))
}

/// Sessions that the server said wait for a lock, when so many transactions had ended. Locks are given back at the end
/// of a transaction only: until the next one ends, they need not be asked for again.
#[derive(Default)]
struct Waiting {
    sessions: Vec<usize>,
    ended: u64,
}

/// Waits until every session is stopped before a step, waits for a lock of another one, or is done.
async fn stand_still(stage: &Stage, doors: &[(&'static str, Door)], waiting: &mut Waiting) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let running: Vec<usize> = (0..doors.len()).filter(|&session| doors[session].1.at() == At::Running).collect();
        let ended = doors.iter().map(|(_, door)| door.ended()).sum();
        if ended != waiting.ended {
            *waiting = Waiting { sessions: Vec::new(), ended };
        }
        if running.iter().all(|session| waiting.sessions.contains(session)) {
            return;
        }
        let moved: &Arc<Notify> = &stage.moved;
        if tokio::time::timeout(Duration::from_micros(500), moved.notified()).await.is_ok() {
            continue;
        }
        let pids = |sessions: &[usize]| sessions.iter().map(|&session| doors[session].1.pid()).collect::<Vec<_>>();
        let all: Vec<usize> = (0..doors.len()).collect();
        // As the server's own isolation tests ask it. A session may have moved meanwhile: then it is not blocked.
        if stage.blocked(&pids(&running), &pids(&all)).await == running.len()
            && running.iter().all(|&session| doors[session].1.at() == At::Running)
        {
            waiting.sessions = running;
            return;
        }
        assert!(Instant::now() < deadline, "neither moves nor waits: {:?}", stuck(doors));
    }
}

fn stuck(doors: &[(&'static str, Door)]) -> Vec<(&'static str, At)> {
    doors.iter().map(|(name, door)| (*name, door.at())).collect()
}
