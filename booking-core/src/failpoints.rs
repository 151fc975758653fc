//! Named places between two effects at which a test build dies, fails or repeats the step, once. Only with the feature
//! `failpoints`; in every other build `failpoint!` and `repeats!` are nothing.
//!
//! The folder `SEATWIRE_FAILPOINTS` controls it: `armed` holds one line, `<name> <action>`. The process that comes to that
//! place renames the file to `fired`, which only one process can, and acts: so a fault happens once, across restarts and
//! processes. `reached` lists the names that were passed. Names come in two kinds, and tests read both from the source:
//! literals in `failpoint!` and `repeats!`, and the names of transactions, single statements and scripts.

/// A named place in a function whose error can be made from a [`Fault`].
#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    ($($name:tt)+) => {
        if let Some(fault) = $crate::failpoints::reach(&format!($($name)+)) {
            return Err(fault.into());
        }
    };
}

/// A named place before a call that may be made twice: whether it is to be. Returns from the function when it is to fail.
#[cfg(feature = "failpoints")]
macro_rules! repeats {
    ($($name:tt)+) => {
        match $crate::failpoints::reach(&format!($($name)+)) {
            Some($crate::failpoints::Fault::Repeat) => true,
            Some(fault) => return Err(fault.into()),
            None => false,
        }
    };
}

#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($($name:tt)+) => {{
        let _ = format_args!($($name)+);
    }};
}

#[cfg(not(feature = "failpoints"))]
macro_rules! repeats {
    ($($name:tt)+) => {{
        let _ = format_args!($($name)+);
        false
    }};
}

#[cfg(feature = "failpoints")]
pub(crate) use active::{Fault, reach};

#[cfg(feature = "failpoints")]
mod active {
    use std::collections::HashSet;
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use axum::http::StatusCode;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use seatwire_protocol::{ErrorBody, ErrorCode};

    use crate::db::{DbError, TryError};
    use crate::events::ExportError;
    use crate::holds::HoldError;
    use crate::saga::SagaError;

    const TEXT: &str = "failpoint";

    /// What a place does to those who come to it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// The step fails, as if its server was out of reach, and whoever asked for it learns that.
        Fail,
        /// The step is done again by whoever repeats it: the call, the transaction, or the caller with the same key.
        Repeat,
    }

    /// Passes a place. Does not return from one where the process is to die.
    pub(crate) fn reach(name: &str) -> Option<Fault> {
        static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
        let folder = folder()?;
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.get_or_insert_default().insert(name.to_owned()) {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("reached"));
            // A name that can't be noted counts as never reached, which fails the run.
            let _ = file.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
        }
        let armed = std::fs::read_to_string(folder.join("armed")).ok()?;
        let (wanted, action) = armed.trim().split_once(' ')?;
        if wanted != name {
            return None;
        }
        std::fs::rename(folder.join("armed"), folder.join("fired")).ok()?;
        tracing::warn!(name, action, "failpoint");
        match action {
            "fail" => Some(Fault::Fail),
            "repeat" => Some(Fault::Repeat),
            _ => {
                // Cannot be refused, and nothing of this process runs after it.
                let _ = kill(Pid::this(), Signal::SIGKILL);
                None
            }
        }
    }

    fn folder() -> Option<&'static PathBuf> {
        static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
        FOLDER.get_or_init(|| std::env::var_os("SEATWIRE_FAILPOINTS").map(PathBuf::from)).as_ref()
    }

    impl From<Fault> for TryError {
        /// Failed: the caller of the transaction is told. To be repeated: the transaction is run again.
        fn from(fault: Fault) -> Self {
            match fault {
                Fault::Fail => DbError::Unavailable(TEXT.to_owned()).into(),
                Fault::Repeat => Self::Transient { text: TEXT.to_owned(), lost: false },
            }
        }
    }

    impl From<Fault> for DbError {
        fn from(_: Fault) -> Self {
            Self::Unavailable(TEXT.to_owned())
        }
    }

    impl From<Fault> for ExportError {
        fn from(fault: Fault) -> Self {
            Self::Db(fault.into())
        }
    }

    impl From<Fault> for HoldError {
        fn from(_: Fault) -> Self {
            Self::Unavailable(TEXT.to_owned())
        }
    }

    impl From<Fault> for SagaError {
        fn from(_: Fault) -> Self {
            Self::Unavailable(TEXT.to_owned())
        }
    }

    impl From<Fault> for ErrorBody {
        fn from(_: Fault) -> Self {
            Self::new(ErrorCode::Unavailable, TEXT)
        }
    }

    /// The answer to a webhook.
    impl From<Fault> for (StatusCode, &'static str) {
        fn from(_: Fault) -> Self {
            (StatusCode::SERVICE_UNAVAILABLE, "failpoint\n")
        }
    }
}
