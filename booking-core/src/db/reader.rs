//! The ledger as the holds see it.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use seatwire_protocol::ShowId;

use super::{Db, DbError, seats, shows};
use crate::holds::ledger::{LedgerError, LedgerMap, LedgerReader, ShowRow};

impl LedgerReader for Db {
    fn load_show(&self, show: ShowId) -> BoxFuture<'_, Result<Option<ShowRow>, LedgerError>> {
        async move { shows::load_show(self, show).await.map_err(text) }.boxed()
    }

    fn bump_generation<'a>(
        &'a self,
        show: ShowId,
        expected: u64,
        seen: u64,
        run_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        async move { shows::bump_generation(self, show, expected, seen, run_id).await.map_err(text) }.boxed()
    }

    fn read_map(&self, show: ShowId) -> BoxFuture<'_, Result<Option<LedgerMap>, LedgerError>> {
        async move { seats::read_map(self, show).await.map_err(text) }.boxed()
    }
}

fn text(error: DbError) -> LedgerError {
    LedgerError(error.to_string())
}
