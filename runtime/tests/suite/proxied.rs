//! Proxies, in memory: both kinds, who may use them, and what they refuse.

use std::time::Duration;

use wormhole_core::driver::{Address, Conn, Input, Op, Target, Why};
use wormhole_core::error::{Error, ServerFault};
use wormhole_runtime::{Config, InFlight, Layered, Proxied, Proxy, Runtime, Wormhole};

use crate::double::Double;
use crate::net::{Net, in_flight, run, settle};
use crate::proxy::ProxyDouble;

const CONN: Conn = Conn(7);

type Simulated = Layered<Proxied<InFlight<Net>>>;

#[test]
fn a_conversation_goes_by_either_kind_with_and_without_a_password() {
    for kind in [Proxy::socks5, Proxy::http] {
        for login in [None, Some("user:pass")] {
            let mut world = World::new(login);
            let plain = kind("127.0.0.1", world.port);
            let proxy = if login.is_some() { plain.login("user", "pass").unwrap() } else { plain };
            let mut alice = world.wormhole(&proxy);
            let mut bob = world.wormhole(&proxy);
            world.whole(alice.set_code("4-purple-sausages")).unwrap();
            world.whole(bob.set_code("4-purple-sausages")).unwrap();
            world.whole(alice.send(b"hello")).unwrap();
            let (_, came) = world.both(alice.stored(), bob.receive());
            assert_eq!(came.unwrap(), b"hello");
            let place = format!("mailbox.test:{}", world.mailbox);
            assert_eq!(world.proxy.asked, [place.clone(), place], "the proxy resolves the names");
        }
    }
}

#[test]
fn what_a_proxy_refuses_is_told_in_its_words() {
    let why = |login: Option<&'static str>, make: &dyn Fn(u16) -> Proxy, mailbox: u16| {
        let mut world = World::new(login);
        world.mailbox = if mailbox == 0 { world.mailbox } else { mailbox };
        let proxy = make(world.port);
        let mut alice = world.wormhole(&proxy);
        match world.whole(alice.welcome()) {
            Err(Error::Server(ServerFault::Unreachable { why, .. })) => why,
            other => panic!("{other:?}"),
        }
    };
    let socks = |port| Proxy::socks5("127.0.0.1", port);
    let http = |port| Proxy::http("127.0.0.1", port);
    let wrong = Why::Proxy("it does not take this name and password".into());
    let wanted = Why::Proxy("it wants a name and a password".into());
    assert_eq!(why(Some("user:pass"), &|port| socks(port).login("user", "x").unwrap(), 0), wrong);
    assert_eq!(why(Some("user:pass"), &|port| http(port).login("user", "x").unwrap(), 0), wrong);
    assert_eq!(why(Some("user:pass"), &socks, 0), wanted);
    assert_eq!(why(Some("user:pass"), &http, 0), wanted);
    assert_eq!(why(None, &socks, 1), Why::Refused);
    assert_eq!(why(None, &http, 1), Why::Proxy("it answered 502 Bad Gateway".into()));
    let away = why(None, &|_| socks(1), 0);
    assert_eq!(away, Why::Proxy("connection refused: nobody listens there".into()));
}

#[test]
fn a_proxy_that_does_not_answer_is_given_up() {
    let world = World::new(None);
    let mut runtime = through(&world.net, &Proxy::socks5("127.0.0.1", world.port));
    open(&mut runtime, 1);
    assert_eq!(run(runtime.next(None)), None);
    world.net.advance(Duration::from_secs(29));
    assert_eq!(run(runtime.next(None)), None);
    world.net.advance(Duration::from_secs(1));
    let why = Why::Proxy("it does not answer".into());
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: CONN, why }]);
    // One that is closed while it is dialled has had its last word.
    open(&mut runtime, 1);
    runtime.start(Op::Close { conn: CONN });
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: CONN, why: Why::Asked }]);
}

#[test]
fn the_sleep_of_the_computer_does_not_count_for_a_proxy() {
    let world = World::new(None);
    let mut runtime = through(&world.net, &Proxy::socks5("127.0.0.1", world.port));
    open(&mut runtime, 1);
    assert_eq!(run(runtime.next(None)), None);
    world.net.advance(Duration::from_hours(5));
    assert_eq!(run(runtime.next(None)), None);
    world.net.advance(Duration::from_secs(29));
    assert_eq!(run(runtime.next(None)), None);
    world.net.advance(Duration::from_secs(1));
    let why = Why::Proxy("it does not answer".into());
    assert_eq!(settle(&mut runtime), [Input::Closed { conn: CONN, why }]);
}

#[test]
fn what_comes_along_with_the_last_word_of_the_proxy_is_read_first() {
    let mut world = World::new(None);
    let mut target = in_flight(&world.net);
    let port = crate::net::listen(&mut target, Conn(0), wormhole_core::driver::Listen::Relay);
    target.start(Op::Accept { at: Conn(0), conn: Conn(1) });
    let mut runtime = through(&world.net, &Proxy::socks5("127.0.0.1", world.port));
    open(&mut runtime, port);
    // The other end speaks first, and the proxy passes that on with its own last word.
    for _ in 0..2 {
        assert_eq!(run(runtime.next(None)), None);
        world.serve();
    }
    settle(&mut target);
    target.start(Op::Write { conn: Conn(1), bytes: b"first".to_vec() });
    settle(&mut target);
    world.serve();
    assert_eq!(run(runtime.next(None)), Some(Some(Input::Opened { conn: CONN, peer: None })));
    runtime.start(Op::Read { conn: CONN });
    assert_eq!(run(runtime.next(None)), Some(Some(Input::Received { conn: CONN, bytes: b"first".to_vec() })));
    // From here on it is a connection like any other.
    runtime.start(Op::Write { conn: CONN, bytes: b"second".to_vec() });
    target.start(Op::Read { conn: Conn(1) });
    assert_eq!(settle(&mut runtime), [Input::Sent { conn: CONN }]);
    world.serve();
    let came = Input::Received { conn: Conn(1), bytes: b"second".to_vec() };
    assert!(settle(&mut target).contains(&came));
    assert!(runtime.take(CONN).is_some());
}

#[test]
fn a_connection_that_is_not_through_is_not_given_out() {
    let world = World::new(None);
    let mut runtime = through(&world.net, &Proxy::socks5("127.0.0.1", world.port));
    open(&mut runtime, 1);
    assert!(runtime.take(CONN).is_none());
    assert_eq!(run(runtime.next(None)), None);
    assert!(runtime.take(CONN).is_none());
}

fn open(runtime: &mut Proxied<InFlight<Net>>, port: u16) {
    runtime.start(Op::Open { conn: CONN, target: Target::Relay(Address::new("relay.test", port)) });
}

fn through(net: &Net, proxy: &Proxy) -> Proxied<InFlight<Net>> {
    Proxied::new(in_flight(net), Some(proxy.clone()))
}

/// A mailbox server and a proxy in memory.
struct World {
    net: Net,
    server: Double<Layered<InFlight<Net>>>,
    proxy: ProxyDouble<InFlight<Net>>,
    mailbox: u16,
    port: u16,
}

impl World {
    fn new(login: Option<&'static str>) -> Self {
        let net = Net::default();
        let mut server = Double::new(Layered::new(in_flight(&net)));
        let listening = run(server.runtime.next(None)).unwrap();
        let url = server.handle(listening).unwrap();
        let mailbox = url.trim_end_matches("/v1").rsplit_once(':').unwrap().1.parse().unwrap();
        let mut proxy = ProxyDouble::new(in_flight(&net));
        proxy.login = login;
        let listening = run(proxy.runtime.next(None)).unwrap();
        let port = proxy.handle(listening).unwrap();
        Self { net, server, proxy, mailbox, port }
    }

    fn wormhole(&self, proxy: &Proxy) -> Wormhole<Simulated> {
        let url = format!("ws://mailbox.test:{}/v1", self.mailbox);
        let runtime = Layered::new(through(&self.net, proxy));
        Wormhole::on(runtime, Config::new("example.com/app").mailbox(&url)).unwrap()
    }

    fn serve(&mut self) {
        for _ in 0..4 {
            while let Some(input) = run(self.server.runtime.next(None)) {
                self.server.handle(input);
            }
            while let Some(input) = run(self.proxy.runtime.next(None)) {
                self.proxy.handle(input);
            }
        }
    }

    fn whole<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.both(future, std::future::ready(())).0
    }

    fn both<T, U>(&mut self, first: impl Future<Output = T>, second: impl Future<Output = U>) -> (T, U) {
        let (mut first, mut second) = (Box::pin(first), Box::pin(second));
        let (mut a, mut b) = (None, None);
        for _ in 0..1000 {
            if a.is_none() {
                a = run(first.as_mut());
            }
            if b.is_none() {
                b = run(second.as_mut());
            }
            if let (Some(_), Some(_)) = (&a, &b) {
                return (a.unwrap(), b.unwrap());
            }
            self.serve();
        }
        panic!("it ends some time")
    }
}
