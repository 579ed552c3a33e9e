//! The voice server: `voice-server CA_FILE` writes the certificate that clients are to trust there; `voice-server plain` is one without TLS.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bench_voice::server::calls::Calls;
use bench_voice::server::media::Media;
use bench_voice::{Error, Order, orders};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    LocalSet::new().run_until(run()).await
}

async fn run() -> Result<(), Error> {
    let ca_file = std::env::args().nth(1).ok_or("CA_FILE")?;
    let tls = match ca_file.as_str() {
        "plain" => None,
        ca_file => Some(tls(ca_file)?),
    };
    let media = Media::default();
    let calls = Calls::new(media.clone(), media.listen()?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut orders = orders();
    println!("ready");
    println!("port {}", listener.local_addr()?.port());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (calls, tls) = (calls.clone(), tls.clone());
                let (stream, _) = accepted?;
                spawn_local(async move {
                    if let Err(error) = serve(calls, stream, tls).await {
                        eprintln!("a connection: {error}");
                    }
                });
            }
            order = orders.recv() => match order {
                Some(Order::Window(seconds)) => {
                    let media = media.clone();
                    spawn_local(async move {
                        let window = media.window(Duration::from_secs(seconds)).await;
                        println!("window {window}");
                    });
                }
                _ => return Ok(()),
            }
        }
    }
}

async fn serve(calls: Calls, stream: TcpStream, tls: Option<TlsAcceptor>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => calls.serve(tls.accept(stream).await?).await,
        None => calls.serve(stream).await,
    }
}

fn tls(ca_file: &str) -> Result<TlsAcceptor, Error> {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()])?;
    std::fs::write(ca_file, cert.pem())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::Pkcs8(signing_key.serialize_der().into()),
        )?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
