//! Proxies on every adapter: whatever is dialled goes through them, which is counted, and what they refuse is said.
#![cfg(test)]

#[path = "../../runtime/tests/suite/proxy.rs"]
mod proxy;

use std::fs;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use tempfile::TempDir;
use wormhole_core::driver::Why;
use wormhole_core::error::{Error, ServerFault};
use wormhole_runtime::{Config, Proxy, Runtime};
use wormhole_tests::{Adapter, Executor, Gate, Servers, Side, noise};
use wormhole_transfer::Received;

use self::proxy::ProxyDouble;

/// The only one who may use a proxy that asks.
const LOGIN: &str = "user:pass";
const FILE: usize = 1_000_003;

#[test]
fn a_conversation_goes_through_every_kind_of_proxy_and_no_other_way() {
    for adapter in Adapter::ALL {
        for (kind, login) in kinds() {
            let (proxy, asked) = serve(kind, login);
            let gate = Gate::before(Servers::ours().ports()[0]);
            let config = Config::new("example.com/proxies").mailbox(&url(&gate)).proxy(proxy);
            talk(adapter, &config);
            assert_eq!(*asked.lock().unwrap(), vec![place(&gate); 2], "{adapter:?}");
            assert_eq!(gate.came(), 2, "{adapter:?}");
        }
    }
}

#[test]
fn a_file_goes_through_the_proxies_of_both_sides_to_a_relay_and_no_other_way() {
    for adapter in Adapter::ALL {
        for (kind, login) in kinds() {
            let (proxy, asked) = serve(kind, login);
            let [mailbox, relay] = Servers::ours().ports().map(Gate::before);
            let config = Config::new("example.com/proxies").mailbox(&url(&mailbox)).proxy(proxy);
            transfer(adapter, &config.relays([format!("tcp:{}", place(&relay))]), None);
            let asked = asked.lock().unwrap();
            for gate in [&mailbox, &relay] {
                let through = asked.iter().filter(|asked| **asked == place(gate)).count();
                assert!(gate.came() >= 2 && gate.came() <= through, "{adapter:?} {asked:?}");
            }
            assert!(asked.iter().all(|asked| *asked == place(&mailbox) || *asked == place(&relay)));
        }
    }
}

#[test]
fn a_peer_who_listens_is_called_through_the_proxy() {
    for adapter in Adapter::ALL {
        let (proxy, asked) = serve(Proxy::socks5, Some(LOGIN));
        let mailbox = Gate::before(Servers::ours().ports()[0]);
        let open =
            Config::new("example.com/proxies").mailbox(&Servers::ours().mailbox_url()).relays::<&str>([]);
        let hidden = open.clone().mailbox(&url(&mailbox)).proxy(proxy);
        transfer(adapter, &hidden, Some(&open));
        let asked = asked.lock().unwrap();
        assert_eq!(mailbox.came(), 1);
        assert!(asked.iter().any(|asked| *asked != place(&mailbox)), "{adapter:?} {asked:?}");
    }
}

#[test]
fn a_proxy_that_does_not_know_us_is_a_clear_error_and_nothing_goes_by_it() {
    let made: [fn(&str, u16) -> Proxy; 2] = [Proxy::socks5, Proxy::http];
    for adapter in Adapter::ALL {
        for kind in made {
            let (known, _) = serve(kind, Some(LOGIN));
            let strange = known.clone().login("user", "wrong").unwrap();
            expect_refusal(adapter, strange, "it does not take this name and password");
        }
    }
}

#[test]
fn a_proxy_that_wants_a_password_and_gets_none_is_a_clear_error() {
    for adapter in Adapter::ALL {
        let (port, _) = proxy(Some(LOGIN));
        expect_refusal(adapter, Proxy::socks5("127.0.0.1", port), "it wants a name and a password");
        expect_refusal(adapter, Proxy::http("127.0.0.1", port), "it wants a name and a password");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_a_clear_error() {
    for adapter in Adapter::ALL {
        let told = "connection refused: nobody listens there";
        expect_refusal(adapter, Proxy::socks5("127.0.0.1", 1), told);
    }
}

#[track_caller]
fn expect_refusal(adapter: Adapter, proxy: Proxy, told: &str) {
    let gate = Gate::before(Servers::ours().ports()[0]);
    let config = Config::new("example.com/proxies").mailbox(&url(&gate)).proxy(proxy);
    let mut side = adapter.wormhole(config).unwrap();
    let error = side.welcome().unwrap_err();
    let fault = ServerFault::Unreachable { url: url(&gate), why: Why::Proxy(told.into()) };
    assert_eq!(error, Error::Server(fault), "{adapter:?}");
    let sentence =
        format!("the mailbox server {} cannot be reached: the proxy did not connect us: {told}", url(&gate));
    assert_eq!(error.to_string(), sentence);
    assert_eq!(gate.came(), 0);
}

/// A record each way between two sides.
#[track_caller]
fn talk(adapter: Adapter, config: &Config) {
    let open = || adapter.wormhole(config.clone()).unwrap();
    let (mut left, mut right) = (open(), open());
    left.allocate_code(2).unwrap();
    right.set_code(left.code().unwrap().as_str()).unwrap();
    let say = |mut side: Box<dyn Side>| {
        side.send(b"hello").unwrap();
        assert_eq!(side.receive().unwrap(), b"hello");
        side.stored().unwrap();
        side.close().unwrap();
    };
    let other = thread::spawn(move || say(right));
    say(left);
    other.join().unwrap();
}

/// A file between two sides, of which the receiving one may have another configuration.
#[track_caller]
fn transfer(adapter: Adapter, config: &Config, theirs: Option<&Config>) {
    let work = TempDir::new().unwrap();
    let (file, to) = (work.path().join("file"), work.path().join("to"));
    fs::write(&file, noise(FILE)).unwrap();
    fs::create_dir(&to).unwrap();
    let arrived = to.join("file");
    let (tell, told) = mpsc::channel();
    let (ours, theirs) = (config.clone(), theirs.unwrap_or(config).clone());
    let sending = thread::spawn(move || adapter.send(ours, &file, tell));
    let received = adapter.receive(theirs, told.recv().unwrap(), to);
    sending.join().unwrap().unwrap();
    assert_eq!(received, Ok(Received::Stored(arrived.clone())));
    assert!(fs::read(arrived).unwrap() == noise(FILE));
}

type Kind = fn(&str, u16) -> Proxy;

fn kinds() -> [(Kind, Option<&'static str>); 4] {
    [(Proxy::socks5, None), (Proxy::socks5, Some(LOGIN)), (Proxy::http, None), (Proxy::http, Some(LOGIN))]
}

fn url(gate: &Gate) -> String {
    format!("ws://{}/v1", place(gate))
}

fn place(gate: &Gate) -> String {
    format!("127.0.0.1:{}", gate.port())
}

/// A proxy as whom it knows, and where its clients wanted to go.
fn serve(kind: Kind, login: Option<&'static str>) -> (Proxy, Arc<Mutex<Vec<String>>>) {
    let (port, asked) = proxy(login);
    let proxy = kind("127.0.0.1", port);
    let known = login.and_then(|login| login.split_once(':'));
    (known.map_or_else(|| proxy.clone(), |(user, pass)| proxy.clone().login(user, pass).unwrap()), asked)
}

/// A proxy of both kinds on a thread of its own: its port, and where its clients wanted to go.
fn proxy(login: Option<&'static str>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let ((tell, told), note) = (mpsc::channel(), Arc::clone(&asked));
    thread::spawn(move || {
        Executor::tokio().run(async move {
            let mut proxy = ProxyDouble::new(wormhole_tokio::runtime());
            proxy.login = login;
            loop {
                let input = proxy.runtime.next(None).await;
                if let Some(port) = proxy.handle(input) {
                    tell.send(port).unwrap();
                }
                note.lock().unwrap().clone_from(&proxy.asked);
            }
        });
    });
    (told.recv().unwrap(), asked)
}
