//! Everything that the feed's model knows: the show's state in Redis, two rooms, one viewer.

/// Generations and sequences that fit.
pub const GENERATIONS: usize = 4;
pub const SEQUENCES: usize = 5;

/// A position; ordered as everywhere: generation first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub generation: u8,
    pub sequence: u8,
}

/// Two seats, a bit each: held or not.
pub type Map = u8;
/// Which seats.
pub type Mask = u8;

/// The show in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    pub loaded: bool,
    pub position: Position,
    pub map: Map,
    pub complete: bool,
    /// Loaded on the server that it is on.
    pub own_run: bool,
}

/// A message of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// Absolute statuses of the seats touched.
    Batch { position: Position, touched: Mask, map: Map },
    /// The map starts anew.
    Reset { generation: u8 },
}

/// A snapshot on its way to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fetch {
    pub position: Position,
    pub map: Map,
    /// The subscription that it was fetched under is gone.
    pub void: bool,
}

/// What a room knows once it has a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RoomMap {
    pub position: Position,
    pub floor: Position,
    pub map: Map,
    pub changed_at: [u8; 2],
    /// Where the last round ended, and with which map.
    pub rounded: Position,
    pub rounded_map: Map,
}

/// A gateway's room of the show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Room {
    pub open: bool,
    pub subscribed: bool,
    pub live: bool,
    pub map: Option<RoomMap>,
    pub backlog: Vec<Message>,
    pub fetch: Option<Fetch>,
    /// Published and not delivered yet.
    pub queue: Vec<Message>,
}

impl Room {
    pub fn position(&self) -> Option<Position> {
        self.map.map(|map| map.position)
    }
}

/// A seat frame in the viewer's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Frame {
    Snapshot { position: Position, map: Map },
    Delta { from: Position, to: u8, touched: Mask, map: Map },
}

/// Whether a viewer waits because it claims to be ahead of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parked {
    No,
    /// The core is being asked.
    Asking,
    /// The room has to get there.
    Until(Position),
}

/// The viewer's connection to a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Connection {
    pub room: usize,
    pub cursor: Option<Position>,
    pub parked: Parked,
    pub socket: Vec<Frame>,
}

/// The viewer's own map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View {
    pub position: Position,
    pub map: Map,
}

/// What went wrong in a step and can't be seen in the state that it led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A position was given out for two maps.
    pub reused: bool,
    pub generation_back: bool,
    pub sequence_back: bool,
    /// The viewer got a frame that it could not use.
    pub gap: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub source: Source,
    /// The copy that a failover falls back to.
    pub copy: Option<Source>,
    /// The ledger's generation.
    pub generation: u8,
    /// The true map at each position that was ever given out.
    pub history: [[Option<Map>; SEQUENCES]; GENERATIONS],
    pub rooms: [Room; 2],
    pub connection: Option<Connection>,
    pub view: Option<View>,
    pub changes_left: u8,
    pub losses_left: u8,
    pub drops_left: u8,
    pub moves_left: u8,
    pub wipes_left: u8,
    pub failovers_left: u8,
    pub timeouts_left: u8,
    /// A viewer was let go on without the core's word: its map may go back within a generation.
    pub unasked: bool,
    pub faults: Faults,
}

impl State {
    pub fn truth(&self, position: Position) -> Option<Map> {
        self.history[usize::from(position.generation)][usize::from(position.sequence)]
    }
}
