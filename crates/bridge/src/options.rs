//! What the program is started with.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use uro_discord_dist::{Address, BadAddress, BadName, Dialer, NodeName, Pattern, Tls, TlsError};
use uro_discord_wire::Secret;

/// As many workers as there are cores, but no more than these unless it is said: rooms of one process do not need more.
const WORKERS: usize = 8;

/// The most that may be asked for.
const MAX_WORKERS: usize = 64;

const NAMES: [&str; 10] = [
    "--media-workers",
    "--node",
    "--cookie-file",
    "--uro",
    "--uro-node",
    "--epmd-port",
    "--tls-ca",
    "--tls-certificate",
    "--tls-key",
    "--tls-name",
];

/// What to be.
pub struct Options {
    /// How many threads media has.
    pub workers: usize,
    /// A node of an Erlang cluster; without it, a process of Elixir's on its pipes.
    pub remote: Option<Remote>,
}

/// A node that dials Uro.
pub struct Remote {
    /// Who it is, with its secrets.
    pub dialer: Dialer,
    /// Where Uro is.
    pub uro: Vec<Address>,
}

/// Why it cannot be that.
#[derive(Debug, thiserror::Error)]
pub enum BadOptions {
    /// There is no such option.
    #[error(
        "{0:?} is no option. There are --media-workers with a number, and for a bridge on another machine than Uro --node media1@10.0.0.5 \
         --cookie-file FILE --uro HOST:PORT, and with these --uro-node 'uro@*', --epmd-port 4369, --tls-ca FILE, --tls-certificate FILE, --tls-key FILE \
         and --tls-name NAME (docs/scaling.md)"
    )]
    Unknown(String),
    /// Nothing follows it, or nothing that is UTF-8.
    #[error("{0} needs a value behind it (docs/scaling.md)")]
    NoValue(&'static str),
    /// It is there twice, and has one value.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// Some go together.
    #[error("{0} needs {1} too")]
    Missing(&'static str, &'static str),
    /// No number, or none of those allowed.
    #[error("{0} needs a number from 1 to {1}, and has {2:?}")]
    Number(&'static str, usize, String),
    /// The name is none.
    #[error("--node: {0}")]
    Node(#[source] BadName),
    /// The address is none.
    #[error("--uro: {0}")]
    Uro(#[source] BadAddress),
    /// The file of the cookie cannot be read.
    #[error("--cookie-file: {}: {source}", path.display())]
    Cookie {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Others than its owner and group may read it.
    #[error("--cookie-file: everybody on this machine can read {} (its mode is {mode:o}), and who has the cookie can do anything to Uro: chmod 600 it, or where it is mounted from a secret say \
         `defaultMode: 0440` (Kubernetes) or `mode: 0440` (Docker Swarm)", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is no cookie.
    #[error("--cookie-file: {} has no cookie: one line of 1 to 255 characters of ASCII, without blanks", .0.display())]
    NoCookie(PathBuf),
    /// TLS cannot be had.
    #[error("--tls-…: {0}")]
    Tls(#[from] TlsError),
}

impl Options {
    /// Reads what follows the program's name, and the files that are named there.
    ///
    /// # Errors
    ///
    /// When something is not known, missing, or cannot be used.
    pub fn read(args: impl Iterator<Item = OsString>) -> Result<Self, BadOptions> {
        let mut given = Given::read(args)?;
        let workers = match given.number("--media-workers", MAX_WORKERS)? {
            Some(workers) => workers,
            None => available_parallelism().map_or(1, |cores| cores.get().min(WORKERS)),
        };
        let remote = match given.one("--node")? {
            Some(node) => Some(remote(node, &mut given)?),
            None => None,
        };
        match given.0.keys().next() {
            Some(other) => Err(BadOptions::Missing(other, "--node")),
            None => Ok(Self { workers, remote }),
        }
    }
}

fn remote(node: String, given: &mut Given) -> Result<Remote, BadOptions> {
    let name: NodeName = node.parse().map_err(BadOptions::Node)?;
    let file = given.one("--cookie-file")?;
    let file = file.ok_or(BadOptions::Missing("--node", "--cookie-file"))?;
    let uro = given.0.remove("--uro").unwrap_or_default();
    let uro = uro.iter().map(|address| address.parse());
    let uro: Vec<Address> = uro.collect::<Result<_, _>>().map_err(BadOptions::Uro)?;
    if uro.is_empty() {
        return Err(BadOptions::Missing("--node", "--uro"));
    }
    let peers = given.one("--uro-node")?.unwrap_or_else(|| "*".into());
    let mut dialer = Dialer::new(name, cookie(Path::new(&file))?, Pattern::new(peers));
    if let Some(port) = given.number("--epmd-port", u16::MAX.into())? {
        // It is no more than fits.
        dialer = dialer.with_epmd_port(port as u16);
    }
    let files = (
        given.one("--tls-ca")?,
        given.one("--tls-certificate")?,
        given.one("--tls-key")?,
    );
    let named = given.one("--tls-name")?;
    match files {
        (Some(authorities), Some(certificate), Some(key)) => {
            let tls = Tls::load(authorities.as_ref(), certificate.as_ref(), key.as_ref())?;
            dialer = dialer.with_tls(tls, named);
        }
        (None, None, None) if named.is_none() => {}
        (None, ..) => return Err(BadOptions::Missing("--tls-…", "--tls-ca")),
        (_, None, _) => return Err(BadOptions::Missing("--tls-…", "--tls-certificate")),
        (_, _, None) => return Err(BadOptions::Missing("--tls-…", "--tls-key")),
    }
    Ok(Remote { dialer, uro })
}

fn cookie(path: &Path) -> Result<Secret, BadOptions> {
    let unreadable = |source| BadOptions::Cookie {
        path: path.into(),
        source,
    };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let path = path.into();
        return Err(BadOptions::Open { path, mode });
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let cookie = text.strip_suffix('\n').unwrap_or(&text);
    let cookie = cookie.strip_suffix('\r').unwrap_or(cookie);
    let sound = (1..=255).contains(&cookie.len()) && cookie.bytes().all(|b| b.is_ascii_graphic());
    if sound {
        Ok(Secret::new(cookie))
    } else {
        Err(BadOptions::NoCookie(path.into()))
    }
}

/// What was given of each option.
struct Given(HashMap<&'static str, Vec<String>>);

impl Given {
    fn read(mut args: impl Iterator<Item = OsString>) -> Result<Self, BadOptions> {
        let mut given = HashMap::<_, Vec<_>>::new();
        while let Some(name) = args.next() {
            let name = name.to_string_lossy().into_owned();
            let known = NAMES.into_iter().find(|known| *known == name);
            let known = known.ok_or(BadOptions::Unknown(name))?;
            let value = args.next().and_then(|value| value.into_string().ok());
            let value = value.ok_or(BadOptions::NoValue(known))?;
            given.entry(known).or_default().push(value);
        }
        Ok(Self(given))
    }

    fn one(&mut self, name: &'static str) -> Result<Option<String>, BadOptions> {
        let mut values = self.0.remove(name).unwrap_or_default();
        let value = values.pop();
        if values.is_empty() {
            Ok(value)
        } else {
            Err(BadOptions::Twice(name))
        }
    }

    fn number(&mut self, name: &'static str, most: usize) -> Result<Option<usize>, BadOptions> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(BadOptions::Number(name, most, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, BadOptions> {
        Options::read(args.iter().map(OsString::from))
    }

    /// A file of the cookie, and its path.
    fn cookie_file(name: &str, content: &str, mode: u32) -> String {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn workers_are_as_many_as_are_said() {
        assert_eq!(read(&["--media-workers", "3"]).unwrap().workers, 3);
        let unsaid = read(&[]).unwrap();
        assert!((1..=WORKERS).contains(&unsaid.workers) && unsaid.remote.is_none());
        for wrong in [
            &["--media-workers"][..],
            &["--media-workers", "0"],
            &["--media-workers", "65"],
            &["--media-workers", "x"],
            &["--media-workers", "1", "2"],
            &["--media-workers", "1", "--media-workers", "2"],
            &["--help"],
            &["--uro", "uro:4370"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_node_has_a_name_a_cookie_and_somebody_to_dial() {
        let file = cookie_file("cookie", "secret\n", 0o640);
        let all = [
            "--node",
            "media1@h",
            "--cookie-file",
            &file,
            "--uro",
            "uro:4370",
        ];
        let remote = read(&all).unwrap().remote.unwrap();
        assert_eq!(remote.uro, [Address::Port("uro".into(), 4370)]);
        for (wrong, said) in [
            (
                &["--node", "media1", "--cookie-file", &file, "--uro", "uro:1"][..],
                "media1",
            ),
            (&all[..4], "--node needs --uro too"),
            (&all[..5], "--uro needs a value"),
            (&[&all[..2], &all[4..]].concat(), "--cookie-file"),
            (
                &["--node", "m@h", "--cookie-file", &file, "--uro", "uro"],
                "uro",
            ),
            (
                &[
                    "--node",
                    "m@h",
                    "--cookie-file",
                    "/nowhere",
                    "--uro",
                    "uro:1",
                ],
                "/nowhere",
            ),
            (&[&all[..], &["--epmd-port", "70000"]].concat(), "70000"),
            (
                &[&all[..], &["--tls-ca", "x"]].concat(),
                "--tls-certificate",
            ),
            (&[&all[..], &["--tls-name", "x"]].concat(), "--tls-ca"),
        ] {
            let error = read(wrong).err().unwrap().to_string();
            assert!(error.contains(said), "{wrong:?}: {error}");
        }
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_cookie_that_others_may_read_or_that_is_none_is_refused() {
        for (name, content, mode, said) in [
            ("open", "hunter2", 0o644, "chmod 600"),
            // As a secret of Kubernetes is unless it says otherwise, read-only.
            ("mounted", "hunter2", 0o444, "`defaultMode: 0440`"),
            ("empty", "\n", 0o600, "no cookie"),
            ("lines", "one\ntwo\n", 0o600, "no cookie"),
        ] {
            let file = cookie_file(name, content, mode);
            let error = cookie(Path::new(&file)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
            fs::remove_file(file).unwrap();
        }
    }
}
