//! One fault that was fired.

use std::time::{Duration, Instant};

use super::inject::Injected;
use super::{Fault, InFlight, Normal, Outcome, Since};
use crate::launcher::Stack;

/// A fault that is, or was, in effect.
#[derive(Debug)]
pub struct Shot {
    pub fault: Fault,
    /// Commands that customers waited for when it was fired; never 0.
    pub in_flight: usize,
    pub fired: Instant,
    healed: Option<Instant>,
    injected: Injected,
}

impl Fault {
    /// Waits until commands that this fault is about are in flight, and fires.
    ///
    /// # Errors
    /// When nothing is in flight: a fault that meets no work shows nothing. When it can't be done.
    pub async fn fire(self, stack: &mut Stack, crowd: &InFlight) -> anyhow::Result<Shot> {
        let in_flight = self.meets(crowd).await?;
        let injected = self.inject(stack).await?;
        Ok(Shot { fault: self, in_flight, fired: injected.at, healed: None, injected })
    }

    /// For a fault of the viewers, which `done` does to them.
    ///
    /// # Errors
    /// When nothing is in flight, or it can't be done.
    pub async fn fire_at_viewers(
        self,
        crowd: &InFlight,
        done: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Shot> {
        let (in_flight, fired) = (self.meets(crowd).await?, Instant::now());
        done.await?;
        let injected = Injected::at(fired, String::new());
        Ok(Shot { fault: self, in_flight, fired, healed: None, injected })
    }

    /// Waits until commands that this fault is about are in flight; answers how many of all kinds are.
    async fn meets(self, crowd: &InFlight) -> anyhow::Result<usize> {
        let end = Instant::now() + WORK_PATIENCE;
        loop {
            // Another thread may end the last of them between the two looks.
            let (needed, all) = (crowd.count(self.needs()), crowd.count(super::Kind::Any));
            if needed > 0 && all > 0 {
                return Ok(all);
            }
            anyhow::ensure!(Instant::now() < end, "{self:?}: no {:?} command was in flight", self.needs());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Shot {
    /// Takes the fault away.
    ///
    /// # Errors
    /// When that can't be done.
    pub async fn heal(&mut self, stack: &mut Stack) -> anyhow::Result<()> {
        self.fault.undo(stack, &mut self.injected).await?;
        self.healed = Some(Instant::now());
        Ok(())
    }

    /// What there is to tell of it.
    pub fn note(&self) -> &str {
        &self.injected.note
    }

    /// Statements that count what it met and is not done yet.
    pub fn left(&self) -> &[String] {
        &self.injected.left
    }

    /// Waits until all is right again, and what it met is done.
    ///
    /// # Errors
    /// When it is not, long after any bound.
    pub async fn back_to_normal(&self, normal: &Normal) -> anyhow::Result<Outcome> {
        let row = self.fault.row();
        let since = match row.since {
            Since::Fired => self.fired,
            Since::Healed => self.healed.unwrap_or(self.fired),
        };
        let right = normal.wait_and(self.left()).await?;
        let back = right.at.saturating_duration_since(since);
        let mut note = self.injected.note.clone();
        if back > row.bound {
            let failure = right.last_failure.map_or_else(String::new, |failure| format!(", before it: {failure}"));
            note = format!("{note} waited for {}{failure}", right.last_step);
        }
        Ok(Outcome { row, in_flight: self.in_flight, back, note })
    }
}

const WORK_PATIENCE: Duration = Duration::from_secs(60);
