//! A failover whose old server can still be reached: some cores apply to one, some to the other, and only the
//! generation tells them apart. One seat, two changes of it, loaders and workers that may pause anywhere.

use crate::checker::{Milestone, Model};

/// Changes in all; each gives the seat the next version.
pub const CHANGES: usize = 2;
pub const TASKS: usize = 3;
const GENERATION_MAX: u8 = 3;

/// The design, or one guard taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Design,
    /// apply does not compare the generation.
    ApplyAnyGeneration,
    /// A row is marked whatever generation it was applied under.
    MarkAnyGeneration,
    /// The run id is not compared: the promoted copy goes on as if it had been loaded there.
    NoRunId,
}

impl Variant {
    /// Every variant that lacks something.
    pub const BROKEN: [Self; 3] = [Self::ApplyAnyGeneration, Self::MarkAnyGeneration, Self::NoRunId];

    /// The property that it violates first; `None` for the design.
    pub const fn violates(self) -> Option<&'static str> {
        match self {
            Self::Design => None,
            _ => Some(EQUAL),
        }
    }
}

pub const EQUAL: &str = "at rest a whole map under the ledger's generation equals the ledger";

/// A show's state on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Server {
    pub generation: u8,
    /// Loaded on this very server.
    pub own_run: bool,
    pub complete: bool,
    /// Version of the seat; 0 unknown.
    pub known: u8,
}

/// What a worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// A transaction has the row's lock and has read the generation; next is COMMIT.
    Locked {
        generation: u8,
    },
    /// Next is apply at a server.
    Apply {
        version: u8,
        generation: u8,
        server: usize,
        again: bool,
    },
    /// Applied under a generation; next is the mark.
    Mark {
        version: u8,
        generation: u8,
    },
    /// A loader has read the ledger's generation.
    RowRead {
        expected: u8,
        server: usize,
    },
    /// It has one of its own; next is load.
    Taken {
        generation: u8,
        server: usize,
    },
    /// Next is the SELECT.
    Loaded {
        generation: u8,
        server: usize,
    },
    /// Next are apply and complete.
    HasRows {
        generation: u8,
        server: usize,
        version: u8,
    },
    Idle,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The ledger: the seat's version, the generation, rows that are not marked (by version).
    pub version: u8,
    pub generation: u8,
    pub outbox: [bool; CHANGES + 2],
    /// The old server, and the new one once it is promoted.
    pub old: Server,
    pub new: Option<Server>,
    /// A replica's copy on its way to be promoted.
    pub copy: Option<Server>,
    pub tasks: [Task; TASKS],
    pub begun: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A transaction locks the seat; nobody else can until it ends.
    Begin,
    /// The relay takes a row.
    Relay(u8, usize),
    /// A core finds that a server needs loading.
    Load(usize),
    /// A task does what is next; after a commit the core applies at this server.
    Step(usize, usize),
    /// A task's core dies.
    Crash(usize),
    /// A replica has this state.
    Copy,
    /// It is promoted. Whoever is connected to the old server stays there.
    Promote,
}

/// The model under one variant.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    pub variant: Variant,
}

impl Split {
    fn is(&self, variant: Variant) -> bool {
        self.variant == variant
    }

    /// The show as a script finds it: of this server.
    fn loaded(&self, state: &State, server: usize) -> Option<Server> {
        let found = if server == 0 { Some(state.old) } else { state.new };
        found.filter(|found| found.own_run || self.is(Variant::NoRunId))
    }

    fn needs_load(&self, state: &State, server: usize) -> bool {
        self.loaded(state, server).is_none_or(|show| !show.complete || show.generation < state.generation)
    }

    fn step(&self, state: &mut State, at: usize, reach: usize) {
        state.tasks[at] = match state.tasks[at] {
            Task::Locked { generation } => {
                state.version += 1;
                state.outbox[usize::from(state.version)] = true;
                Task::Apply { version: state.version, generation, server: reach, again: false }
            }
            Task::Apply { version, generation, server, again } => match self.loaded(state, server) {
                None => Task::Mark { version, generation },
                Some(show) if show.generation != generation && !self.is(Variant::ApplyAnyGeneration) => {
                    let moved = generation != state.generation;
                    if again && moved {
                        Task::Apply { version, generation: state.generation, server, again: false }
                    } else {
                        Task::Idle
                    }
                }
                Some(show) => {
                    put(state, server, Server { known: show.known.max(version), ..show });
                    Task::Mark { version, generation }
                }
            },
            Task::Mark { version, generation } => {
                if generation == state.generation || self.is(Variant::MarkAnyGeneration) {
                    state.outbox[usize::from(version)] = false;
                }
                Task::Idle
            }
            Task::RowRead { expected, server } if state.generation == expected => {
                let found = if server == 0 { Some(state.old) } else { state.new };
                state.generation = expected.max(found.map_or(0, |show| show.generation)) + 1;
                Task::Taken { generation: state.generation, server }
            }
            Task::Taken { generation, server } => {
                let found = if server == 0 { Some(state.old) } else { state.new };
                if found.is_some_and(|show| show.generation >= generation) {
                    Task::Idle
                } else {
                    put(state, server, Server { generation, own_run: true, complete: false, known: 0 });
                    Task::Loaded { generation, server }
                }
            }
            Task::Loaded { generation, server } if state.generation == generation => {
                Task::HasRows { generation, server, version: state.version }
            }
            Task::HasRows { generation, server, version } => {
                if let Some(show) = self.loaded(state, server).filter(|show| show.generation == generation) {
                    put(state, server, Server { known: show.known.max(version), complete: true, ..show });
                }
                Task::Idle
            }
            Task::RowRead { .. } | Task::Loaded { .. } | Task::Idle => Task::Idle,
        };
    }
}

const fn put(state: &mut State, server: usize, show: Server) {
    if server == 0 {
        state.old = show;
    } else {
        state.new = Some(show);
    }
}

fn start(state: &mut State, task: Task) {
    if let Some(idle) = state.tasks.iter_mut().find(|task| **task == Task::Idle) {
        *idle = task;
    }
}

impl Model for Split {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        State {
            version: 1,
            generation: 1,
            outbox: [false; CHANGES + 2],
            old: Server { generation: 1, own_run: true, complete: true, known: 1 },
            new: None,
            copy: None,
            tasks: [Task::Idle; TASKS],
            begun: 0,
        }
    }

    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        let servers: &[usize] = if state.new.is_some() { &[0, 1] } else { &[0] };
        if state.tasks.contains(&Task::Idle) {
            let is_locked = state.tasks.iter().any(|task| matches!(task, Task::Locked { .. }));
            if usize::from(state.begun) < CHANGES && !is_locked {
                out.push(Action::Begin);
            }
            for server in servers {
                let open = (0_u8..).zip(state.outbox).filter(|(_, open)| *open);
                out.extend(open.map(|(version, _)| Action::Relay(version, *server)));
                if state.generation < GENERATION_MAX && self.needs_load(state, *server) {
                    out.push(Action::Load(*server));
                }
            }
        }
        for (at, task) in state.tasks.iter().enumerate() {
            match task {
                Task::Idle => {}
                Task::Locked { .. } => out.extend(servers.iter().map(|server| Action::Step(at, *server))),
                _ => out.extend([Action::Step(at, 0), Action::Crash(at)]),
            }
        }
        if state.copy.is_none() && state.new.is_none() {
            out.push(Action::Copy);
        }
        if state.copy.is_some() {
            out.push(Action::Promote);
        }
    }

    fn next(&self, state: &State, action: Action) -> State {
        let mut next = state.clone();
        match action {
            Action::Begin => {
                next.begun += 1;
                start(&mut next, Task::Locked { generation: state.generation });
            }
            Action::Relay(version, server) => {
                start(&mut next, Task::Apply { version, generation: state.generation, server, again: true });
            }
            Action::Load(server) => start(&mut next, Task::RowRead { expected: state.generation, server }),
            Action::Step(at, reach) => self.step(&mut next, at, reach),
            Action::Crash(at) => next.tasks[at] = Task::Idle,
            Action::Copy => next.copy = Some(state.old),
            Action::Promote => next.new = next.copy.take().map(|copy| Server { own_run: false, ..copy }),
        }
        next.tasks.sort_unstable();
        next
    }

    fn violated(&self, state: &State, _: &[Action]) -> Option<&'static str> {
        // Whoever reaches a promoted server loads it there.
        let is_loaded = state.new.is_none() || !self.needs_load(state, 1);
        let is_at_rest =
            is_loaded && state.tasks.iter().all(|task| *task == Task::Idle) && !state.outbox.contains(&true);
        let differs = |server| {
            self.loaded(state, server)
                .is_some_and(|show| show.complete && show.generation == state.generation && show.known != state.version)
        };
        (is_at_rest && (differs(0) || differs(1))).then_some(EQUAL)
    }

    fn milestones(&self) -> Vec<Milestone<State>> {
        vec![
            ("both servers were whole, one of them dead", |s| {
                s.old.complete
                    && s.new.is_some_and(|new| new.complete && new.own_run && new.generation > s.old.generation)
            }),
            ("both changes were marked after a failover", |s| {
                usize::from(s.version) == CHANGES + 1 && !s.outbox.contains(&true) && s.new.is_some()
            }),
        ]
    }
}
