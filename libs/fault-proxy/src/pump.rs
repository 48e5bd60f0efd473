//! One direction of one connection.
//!
//! One half reads and stamps each piece with the time it is due, the other half waits for that time and writes. A
//! bounded queue lies between them, so that latency costs no throughput and a slow reader still slows its writer down.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    connection::Orders,
    faults::{Carry, Counts, Flow},
    mark::Search,
};

/// Bytes read at once.
const PIECE: usize = 16 * 1024;

/// Pieces under way: 4 MiB, which a latency of 100 ms fills at 40 MB/s.
const UNDER_WAY: usize = 256;

/// A narrow connection writes so much at once as passes in this time, so that it trickles and does not gush.
const SLICE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

impl Direction {
    fn flow(self, orders: &Orders) -> Flow {
        let weather = orders.weather;
        let flow = if self == Self::ToServer { weather.to_server } else { weather.to_client };
        if orders.silenced { Flow { carry: Carry::Swallow, ..flow } } else { flow }
    }

    fn delivered(self, counts: &mut Counts) -> &mut u64 {
        if self == Self::ToServer { &mut counts.to_server } else { &mut counts.to_client }
    }
}

/// What a pump needs to know and to tell.
pub(crate) struct Pump<'a> {
    pub(crate) direction: Direction,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) counts: &'a watch::Sender<Counts>,
    /// Looks for the mark, and whom to tell.
    pub(crate) search: Search,
    pub(crate) found: &'a (dyn Fn() + Send + Sync),
}

struct Piece {
    bytes: Bytes,
    due: Instant,
}

impl Pump<'_> {
    /// Carries bytes until `from` ends, and tells `to` of the end unless that is lost, too.
    pub(crate) async fn run(
        self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        let (direction, orders, counts) = (self.direction, self.orders.clone(), self.counts);
        let take = self.take(from, sender);
        let give = give(
            receiver,
            to,
            |written| counts.send_modify(|c| *direction.delivered(c) += written),
            || direction.flow(&orders.borrow()),
        );
        let (ended, ()) = tokio::try_join!(take, give)?;
        match ended {
            End::Told => to.shutdown().await,
            End::Lost => Ok(()),
        }
    }

    /// Reads to the end.
    async fn take(
        mut self,
        from: &mut (impl AsyncRead + Unpin),
        pieces: mpsc::Sender<Piece>,
    ) -> io::Result<End> {
        let mut lossy = false;
        let mut buffer = BytesMut::new();
        loop {
            let flow = self.direction.flow(&self.orders.borrow_and_update());
            let swallows = lossy || flow.carry == Carry::Swallow;
            buffer.reserve(PIECE);
            let read = tokio::select! {
                biased;
                // The sender lives as long as the connection.
                _ = self.orders.changed() => continue,
                read = from.read_buf(&mut buffer), if swallows || flow.carry == Carry::Pass => read,
            };
            let bytes = match read {
                Ok(0) => return Ok(if swallows { End::Lost } else { End::Told }),
                Ok(_) => buffer.split().freeze(),
                // Nobody is told that either.
                Err(_) if swallows => return Ok(End::Lost),
                Err(error) => return Err(error),
            };
            if self.search.feed(&bytes) {
                // From here on the weather may be another one, for these bytes too.
                (self.found)();
                let flow = self.direction.flow(&self.orders.borrow());
                lossy |= flow.carry == Carry::Swallow;
            }
            if swallows || lossy {
                lossy = true;
                self.counts.send_modify(|counts| counts.swallowed += bytes.len() as u64);
                continue;
            }
            let due = Instant::now() + flow.latency;
            if pieces.send(Piece { bytes, due }).await.is_err() {
                // Writing failed, and says why.
                return Ok(End::Lost);
            }
        }
    }
}

/// How a direction ended.
enum End {
    /// The other side is to be told.
    Told,
    /// It never learns.
    Lost,
}

async fn give(
    mut pieces: mpsc::Receiver<Piece>,
    to: &mut (impl AsyncWrite + Unpin),
    delivered: impl Fn(u64),
    flow: impl Fn() -> Flow,
) -> io::Result<()> {
    while let Some(Piece { mut bytes, due }) = pieces.recv().await {
        sleep_until(due).await;
        while !bytes.is_empty() {
            let Some(rate) = flow().bytes_per_second else {
                to.write_all(&bytes).await?;
                delivered(bytes.len() as u64);
                break;
            };
            let most = (u128::from(rate.get()) * SLICE.as_millis() / 1000).max(1);
            let slice = bytes.split_to(bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX)));
            to.write_all(&slice).await?;
            delivered(slice.len() as u64);
            sleep(Duration::from_secs_f64(slice.len() as f64 / rate.get() as f64)).await;
        }
    }
    Ok(())
}
