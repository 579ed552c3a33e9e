//! Statements, inside a job.

use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};

use crate::Error;

/// What a job may do with the database. All of it happens, or, if the job returns an error, nothing.
pub struct Session<'c>(&'c Connection);

/// What a statement came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The rows it returned: of a SELECT, or of a RETURNING.
    pub rows: Vec<Vec<Value>>,
    /// How many rows it returned, or else how many it inserted, updated or deleted.
    pub num_rows: u64,
}

impl<'c> Session<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self(connection)
    }

    /// Runs one statement; `parameters[0]` is `$1` in the SQL, and so on. Text must be UTF-8.
    ///
    /// # Errors
    ///
    /// [`Error::Statement`] if the statement is wrong, does not use exactly these parameters, or would end the
    /// transaction; other errors as SQLite gives them.
    pub fn execute(&self, sql: &str, parameters: &[ValueRef<'_>]) -> Result<Answer, Error> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        // BEGIN, COMMIT, SAVEPOINT, ATTACH …: they write nothing by themselves and return nothing.
        if columns == 0 && statement.readonly() {
            let reason = "transactions, savepoints and attachments are not a job's business";
            return Err(Error::Statement(format!("{reason}: {sql}")));
        }
        let mismatch = || {
            let given = parameters.len();
            Error::Statement(format!("{given} parameters given, but the SQL is: {sql}"))
        };
        if statement.parameter_count() != parameters.len() {
            return Err(mismatch());
        }
        for index in 1..=parameters.len() {
            // SQLite numbers parameters by their first appearance, so go by the name.
            let parameter = statement
                .parameter_name(index)
                .and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok())
                .and_then(|number| parameters.get(number.checked_sub(1)?))
                .ok_or_else(mismatch)?;
            statement.raw_bind_parameter(index, Bound(*parameter))?;
        }
        let before = self.0.total_changes();
        let mut answer = Answer::default();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let values: Result<Vec<Value>, _> = (0..columns).map(|at| row.get(at)).collect();
            answer.rows.push(values?);
        }
        answer.num_rows = if columns > 0 {
            answer.rows.len() as u64
        } else if self.0.total_changes() > before {
            self.0.changes()
        } else {
            0
        };
        Ok(answer)
    }
}

/// Binds without a copy of ours.
struct Bound<'a>(ValueRef<'a>);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(self.0))
    }
}
