//! `wss://` on every adapter, with a private root, and every certificate that must not be taken.
#![cfg(test)]

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};
use std::io::{Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wormhole_core::driver::Why;
use wormhole_core::error::{Error, ServerFault};
use wormhole_runtime::{Config, Roots};
use wormhole_tests::{Adapter, Executor, Servers, Side};

#[test]
fn a_conversation_goes_through_tls_that_a_private_root_vouches_for() {
    let authority = Authority::new();
    // By name and by address.
    for host in ["localhost", "127.0.0.1"] {
        let url = front(host, authority.vouch(&[host], |_| ()));
        for adapter in Adapter::ALL {
            talk(adapter, &config(&url).tls_roots(authority.roots()));
        }
    }
}

#[test]
fn a_conversation_goes_without_tls() {
    for adapter in Adapter::ALL {
        talk(adapter, &config(&Servers::ours().mailbox_url()));
    }
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_a_clear_error() {
    let (authority, other) = (Authority::new(), Authority::new());
    let url = front("localhost", authority.vouch(&["localhost"], |_| ()));
    let told = "nobody whom we trust vouches for the server's certificate";
    for adapter in Adapter::ALL {
        expect(adapter, &url, Some(other.roots()), told);
        // Nor do those whom the system trusts.
        expect(adapter, &url, None, told);
    }
}

#[test]
fn a_certificate_that_has_expired_is_a_clear_error() {
    let authority = Authority::new();
    let url = front(
        "localhost",
        authority.vouch(&["localhost"], |params| params.not_after = date_time_ymd(2001, 1, 1)),
    );
    for adapter in Adapter::ALL {
        expect(adapter, &url, Some(authority.roots()), "the server's certificate has expired");
    }
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_a_clear_error() {
    let authority = Authority::new();
    let url = front(
        "localhost",
        authority.vouch(&["localhost"], |params| params.not_before = date_time_ymd(4000, 1, 1)),
    );
    let told = "the server's certificate is not valid yet; is the clock right?";
    for adapter in Adapter::ALL {
        expect(adapter, &url, Some(authority.roots()), told);
    }
}

#[test]
fn a_certificate_for_another_name_is_a_clear_error() {
    let authority = Authority::new();
    let url = front("localhost", authority.vouch(&["other.example"], |_| ()));
    for adapter in Adapter::ALL {
        expect(adapter, &url, Some(authority.roots()), "the server's certificate is for another name");
    }
}

#[test]
fn a_server_without_tls_is_told_so() {
    let url = Servers::ours().mailbox_url().replace("ws://", "wss://");
    for adapter in Adapter::ALL {
        expect(adapter, &url, None, "the other end does not speak it");
    }
}

/// All that is said of a server that is not trusted.
#[track_caller]
fn expect(adapter: Adapter, url: &str, roots: Option<Roots>, told: &str) {
    let config = config(url);
    let config = roots.map_or_else(|| config.clone(), |roots| config.clone().tls_roots(roots));
    let mut side = adapter.wormhole(config).unwrap();
    side.allocate_code(2).unwrap();
    let fault = ServerFault::Unreachable { url: url.into(), why: Why::Tls(told.into()) };
    let error = side.code().unwrap_err();
    assert_eq!(error, Error::Server(fault), "{adapter:?}");
    let sentence = format!("the mailbox server {url} cannot be reached: TLS failed: {told}");
    assert_eq!(error.to_string(), sentence);
    assert_eq!(side.close(), Err(error));
}

/// Two sides, a record each way, and the end.
#[track_caller]
fn talk(adapter: Adapter, config: &Config) {
    let open = || adapter.wormhole(config.clone()).unwrap();
    let (mut left, mut right) = (open(), open());
    left.allocate_code(2).unwrap();
    right.set_code(left.code().unwrap().as_str()).unwrap();
    // Longer than what TLS takes at once.
    let say = |mut side: Box<dyn Side>, fill: u8| {
        side.send(&vec![fill; 100_000]).unwrap();
        let heard = side.receive().unwrap();
        side.stored().unwrap();
        side.close().unwrap();
        heard
    };
    let other = thread::spawn(move || say(right, 2));
    assert_eq!(say(left, 1), vec![2; 100_000]);
    assert_eq!(other.join().unwrap(), vec![1; 100_000]);
}

fn config(url: &str) -> Config {
    Config::new("example.com/tls").mailbox(url)
}

/// One who vouches for servers.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), root }
    }

    fn roots(&self) -> Roots {
        Roots::from_der([self.root.clone()])
    }

    /// A server with these names.
    fn vouch(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap()
    }
}

/// TLS before our mailbox server, which has none: the URL with this host.
fn front(host: &str, config: ServerConfig) -> String {
    let (tell, told) = mpsc::channel();
    let ([server, _], config) = (Servers::ours().ports(), Arc::new(config));
    thread::spawn(move || {
        Executor::tokio().run(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                // A client that leaves is not our business.
                tokio::spawn(pass(client, server, Arc::clone(&config)));
            }
        });
    });
    format!("wss://{host}:{}/v1", told.recv().unwrap())
}

/// Passes on what one client says, and what it is answered.
async fn pass(mut client: TcpStream, server: u16, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    let (mut from_client, mut from_server) = ([0; 16_384], [0; 16_384]);
    loop {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        let going = tokio::select! {
            read = client.read(&mut from_client) => {
                let mut bytes = &from_client[..read?];
                let mut going = !bytes.is_empty();
                while going && !bytes.is_empty() {
                    tls.read_tls(&mut bytes)?;
                    going = tls.process_new_packets().is_ok();
                    // There may be nothing more for the time being.
                    let _ = tls.reader().read_to_end(&mut plain);
                }
                going
            }
            read = server.read(&mut from_server), if !tls.is_handshaking() => {
                tls.writer().write_all(&from_server[..read?])?;
                true
            }
        };
        while tls.wants_write() {
            tls.write_tls(&mut sealed)?;
        }
        client.write_all(&sealed).await?;
        server.write_all(&plain).await?;
        if !going {
            return Ok(());
        }
    }
}
