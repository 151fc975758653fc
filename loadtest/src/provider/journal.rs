//! The journal: one JSON record a line, appended before the request is answered. It is written, not synced: a killed
//! process loses nothing, a machine that loses power may. A torn last line (killed in the middle of a write) was never
//! answered for and is cut off at the next start; damage anywhere else is an error, not a guess.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::ledger::{Ledger, Record};

pub(crate) struct Journal {
    file: File,
    /// Bytes of whole records.
    length: u64,
    /// A failed write could not be undone: nothing may follow it.
    broken: bool,
}

impl Journal {
    /// Opens `dir`/journal.jsonl, for this process alone, and replays it.
    pub(crate) fn open(dir: &Path) -> anyhow::Result<(Self, Ledger)> {
        std::fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
        let path: PathBuf = dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("can't open {}", path.display()))?;
        if file.try_lock().is_err() {
            bail!("{} is in use by another provider", path.display());
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let (ledger, length) = replay(&text).with_context(|| format!("{} is damaged", path.display()))?;
        let mut journal = Self { file, length, broken: false };
        journal.cut()?;
        Ok((journal, ledger))
    }

    /// Adds one record; after an error nothing of it remains.
    pub(crate) fn append(&mut self, record: &Record) -> std::io::Result<()> {
        if self.broken {
            return Err(std::io::Error::other("an earlier write failed and could not be undone"));
        }
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            self.broken = self.cut().is_err();
            return Err(error);
        }
        self.length = self.length.saturating_add(line.len() as u64);
        Ok(())
    }

    /// Back to the end of the last whole record.
    fn cut(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(())
    }
}

impl Drop for Journal {
    /// By itself the lock would last until the last copy of the file is closed, and a process that is just being started has
    /// one for a moment.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// The ledger of all whole lines, and their length.
fn replay(text: &[u8]) -> anyhow::Result<(Ledger, u64)> {
    let mut ledger = Ledger::default();
    let mut length = 0_usize;
    for record in records(text) {
        let (record, bytes) = record?;
        ledger.apply(record);
        length += bytes;
    }
    Ok((ledger, length as u64))
}

/// The records of all whole lines, each with its length.
pub(crate) fn records(text: &[u8]) -> impl Iterator<Item = anyhow::Result<(Record, usize)>> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
    let whole = lines.take_while(|(_, line)| {
        let whole = line.ends_with(b"\n");
        if !whole {
            tracing::warn!(bytes = line.len(), "left a torn last line out of the journal");
        }
        whole
    });
    whole.map(|(index, line)| {
        let record = serde_json::from_slice(line).with_context(|| format!("line {}", index + 1))?;
        Ok((record, line.len()))
    })
}

/// Its name in the provider's folder.
pub(crate) const FILE: &str = "journal.jsonl";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::entities::{Order, OrderStatus};

    fn order(id: &str) -> Record {
        let order = Order {
            id: id.to_owned(),
            amount: 100,
            amount_paid: 0,
            currency: "INR".to_owned(),
            receipt: None,
            status: OrderStatus::Created,
            attempts: 0,
            notes: serde_json::Map::new(),
            created_at: 0,
        };
        Record { orders: vec![order], ..Record::default() }
    }

    #[test]
    fn a_torn_last_line_is_cut_and_the_journal_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        {
            let (mut journal, _) = Journal::open(dir.path()).unwrap();
            journal.append(&order("order_1")).unwrap();
            journal.append(&order("order_2")).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        // Cut inside the second record, at every byte.
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in first..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (mut journal, ledger) = Journal::open(dir.path()).unwrap();
            assert!(ledger.order("order_1").is_some() && ledger.order("order_2").is_none(), "cut at {length}");
            journal.append(&order("order_3")).unwrap();
            drop(journal);
            let (_, ledger) = Journal::open(dir.path()).unwrap();
            assert!(ledger.order("order_3").is_some(), "cut at {length}");
        }
    }

    #[test]
    fn damage_in_the_middle_and_a_second_provider_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&order("order_1")).unwrap();
        assert!(Journal::open(dir.path()).is_err_and(|error| error.to_string().contains("in use")));
        drop(journal);
        std::fs::write(dir.path().join("journal.jsonl"), "{\"orders\":[{]}\n{}\n").unwrap();
        assert!(Journal::open(dir.path()).is_err_and(|error| error.to_string().contains("damaged")));
    }
}
