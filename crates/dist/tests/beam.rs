//! Real BEAMs: one that EPMD knows, and one behind TLS with clients' certificates.
#![allow(clippy::unwrap_used)]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;
use uro_discord_dist::{Address, Dialer, Ended, Pattern, Seat, Session, Tls};
use uro_discord_wire::Secret;

/// What the BEAM does: attaches, links and monitors, has a large binary echoed, and tells what it hears.
const SCRIPT: &str = r#"
    ok = net_kernel:monitor_nodes(true, [nodedown_reason, {node_type, hidden}]),
    io:format("ready~n"),
    Node = receive {nodeup, N, _} -> N after 20000 -> halt(1) end,
    io:format("up ~s ~p ~p~n", [Node, nodes(), nodes(hidden)]),
    pong = net_adm:ping(Node),
    Gone = monitor(process, {nobody, Node}),
    receive {'DOWN', Gone, _, _, noproc} -> io:format("nobody~n") end,
    {uro_discord_bridge, Node} ! {attach, self(), 7},
    Pid = receive {P, attached, 7} -> P after 5000 -> halt(2) end,
    process_flag(trap_exit, true),
    link(Pid), unlink(Pid), link(Pid),
    Ref = monitor(process, Pid), demonitor(monitor(process, Pid)),
    Pid ! {ping, 1},
    receive {Pid, pong, 1} -> io:format("pong~n") end,
    Large = binary:copy(<<"0123456789abcdef">>, 65536 * 3),
    [Pid ! binary:part(Large, At, 65536) || At <- lists:seq(0, byte_size(Large) - 65536, 65536)],
    Echo = fun Echo(Size) when Size >= byte_size(Large) -> Size;
               Echo(Size) -> receive {Pid, Bytes} when is_binary(Bytes) -> Echo(Size + byte_size(Bytes)) end end,
    io:format("echoed ~b~n", [Echo(0)]),
    receive {'DOWN', Ref, process, Pid, Reason} -> io:format("down ~s~n", [Reason]) end,
    receive {'EXIT', Pid, Why} -> io:format("exit ~s~n", [Why]) end,
    {uro_discord_bridge, Node} ! {attach, self(), 8},
    Next = receive {Q, attached, 8} -> Q after 5000 -> halt(3) end,
    exit(Next, kill),
    {Owner, Mon} = spawn_monitor(fun() ->
        {uro_discord_bridge, Node} ! {attach, self(), 9},
        receive {_, attached, 9} -> ok end end),
    receive {'DOWN', Mon, _, Owner, _} -> ok end,
    receive go -> ok after 1000 -> ok end,
    erlang:disconnect_node(Node),
    receive {nodedown, Node, Info} -> io:format("gone ~p~n", [proplists:get_value(nodedown_reason, Info)]) end,
    halt(0).
"#;

struct Beam {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
}

impl Beam {
    async fn start(arguments: &[&str], envs: &[(&str, String)]) -> Self {
        let mut child = Command::new("erl")
            .args([
                "-noinput",
                "-setcookie",
                "c00kie",
                "-kernel",
                "inet_dist_use_interface",
                "{127,0,0,1}",
            ])
            .args(["-kernel", "logger_level", "none"])
            .args(arguments)
            .args(["-eval", SCRIPT])
            .envs(envs.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut beam = Self { child, says };
        beam.says("ready").await;
        beam
    }

    async fn says(&mut self, wanted: &str) {
        let line = timeout(Duration::from_secs(30), self.says.next_line()).await;
        assert_eq!(line.unwrap().unwrap().as_deref(), Some(wanted));
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    socket.local_addr().unwrap().port()
}

fn dialer(cookie: &str) -> Dialer {
    let name = "media1@127.0.0.1".parse().unwrap();
    Dialer::new(name, Secret::new(cookie), Pattern::new("uro@*"))
}

async fn session(sessions: &mut mpsc::Receiver<Session>) -> Session {
    let next = timeout(Duration::from_secs(20), sessions.recv()).await;
    next.unwrap().unwrap()
}

/// Our part of it.
async fn meet(beam: &mut Beam, dialer: &Dialer, address: &Address) {
    let at = dialer.resolve(address).await.unwrap()[0];
    let connection = dialer.dial(address, at).await.unwrap();
    assert_eq!(connection.peer(), "uro@127.0.0.1");
    let (sender, mut sessions) = mpsc::channel(4);
    let running = tokio::spawn(async move { connection.run(sender, &Seat::default()).await });
    beam.says("up media1@127.0.0.1 [] ['media1@127.0.0.1']")
        .await;
    beam.says("nobody").await;
    let mut first = session(&mut sessions).await;
    beam.says("pong").await;
    let mut echoed = 0;
    let mut bytes = vec![0; 64 * 1024];
    while echoed < 65536 * 3 * 16 {
        let read = first.input.read(&mut bytes).await.unwrap();
        first.output.write_all(&bytes[..read]).await.unwrap();
        echoed += read;
    }
    beam.says("echoed 3145728").await;
    let Session {
        output, farewell, ..
    } = first;
    drop(output);
    farewell.send("it was told to stop".into()).unwrap();
    beam.says("down it was told to stop").await;
    beam.says("exit it was told to stop").await;
    // One that is killed there, and one whose process ends.
    for _ in 0..2 {
        let mut over = session(&mut sessions).await.closed;
        let ended = timeout(Duration::from_secs(5), over.wait_for(|over| *over)).await;
        assert!(ended.is_ok());
    }
    beam.says("gone disconnect").await;
    assert!(matches!(running.await.unwrap(), Ended::Closed));
    assert!(beam.child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_beam_that_epmd_knows() {
    let port = free_port();
    let epmd = Command::new("epmd")
        .args(["-port", &port.to_string(), "-address", "127.0.0.1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let _epmd = epmd.unwrap();
    let dialer = dialer("c00kie").with_epmd_port(port);
    let address: Address = "uro@127.0.0.1".parse().unwrap();
    let here = Duration::from_millis(20);
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        tokio::time::sleep(here).await;
    }
    let unknown = dialer.resolve(&address).await.unwrap_err().to_string();
    assert!(unknown.contains("knows no node \"uro\""), "{unknown}");
    let envs = [("ERL_EPMD_PORT", port.to_string())];
    let mut beam = Beam::start(&["-name", "uro@127.0.0.1"], &envs).await;
    meet(&mut beam, &dialer, &address).await;
}

/// A folder of certificates, that is removed with this.
struct Certificates(PathBuf);

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Certificates {
    fn issue() -> Self {
        // Each test has its own, which goes with it.
        static ISSUED: AtomicU32 = AtomicU32::new(0);
        let number = ISSUED.fetch_add(1, Ordering::Relaxed);
        let name = format!("dist-tls-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::default();
        // Who issues has another name than whom it is issued to.
        params.distinguished_name.push(DnType::CommonName, "uro");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        for who in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let params = CertificateParams::new(names).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            fs::write(folder.join(format!("{who}.pem")), certificate.pem()).unwrap();
            fs::write(folder.join(format!("{who}.key")), key.serialize_pem()).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn tls(&self) -> Tls {
        Tls::load(
            &self.path("ca.pem"),
            &self.path("client.pem"),
            &self.path("client.key"),
        )
        .unwrap()
    }

    fn options(&self) -> PathBuf {
        let file = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let (ca, certificate, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
        let options = format!(
            "[{{server, [{{certfile, \"{certificate}\"}}, {{keyfile, \"{key}\"}}, {{cacertfile, \"{ca}\"}}, {{verify, verify_peer}}, \
             {{fail_if_no_peer_cert, true}}, {{versions, ['tlsv1.3']}}]}}, {{client, [{{verify, verify_none}}]}}]."
        );
        let path = self.path("dist.conf");
        fs::write(&path, options).unwrap();
        path
    }
}

#[tokio::test]
async fn a_beam_behind_tls() {
    let certificates = Certificates::issue();
    let options = certificates.options();
    let port = free_port().to_string();
    let arguments = [
        "-name",
        "uro@127.0.0.1",
        "-start_epmd",
        "false",
        "-erl_epmd_port",
        &port,
    ];
    let tls = [
        "-proto_dist",
        "inet_tls",
        "-ssl_dist_optfile",
        options.to_str().unwrap(),
    ];
    let mut beam = Beam::start(&[&arguments[..], &tls].concat(), &[]).await;
    let address: Address = format!("localhost:{port}").parse().unwrap();
    let at = format!("127.0.0.1:{port}").parse().unwrap();

    // In the clear, with another name, and with another cookie.
    assert!(dialer("c00kie").dial(&address, at).await.is_err());
    let named = dialer("c00kie").with_tls(certificates.tls(), Some("uro.example".into()));
    let error = named.dial(&address, at).await.err().unwrap().to_string();
    assert!(
        error.contains("TLS") && error.contains("certificate"),
        "{error}"
    );
    let wrong = dialer("wrong").with_tls(certificates.tls(), None);
    let error = wrong.dial(&address, at).await.err().unwrap().to_string();
    assert!(error.contains("another cookie"), "{error}");

    let dialer = dialer("c00kie").with_tls(certificates.tls(), None);
    let address: Address = format!("127.0.0.1:{port}").parse().unwrap();
    meet(&mut beam, &dialer, &address).await;
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let certificates = Certificates::issue();
    let file = |name: &str| certificates.path(name);
    fs::write(file("empty"), "").unwrap();
    for (ca, certificate, key, said) in [
        ("nowhere", "client.pem", "client.key", "nowhere"),
        ("empty", "client.pem", "client.key", "has no certificate"),
        ("ca.pem", "client.pem", "empty", "empty"),
        ("ca.pem", "client.pem", "server.key", "cannot be used"),
    ] {
        let path = |name: &str| file(name).as_path().to_owned();
        let (ca, certificate, key): (&Path, &Path, &Path) =
            (&path(ca), &path(certificate), &path(key));
        let error = Tls::load(ca, certificate, key).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}
