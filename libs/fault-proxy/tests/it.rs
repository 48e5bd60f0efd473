//! The proxy between real sockets: each fault, as a client sees it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by panicking")]

use std::{
    io::ErrorKind,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use fundbond_fault_proxy::{Blow, Carry, Door, FaultProxy, Flow, Upstream, Weather, Which};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener},
    time::timeout,
};

/// Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that says everything again, until it is told that this was all.
async fn echo() -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (from, to) = socket.into_split();
            tokio::spawn(say_again(from, to));
        }
    });
    Upstream::Tcp(address)
}

async fn say_again(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    // A connection that is reset under the server is what some tests do.
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

async fn proxy() -> FaultProxy {
    FaultProxy::marking(echo().await, b"*MARK*").unwrap()
}

async fn connect(proxy: &FaultProxy) -> TcpStream {
    within(TcpStream::connect(proxy.address())).await.unwrap()
}

async fn within<T>(step: impl Future<Output = T>) -> T {
    timeout(PATIENCE, step).await.expect("in time")
}

/// Sends `text` and reads as much.
async fn exchange(socket: &mut TcpStream, text: &str) {
    within(socket.write_all(text.as_bytes())).await.unwrap();
    expect(socket, text).await;
}

async fn expect(socket: &mut TcpStream, text: &str) {
    let mut answer = vec![0; text.len()];
    within(socket.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, text.as_bytes());
}

/// Reads to the end, which must come in order.
async fn rest(socket: &mut TcpStream) -> String {
    let mut rest = String::new();
    within(socket.read_to_string(&mut rest)).await.unwrap();
    rest
}

async fn is_reset(socket: &mut TcpStream) {
    let error = within(socket.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

/// Nothing came and nothing ended so far.
fn is_silent(socket: &TcpStream) {
    assert_eq!(socket.try_read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn everything_arrives_whole_and_ends_half_by_half() {
    let proxy = proxy().await;
    let socket = connect(&proxy).await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let (mut from, mut to) = socket.into_split();
    let all = sent.clone();
    let sending = tokio::spawn(async move {
        to.write_all(&all).await.unwrap();
        // The server still answers after it was told that this was all.
        to.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    within(from.read_to_end(&mut received)).await.unwrap();
    within(sending).await.unwrap();
    assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
    let counts = within(proxy.until(|counts| counts.open == 0)).await;
    assert_eq!((counts.arrived, counts.to_server, counts.to_client), (1, 3_000_000, 3_000_000));
}

#[tokio::test]
async fn a_server_on_a_path_is_reached_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (from, to) = socket.into_split();
            tokio::spawn(say_again(from, to));
        }
    });
    let proxy = FaultProxy::start(Upstream::Unix(path)).unwrap();
    let mut socket = connect(&proxy).await;
    exchange(&mut socket, "hello").await;
    assert_eq!(proxy.strike(Which::All, Blow::Reset), 1);
    is_reset(&mut socket).await;
}

#[tokio::test]
async fn connections_are_closed_or_reset_and_new_ones_are_none_the_worse() {
    let proxy = proxy().await;
    let (mut closed, mut broken) = (connect(&proxy).await, connect(&proxy).await);
    exchange(&mut closed, "*MARK*").await;
    exchange(&mut broken, "hello").await;
    assert_eq!(proxy.strike(Which::Marked, Blow::Close), 1);
    assert_eq!(rest(&mut closed).await, "");
    assert_eq!(proxy.strike(Which::Unmarked, Blow::Reset), 1);
    is_reset(&mut broken).await;
    within(proxy.until(|counts| counts.open == 0)).await;
    exchange(&mut connect(&proxy).await, "hello").await;
}

#[tokio::test]
async fn a_door_resets_refuses_and_opens_again_on_the_same_port() {
    let proxy = proxy().await;
    let mut before = connect(&proxy).await;
    exchange(&mut before, "before").await;
    proxy.door(Door::Resetting).await.unwrap();
    for turned_away in 1..=3 {
        is_reset(&mut connect(&proxy).await).await;
        assert_eq!(proxy.counts().reset_at_the_door, turned_away);
    }
    proxy.door(Door::Closed).await.unwrap();
    let refused = within(TcpStream::connect(proxy.address())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    exchange(&mut before, "what is open stays open").await;
    proxy.door(Door::Open).await.unwrap();
    exchange(&mut connect(&proxy).await, "after").await;
    assert_eq!(proxy.counts().arrived, 5);
}

#[tokio::test]
async fn what_was_swallowed_is_never_followed_by_what_was_not() {
    let proxy = proxy().await;
    let (mut spoke, mut quiet) = (connect(&proxy).await, connect(&proxy).await);
    exchange(&mut spoke, "hello").await;
    exchange(&mut quiet, "hello").await;
    proxy.weather(Which::All, Weather::swallowing());
    within(spoke.write_all(b"lost")).await.unwrap();
    within(proxy.until(|counts| counts.swallowed == 4)).await;
    proxy.weather(Which::All, Weather::default());
    // Who said nothing lost nothing.
    exchange(&mut quiet, "again").await;
    within(spoke.write_all(b"late")).await.unwrap();
    within(proxy.until(|counts| counts.swallowed == 8)).await;
    is_silent(&spoke);
    exchange(&mut connect(&proxy).await, "new").await;
}

#[tokio::test]
async fn one_direction_alone_can_be_lost() {
    let proxy = proxy().await;
    let mut socket = connect(&proxy).await;
    let lost = Flow { carry: Carry::Swallow, ..Flow::default() };
    proxy.weather(Which::All, Weather { to_client: lost, ..Weather::default() });
    within(socket.write_all(b"heard")).await.unwrap();
    let counts = within(proxy.until(|counts| counts.swallowed == 5)).await;
    assert_eq!((counts.to_server, counts.to_client), (5, 0));
    is_silent(&socket);
}

#[tokio::test]
async fn what_is_held_back_arrives_when_the_weather_changes() {
    let proxy = proxy().await;
    let mut socket = connect(&proxy).await;
    exchange(&mut socket, "hello").await;
    proxy.weather(Which::All, Weather::holding());
    within(socket.write_all(b"later")).await.unwrap();
    // A connection that comes meanwhile shows that the proxy is at work.
    let mut other = connect(&proxy).await;
    within(proxy.until(|counts| counts.open == 2)).await;
    within(other.write_all(b"this too")).await.unwrap();
    is_silent(&socket);
    assert_eq!(proxy.counts().to_server, 5);
    proxy.weather(Which::All, Weather::default());
    expect(&mut socket, "later").await;
    expect(&mut other, "this too").await;
}

#[tokio::test]
async fn the_mark_tells_connections_apart_also_when_it_comes_in_pieces() {
    let proxy = proxy().await;
    let (mut plain, mut marked) = (connect(&proxy).await, connect(&proxy).await);
    exchange(&mut plain, "nothing special").await;
    exchange(&mut marked, "some *MA").await;
    exchange(&mut marked, "RK* more").await;
    assert_eq!(proxy.counts().marked, 1);
    assert_eq!(proxy.strike(Which::Marked, Blow::Silence), 1);
    within(marked.write_all(b"anybody?")).await.unwrap();
    within(proxy.until(|counts| counts.swallowed == 8)).await;
    exchange(&mut plain, "still here").await;
    is_silent(&marked);
    // The next one like it is well: only the one connection was struck.
    exchange(&mut connect(&proxy).await, "*MARK*").await;
    // The end of a silent connection is lost as well, and forgotten with the proxy.
    drop(marked);
    assert_eq!(proxy.counts().open, 3);
    drop(proxy);
    assert_eq!(rest(&mut plain).await, "");
}

#[tokio::test]
async fn a_mark_in_weather_of_its_own_does_not_get_through() {
    let proxy = proxy().await;
    proxy.weather(Which::Marked, Weather::swallowing());
    let (mut plain, mut marked) = (connect(&proxy).await, connect(&proxy).await);
    within(marked.write_all(b"*MARK*")).await.unwrap();
    within(proxy.until(|counts| counts.swallowed == 6)).await;
    exchange(&mut plain, "hello").await;
    assert_eq!(proxy.counts().to_server, 5);
}

#[tokio::test]
async fn latency_delays_each_way_and_keeps_the_order() {
    const LATENCY: Duration = Duration::from_millis(60);
    let proxy = proxy().await;
    let mut socket = connect(&proxy).await;
    proxy.weather(Which::All, Weather::slow(LATENCY));
    let begun = Instant::now();
    for piece in ["one", "two", "three"] {
        within(socket.write_all(piece.as_bytes())).await.unwrap();
    }
    expect(&mut socket, "onetwothree").await;
    assert!(begun.elapsed() >= 2 * LATENCY, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_narrow_connection_takes_its_time() {
    let proxy = proxy().await;
    let mut socket = connect(&proxy).await;
    let narrow = Flow { bytes_per_second: NonZeroU64::new(100_000), ..Flow::default() };
    proxy.weather(Which::All, Weather { to_server: narrow, ..Weather::default() });
    let begun = Instant::now();
    exchange(&mut socket, &"x".repeat(20_000)).await;
    // The last slice is waited for after it was written.
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    let Upstream::Tcp(nobody) = echo().await else { unreachable!() };
    let reserved = FaultProxy::start(Upstream::Tcp(nobody)).unwrap();
    reserved.door(Door::Closed).await.unwrap();
    let proxy = FaultProxy::start(Upstream::Tcp(reserved.address())).unwrap();
    is_reset(&mut connect(&proxy).await).await;
    assert_eq!(proxy.counts().without_server, 1);
}
