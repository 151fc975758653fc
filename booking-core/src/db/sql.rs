//! SQL text with binds, prepared once per connection. diesel's own `sql_query` is prepared anew on every use, which
//! would cost the hot transactions a round trip per statement.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};
use diesel::{QueryResult, result::Error};
use std::borrow::Cow;
use std::marker::PhantomData;

/// A statement; rows are read by name.
pub struct Sql<'a> {
    text: Cow<'static, str>,
    binds: Vec<Box<dyn QueryFragment<Pg> + Send + 'a>>,
}

/// Starts a statement. The text numbers its own binds (`$1`), each as often as it likes.
#[must_use]
pub fn sql<'a>(text: impl Into<Cow<'static, str>>) -> Sql<'a> {
    Sql { text: text.into(), binds: Vec::new() }
}

impl<'a> Sql<'a> {
    /// The next bind, `$1` first.
    #[must_use]
    pub fn bind<T, V>(mut self, value: V) -> Self
    where
        Pg: HasSqlType<T>,
        V: ToSql<T, Pg> + Send + 'a,
        T: Send + 'a,
    {
        self.binds.push(Box::new(Bind { value, sql_type: PhantomData::<T> }));
        self
    }
}

impl QueryFragment<Pg> for Sql<'_> {
    /// diesel writes a placeholder where a bind is pushed; pushed inside a trailing comment, the placeholders of the
    /// text stay its own.
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> Result<(), Error> {
        out.push_sql(&self.text);
        out.push_sql(" /* ");
        for bind in &self.binds {
            bind.walk_ast(out.reborrow())?;
        }
        out.push_sql(" */");
        Ok(())
    }
}

/// No static id: the statement cache goes by the text.
impl QueryId for Sql<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Sql<'_> {
    type SqlType = Untyped;
}

struct Bind<T, V> {
    value: V,
    sql_type: PhantomData<T>,
}

impl<T, V> QueryFragment<Pg> for Bind<T, V>
where
    Pg: HasSqlType<T>,
    V: ToSql<T, Pg>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param::<T, V>(&self.value)
    }
}
