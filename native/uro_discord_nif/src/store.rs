//! SQLite as a resource, and statements that answer by message.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use rustler::{
    Atom, Binary, Encoder, Env, ListIterator, NewBinary, NifResult, OwnedEnv, Reference, Resource,
    ResourceArc, Term, TermType,
};
use uro_discord_store::{Answer, Error, Mode, Options, Session, Store, Value, ValueRef};

use crate::{atoms, reply};

/// An open database. Dropped, it finishes what waits, on its own threads, and closes the file.
struct Database(AssertUnwindSafe<Store>);

#[rustler::resource_impl]
impl Resource for Database {}

/// `{:ok, store}` or `{:error, error}`.
#[rustler::nif(schedule = "DirtyIo")]
fn store_open<'a>(env: Env<'a>, path: Binary<'a>) -> Term<'a> {
    match Store::open(Path::new(OsStr::from_bytes(&path)), Options::default()) {
        Ok(store) => {
            let database = ResourceArc::new(Database(AssertUnwindSafe(store)));
            (atoms::ok(), database).encode(env)
        }
        Err(failure) => (atoms::error(), error(env, &failure)).encode(env),
    }
}

/// `:ok` or `{:error, error}`; after `:ok` the caller gets `{:uro_discord_store, ref, result}`.
#[rustler::nif]
fn store_run<'a>(
    env: Env<'a>,
    store: ResourceArc<Database>,
    reference: Reference<'a>,
    statements: Term<'a>,
    mode: Atom,
) -> NifResult<Term<'a>> {
    let mode = match mode {
        mode if mode == atoms::read() => Mode::Read,
        mode if mode == atoms::write() => Mode::Write,
        _ => return Err(rustler::Error::BadArg),
    };
    let caller = env.pid();
    // Binaries above 64 bytes go by reference; SQLite copies them, on the store's thread.
    let statements_in = OwnedEnv::new();
    let statements = statements_in.save(statements);
    let mut answer_in = OwnedEnv::new();
    let reference = answer_in.save(reference);
    let work = move |session: &Session<'_>| {
        statements_in.run(|env| execute(session, statements.load(env)))
    };
    let answer = move |result| {
        // It fails if the caller is gone.
        let _ = answer_in.send_and_clear(&caller, |env| message(env, reference.load(env), &result));
    };
    Ok(match store.0.submit(mode, work, answer) {
        Ok(()) => atoms::ok().encode(env),
        Err(failure) => (atoms::error(), error(env, &failure)).encode(env),
    })
}

fn execute(session: &Session<'_>, statements: Term<'_>) -> Result<Vec<Answer>, Error> {
    let malformed = |_| Error::Statement("not a list of {sql, parameters}".into());
    let statements: ListIterator<'_> = statements.decode().map_err(malformed)?;
    let one = |statement: Term<'_>| {
        let (sql, given): (&str, ListIterator<'_>) = statement.decode().map_err(malformed)?;
        let parameters: Vec<ValueRef<'_>> = given.map(parameter).collect::<Result<_, _>>()?;
        session.execute(sql, &parameters)
    };
    statements.map(one).collect()
}

/// `nil`, an integer, a float, a text, or `{:blob, binary}`. Errors do not show the value: it may be a secret.
fn parameter(term: Term<'_>) -> Result<ValueRef<'_>, Error> {
    let refused = |reason: &str| Error::Input(format!("a parameter {reason}"));
    match term.get_type() {
        TermType::Atom if atoms::nil() == term => Ok(ValueRef::Null),
        TermType::Integer => term
            .decode()
            .map(ValueRef::Integer)
            .map_err(|_| refused("is an integer of more than 64 bits")),
        TermType::Float => term
            .decode()
            .map(ValueRef::Real)
            .map_err(|_| refused("is no finite float")),
        TermType::Binary => {
            let bytes: Binary<'_> = term.decode().map_err(|_| refused("is no binary"))?;
            let text = std::str::from_utf8(bytes.as_slice())
                .map_err(|_| refused("is text, but not UTF-8"))?;
            // PostgreSQL cannot store it, and both stores should take the same.
            if text.contains('\0') {
                return Err(refused("is text with a NUL character"));
            }
            Ok(ValueRef::Text(bytes.as_slice()))
        }
        _ => match term.decode::<(Atom, Binary<'_>)>() {
            Ok((kind, bytes)) if kind == atoms::blob() => Ok(ValueRef::Blob(bytes.as_slice())),
            _ => Err(refused(
                "is not nil, an integer, a float, a string or {:blob, binary}",
            )),
        },
    }
}

/// `{:uro_discord_store, ref, {:ok, answers} | {:error, error}}`.
fn message<'a>(env: Env<'a>, reference: Term<'a>, result: &Result<Vec<Answer>, Error>) -> Term<'a> {
    let result = match result {
        Ok(answers) => {
            let answers: Vec<Term<'a>> = answers.iter().map(|done| answer(env, done)).collect();
            (atoms::ok(), answers).encode(env)
        }
        Err(failure) => (atoms::error(), error(env, failure)).encode(env),
    };
    (atoms::uro_discord_store(), reference, result).encode(env)
}

fn answer<'a>(env: Env<'a>, answer: &Answer) -> Term<'a> {
    let row = |row: &Vec<Value>| -> Vec<Term<'a>> { row.iter().map(|v| value(env, v)).collect() };
    let rows: Vec<Vec<Term<'a>>> = answer.rows.iter().map(row).collect();
    reply::map(
        env,
        &[
            (atoms::rows(), rows.encode(env)),
            (atoms::num_rows(), answer.num_rows.encode(env)),
        ],
    )
}

fn value<'a>(env: Env<'a>, value: &Value) -> Term<'a> {
    match value {
        Value::Null => atoms::nil().encode(env),
        Value::Integer(number) => number.encode(env),
        Value::Real(number) => number.encode(env),
        Value::Text(text) => text.encode(env),
        Value::Blob(bytes) => NewBinary::from_slice(env, bytes).into(),
    }
}

fn error<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    let kind = match error {
        Error::Busy(_) | Error::QueueFull(_) => atoms::busy(),
        Error::Unique(_) => atoms::conflict(),
        Error::Constraint(_) => atoms::constraint(),
        Error::Corrupt(_) => atoms::corrupt(),
        Error::Input(_) => atoms::invalid(),
        Error::Statement(_) => atoms::statement(),
        Error::Open { .. } | Error::Disk(_) | Error::Closed => atoms::unavailable(),
        // The enum may grow; an error without a name of its own is one of the store's.
        _ => atoms::internal(),
    };
    reply::map(
        env,
        &[
            (atoms::kind(), kind.encode(env)),
            (atoms::message(), error.to_string().encode(env)),
        ],
    )
}
