//! Which faults, in which order, which of them at the same time: by the seed, or as a list says.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::faults::Fault;
use crate::launcher::can_mount;

/// Flags of scenarios with faults.
#[derive(Debug, Clone, Default, Args)]
pub struct FaultFlags {
    /// So many faults by the seed, every kind once before any comes twice.
    #[arg(long, env = "SEATWIRE_RUN_FAULTS", default_value_t = 0, value_name = "N")]
    pub faults: u32,
    /// Of these, so many at the same time as another one.
    #[arg(long, env = "SEATWIRE_RUN_OVERLAPPING", default_value_t = 33, value_name = "PERCENT",
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub overlapping: u8,
    /// These faults in this order instead, such as kill-gateway,stop-redis+kill-core-in-claim: + is at the same time.
    #[arg(long, env = "SEATWIRE_RUN_FAULT", value_name = "NAME,…", value_delimiter = ',')]
    pub fault: Vec<String>,
    /// The same from a file, a line each; # begins a comment.
    #[arg(long, env = "SEATWIRE_RUN_FAULTS_PLAN", value_name = "FILE")]
    pub faults_plan: Option<PathBuf>,
}

/// Which faults.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Of these kinds, each once before any comes twice.
    Random {
        faults: usize,
        overlapping: u8,
        kinds: Vec<Fault>,
    },
    Listed(Vec<Vec<Fault>>),
}

impl FaultFlags {
    /// Whether anything is asked for.
    pub(in crate::run) fn any(&self) -> bool {
        self.faults > 0 || !self.fault.is_empty() || self.faults_plan.is_some()
    }

    /// # Errors
    /// A name that is no fault, faults that can't overlap, a file that can't be read.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        let mut listed = self.fault.clone();
        if let Some(file) = &self.faults_plan {
            let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
            listed.extend(text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()));
        }
        listed.retain(|item| !item.is_empty());
        if listed.is_empty() {
            let faults = usize::try_from(self.faults)?;
            // A small disk has to be mounted.
            let (disks, known) = (can_mount(), Fault::ALL.into_iter().filter(|fault| fault.is_for_random()));
            let kinds = known.filter(|fault| disks || !fault.needs_disks()).collect();
            return Ok(Plan::Random { faults, overlapping: self.overlapping, kinds });
        }
        let volleys: Vec<Vec<Fault>> = listed.iter().map(|item| volley(item)).collect::<anyhow::Result<_>>()?;
        if let Some(fault) = volleys.iter().flatten().find(|fault| fault.needs_disks()) {
            let key = fault.key();
            anyhow::ensure!(can_mount(), "{key} needs servers on small disks of their own, which only root may mount");
        }
        Ok(Plan::Listed(volleys))
    }
}

impl Plan {
    pub fn wanted(&self) -> usize {
        match self {
            Self::Random { faults, .. } => *faults,
            Self::Listed(volleys) => volleys.iter().map(Vec::len).sum(),
        }
    }

    /// Whether it needs servers on small disks.
    pub fn needs_disks(&self) -> bool {
        match self {
            Self::Random { faults, kinds, .. } => *faults > 0 && kinds.iter().any(|fault| fault.needs_disks()),
            Self::Listed(volleys) => volleys.iter().flatten().any(|fault| fault.needs_disks()),
        }
    }

    /// On a machine whose clocks can't be stepped.
    #[must_use]
    pub fn without_clocks(mut self) -> Self {
        if let Self::Random { kinds, .. } = &mut self {
            kinds.retain(|fault| !matches!(fault, Fault::ClockAhead(_) | Fault::ClockBehind(_)));
        }
        self
    }

    /// Random ones go on beyond what is wanted, in place of those that met no work.
    pub(super) fn volleys(&self, seed: u64) -> Vec<Vec<Fault>> {
        match self {
            Self::Listed(volleys) => volleys.clone(),
            Self::Random { faults, overlapping, kinds } => {
                let (mut rng, mut order) = (StdRng::seed_from_u64(seed), Vec::new());
                while order.len() < faults * 2 {
                    let mut round = kinds.clone();
                    round.shuffle(&mut rng);
                    order.extend(round);
                }
                paired(order, *overlapping, &mut rng)
            }
        }
    }
}

/// Neighbours that do not touch the same part, at the same time.
fn paired(order: Vec<Fault>, overlapping: u8, rng: &mut StdRng) -> Vec<Vec<Fault>> {
    let mut volleys: Vec<Vec<Fault>> = Vec::new();
    let mut open = false;
    for fault in order {
        // Two of three faults in pairs: after each pair's first, its second, then half as many alone.
        match volleys.last_mut() {
            Some(last) if open && last.iter().all(|other| other.overlaps(fault)) => {
                last.push(fault);
                open = false;
            }
            _ => {
                volleys.push(vec![fault]);
                let share = f64::from(overlapping) / f64::from(200 - u32::from(overlapping));
                open = rng.random_bool(share);
            }
        }
    }
    volleys
}

fn volley(item: &str) -> anyhow::Result<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    for name in item.split('+') {
        let fault: Fault = name.trim().parse().map_err(anyhow::Error::msg)?;
        let other = faults.iter().find(|other| !other.overlaps(fault));
        anyhow::ensure!(
            other.is_none(),
            "{} and {} can't overlap",
            other.map(|other| other.key()).unwrap_or_default(),
            fault.key()
        );
        faults.push(fault);
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn random(faults: usize, overlapping: u8) -> Plan {
        let kinds = Fault::ALL.into_iter().filter(|fault| fault.is_for_random()).collect();
        Plan::Random { faults, overlapping, kinds }
    }

    #[test]
    fn a_random_plan_has_every_kind_before_any_comes_twice_and_its_share_of_pairs() {
        let plan = random(600, 40);
        let volleys = plan.volleys(7);
        assert_eq!(volleys, plan.volleys(7));
        assert_ne!(volleys, plan.volleys(8));
        let kinds = Fault::ALL.into_iter().filter(|fault| fault.is_for_random()).count();
        let mut first: Vec<String> = volleys.iter().flatten().take(kinds).map(|fault| fault.key()).collect();
        first.sort();
        first.dedup();
        assert_eq!(first.len(), kinds);
        let all = volleys.iter().flatten().count();
        let together: usize = volleys.iter().filter(|volley| volley.len() > 1).map(Vec::len).sum();
        assert!((25..45).contains(&(together * 100 / all)), "{together} of {all}");
        for volley in volleys.iter().filter(|volley| volley.len() > 1) {
            assert!(volley[0].overlaps(volley[1]), "{volley:?}");
        }
    }

    /// The release run: three hundred faults over every row of the matrix, a hundred of them alone.
    #[test]
    fn three_hundred_faults_are_of_every_row_alone_and_overlapping() {
        for seed in 0..20 {
            let (mut fired, mut alone) = (Vec::new(), Vec::new());
            for volley in random(300, 33).volleys(seed) {
                if fired.len() < 300 {
                    alone.extend((volley.len() == 1).then(|| volley[0]));
                    fired.extend(volley);
                }
            }
            let rows = |faults: &[Fault]| faults.iter().map(|fault| fault.row().number).collect::<BTreeSet<u8>>();
            assert_eq!(rows(&fired), (1..=33).collect(), "seed {seed}");
            assert_eq!(rows(&alone).len(), 33, "seed {seed}: rows that were never alone");
            assert!(alone.len() >= 100 && fired.len() - alone.len() >= 50, "seed {seed}: {} alone", alone.len());
        }
    }

    #[test]
    fn a_list_says_what_comes_and_what_overlaps() {
        let flags = |items: &[&str]| FaultFlags {
            fault: items.iter().map(|item| (*item).to_owned()).collect(),
            ..FaultFlags::default()
        };
        let plan = flags(&["kill-gateway", "stop-redis+kill-core-in-claim"]).plan().unwrap();
        assert_eq!(plan.wanted(), 3);
        assert_eq!(plan.volleys(1)[1], [Fault::StopRedis, Fault::KillCoreInClaim]);
        assert!(flags(&["kill-redis+stop-redis"]).plan().unwrap_err().to_string().contains("can't overlap"));
        let disk = flags(&["kill-redis", "fill-disk"]).plan();
        assert_eq!(disk.is_ok(), can_mount());
        match disk {
            Ok(plan) => assert!(plan.needs_disks()),
            Err(error) => assert!(error.to_string().contains("only root may mount"), "{error}"),
        }
        assert!(!plan.needs_disks());
        assert!(flags(&["kill-everything"]).plan().unwrap_err().to_string().contains("is no fault"));
    }
}
