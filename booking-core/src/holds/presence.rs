//! Who is there, for operators: each gateway and core leaves a note in Redis every second that goes by itself after
//! three. So what is summed over them is right again three seconds after one of them died, whichever core is asked.

use redis::Value;

use seatwire_protocol::ShowId;
use seatwire_protocol::command::Viewers;

use super::HoldError;
use super::keys::{PRESENT, note_key};
use super::reply;
use super::store::HoldStore;

const NOTE_LIVES_S: u64 = 3;

impl HoldStore {
    /// Leaves a note, in place of the last one under this name.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn leave_note(&self, name: &str, note: &str) -> Result<(), HoldError> {
        let connected = self.link().get().await?;
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(note_key(name)).arg(note).arg("EX").arg(NOTE_LIVES_S).ignore();
        pipe.cmd("SADD").arg(PRESENT).arg(name).ignore();
        self.link().pipeline(&connected, &pipe).await.map(drop)
    }

    /// The notes that are still there, with their names.
    ///
    /// # Errors
    /// When Redis is out of reach.
    pub async fn notes(&self) -> Result<Vec<(String, String)>, HoldError> {
        let connected = self.link().get().await?;
        let names = self.link().command(&connected, redis::cmd("SMEMBERS").arg(PRESENT)).await?;
        // A set, where the protocol has sets.
        let (Value::Array(names) | Value::Set(names)) = &names else { return Err(reply::malformed("names")) };
        let names: Vec<&str> = names.iter().map(reply::text).collect::<Result<_, _>>()?;
        let mut pipe = redis::pipe();
        for name in &names {
            pipe.cmd("GET").arg(note_key(name));
        }
        let values = if names.is_empty() { Vec::new() } else { self.link().pipeline(&connected, &pipe).await? };
        let (mut there, mut gone) = (Vec::new(), redis::cmd("SREM"));
        gone.arg(PRESENT);
        for (name, value) in names.iter().zip(&values) {
            match value {
                Value::Nil => drop(gone.arg(*name)),
                note => there.push(((*name).to_owned(), reply::text(note)?.to_owned())),
            }
        }
        if there.len() < names.len() {
            // Who comes back in this moment adds its name again within a second.
            self.link().command(&connected, &gone).await?;
        }
        Ok(there)
    }
}

/// A gateway's note: `show:viewers` of every show that somebody watches, separated by commas.
#[must_use]
pub fn viewers_note(shows: &[ShowId], viewers: &Viewers) -> String {
    let watched = shows.iter().zip(&viewers.counts).filter(|(_, count)| **count > 0);
    watched.map(|(show, count)| format!("{show}:{count}")).collect::<Vec<_>>().join(",")
}

/// The shows and counts of a gateway's note; what can't be read counts for nothing.
pub fn read_viewers(note: &str) -> impl Iterator<Item = (ShowId, u64)> {
    note.split(',').filter_map(|one| {
        let (show, count) = one.split_once(':')?;
        Some((show.parse().ok()?, count.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_note_is_read_as_it_was_written() {
        let shows: Vec<ShowId> = [7, 8, 9].map(|id| ShowId::new(id).unwrap()).to_vec();
        let viewers = Viewers { gateway: "g".to_owned(), part: 0, counts: vec![4000, 0, 1] };
        let read: Vec<_> = read_viewers(&viewers_note(&shows, &viewers)).collect();
        assert_eq!(read, [(shows[0], 4000), (shows[2], 1)]);
        assert_eq!(read_viewers("").count() + read_viewers("7:x,:,8").count(), 0);
    }
}
