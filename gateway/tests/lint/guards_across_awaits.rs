//! What clippy must refuse, looked at by `.ci/lint-fixtures`; built by nothing else. Each line marked with `//~` holds a
//! guard of a DashMap across an await, which stops every task that comes to the same shard meanwhile, and for good when
//! one of them is what is waited for. Clippy does not look into an `Option` of a guard, marked with `//?`: for that the
//! tests see to it that only the registry has a DashMap, and nothing in it waits (`tests/it/tidy.rs`).

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

type Map = DashMap<u64, Arc<u64>>;

async fn elsewhere() {}

async fn by_let(map: &Map) -> u64 {
    let room = map.get(&1).unwrap(); //~
    elsewhere().await;
    **room
}

async fn by_let_else(map: &Map) -> u64 {
    let Some(room) = map.get(&1) else { return 0 }; //~
    elsewhere().await;
    **room
}

async fn by_option(map: &Map) -> bool {
    let room = map.get(&1); //?
    elsewhere().await;
    room.is_some()
}

async fn by_if_let(map: &Map) -> u64 {
    //~
    if let Some(room) = map.get(&1) {
        elsewhere().await;
        return **room;
    }
    0
}

async fn by_match(map: &Map) {
    //?
    match map.get(&1) {
        Some(_) => elsewhere().await,
        None => {}
    }
}

async fn mutably(map: &Map) {
    let mut room = map.get_mut(&1).unwrap(); //~
    elsewhere().await;
    *room = Arc::new(2);
}

async fn by_entry(map: &Map) {
    let entry = map.entry(1); //~
    elsewhere().await;
    if let Entry::Vacant(entry) = entry {
        entry.insert(Arc::new(1));
    }
}

async fn by_iterator(map: &Map) {
    //~
    for room in map.iter() {
        elsewhere().await;
        drop(room);
    }
}

async fn of_a_copy(map: &Map) -> u64 {
    let room = map.get(&1).map(|room| Arc::clone(&room));
    elsewhere().await;
    room.map_or(0, |room| *room)
}

fn main() {
    let map = Map::new();
    drop(async {
        by_let(&map).await;
        by_let_else(&map).await;
        by_option(&map).await;
        by_if_let(&map).await;
        by_match(&map).await;
        mutably(&map).await;
        by_entry(&map).await;
        by_iterator(&map).await;
        of_a_copy(&map).await;
    });
}
