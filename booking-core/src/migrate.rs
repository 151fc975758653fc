//! `migrate`: brings the schema up, or takes steps down again. The SQL is embedded in the binary; it runs with the
//! role that owns the tables, never with the core's own.

use diesel_async::{AsyncConnection, AsyncMigrationHarness, AsyncPgConnection};
use diesel_migrations::MigrationHarness;

#[cfg(not(feature = "files-from-disk"))]
const MIGRATIONS: diesel_migrations::EmbeddedMigrations = diesel_migrations::embed_migrations!("../migrations");

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Every pending step.
    Up,
    /// The last so many steps.
    Down(u32),
    /// The last step, down and up again.
    Redo,
}

/// A migration did not work; the text names the step.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database is out of reach, or the URL is wrong.
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] diesel::ConnectionError),
    /// A step failed; it was rolled back as a whole.
    #[error("migration failed: {0}")]
    Step(String),
}

/// Runs migrations, each in a transaction of its own; answers the names of the steps taken. Two at once are safe: the
/// second waits, and finds the work done. Needs the multi-thread runtime.
///
/// # Errors
/// [`MigrateError`].
pub async fn run(url: &str, direction: Direction) -> Result<Vec<String>, MigrateError> {
    use diesel_async::SimpleAsyncConnection;
    let mut conn = AsyncPgConnection::establish(url).await?;
    // Held until the connection closes. Any number will do, as long as it stays the same.
    let lock = "SELECT pg_advisory_lock(7328946101)";
    conn.batch_execute(lock).await.map_err(|e| MigrateError::Step(e.to_string()))?;
    let mut harness = AsyncMigrationHarness::new(conn);
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| MigrateError::Step(e.to_string());
    #[cfg(feature = "files-from-disk")]
    let migrations = || {
        diesel_migrations::FileBasedMigrations::from_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations"))
            .map_err(|e| failed(e.into()))
    };
    #[cfg(not(feature = "files-from-disk"))]
    let migrations = || Ok::<_, MigrateError>(MIGRATIONS);
    let mut taken = Vec::new();
    match direction {
        Direction::Up => {
            let steps = harness.run_pending_migrations(migrations()?).map_err(failed)?;
            taken.extend(steps.iter().map(|step| format!("up {step}")));
        }
        Direction::Down(steps) => {
            for _ in 0..steps {
                let step = harness.revert_last_migration(migrations()?).map_err(failed)?;
                taken.push(format!("down {step}"));
            }
        }
        Direction::Redo => {
            let step = harness.revert_last_migration(migrations()?).map_err(failed)?;
            taken.push(format!("down {step}"));
            let steps = harness.run_pending_migrations(migrations()?).map_err(failed)?;
            taken.extend(steps.iter().map(|step| format!("up {step}")));
        }
    }
    Ok(taken)
}
