//! What faults ask of PostgreSQL, as its superuser and not through a proxy.

use tokio_postgres::{Client, NoTls};

use crate::launcher::Stack;

pub(super) async fn connect(stack: &Stack) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(&stack.addresses().postgres, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Transactions that wait for this table's lock.
pub(super) async fn waiting_for(watcher: &Client, table: &str) -> anyhow::Result<Vec<String>> {
    let row = watcher
        .query_one(
            "SELECT coalesce(array_agg(DISTINCT a.backend_xid::text), '{}') FROM pg_locks l JOIN pg_stat_activity a USING (pid)
             WHERE NOT l.granted AND l.relation = $1::text::regclass AND a.backend_xid IS NOT NULL",
            &[&table],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// As a list in a statement; ids are letters, digits and underscores.
pub(super) fn list<T: std::fmt::Display>(ids: impl IntoIterator<Item = T>) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| format!("'{id}'")).collect();
    if ids.is_empty() { "NULL".to_owned() } else { ids.join(",") }
}
