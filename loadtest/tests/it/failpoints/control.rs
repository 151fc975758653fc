//! Arms one failpoint at a time, and tells whether it fired. The files are those of the core's module `failpoints`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// What happens at a failpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Kill,
    Fail,
    Repeat,
}

impl Action {
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::Fail, Self::Repeat];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Fail => "fail",
            Self::Repeat => "repeat",
        })
    }
}

pub(super) struct Control {
    folder: tempfile::TempDir,
}

impl Control {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn arm(&self, name: &str, action: Action) {
        self.disarm();
        // Whole at once: the core reads it at any moment.
        std::fs::write(self.file("next"), format!("{name} {action}")).unwrap();
        std::fs::rename(self.file("next"), self.file("armed")).unwrap();
    }

    pub(super) fn has_fired(&self) -> bool {
        self.file("fired").exists()
    }

    pub(super) fn disarm(&self) {
        for file in ["armed", "fired"] {
            let _ = std::fs::remove_file(self.file(file));
        }
    }

    /// Forgets what was reached; a core that runs notes only what is new to it, so it has to be started anew.
    pub(super) fn forget_reached(&self) {
        let _ = std::fs::remove_file(self.file("reached"));
    }

    pub(super) fn reached(&self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.file("reached")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}
