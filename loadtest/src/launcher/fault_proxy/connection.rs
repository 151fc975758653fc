//! One connection through the proxy: two pumps, and an ear for faults.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Control, Mode, deaf::Deaf, repeat::Repeat};

/// Why pumping stopped before the connection's own end.
enum Cut {
    Reset,
    HalfOpen,
}

pub(super) async fn serve(mut client: TcpStream, mut control: watch::Receiver<Control>) {
    let Control { upstream, resets, .. } = *control.borrow();
    // What is done to a socket below can fail only when its peer has closed it already.
    let _ = client.set_nodelay(true);
    let connected = tokio::select! {
        connected = connect(upstream, control.clone()) => connected,
        cut = cut(control.clone(), resets) => match cut {
            Cut::Reset => return reset(&client),
            Cut::HalfOpen => return swallow(client, &mut control).await,
        },
    };
    let Ok(mut server) = connected else { return reset(&client) };
    let _ = server.set_nodelay(true);
    let cut = tokio::select! {
        pumped = pump_both(&mut client, &mut server, &control) => match pumped {
            Ok(()) => return,
            Err(_) => Cut::Reset,
        },
        cut = cut(control.clone(), resets) => cut,
    };
    reset(&server);
    drop(server);
    match cut {
        Cut::Reset => reset(&client),
        Cut::HalfOpen => swallow(client, &mut control).await,
    }
}

/// Reaches the server as soon as the way is open.
async fn connect(upstream: SocketAddr, mut control: watch::Receiver<Control>) -> io::Result<TcpStream> {
    let delay = passing(&mut control).await;
    tokio::time::sleep(delay).await;
    TcpStream::connect(upstream).await
}

async fn pump_both(
    client: &mut TcpStream,
    server: &mut TcpStream,
    control: &watch::Receiver<Control>,
) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    // Where each word begins is known only from the first one of a connection on.
    let mode = control.borrow().mode;
    let (asked, answered) = match mode {
        Mode::Deaf => (Filter::None, Filter::Deaf(Deaf::default())),
        Mode::RepeatPublished => (Filter::None, Filter::Repeat(Repeat::published())),
        Mode::RepeatCommands => (Filter::Repeat(Repeat::commands()), Filter::None),
        _ => (Filter::None, Filter::None),
    };
    let to_client = pump(from_server, to_client, control, (mode, answered));
    tokio::try_join!(pump(from_client, to_server, control, (mode, asked)), to_client)?;
    Ok(())
}

/// One direction, to its end.
async fn pump(
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    control: &watch::Receiver<Control>,
    filter: (Mode, Filter),
) -> io::Result<()> {
    let (queue, queued) = mpsc::channel(QUEUE);
    tokio::try_join!(read(from, queue, control.clone(), filter), write(to, queued, control.clone()))?;
    Ok(())
}

/// What becomes of the words that a pump carries, while the fault lasts in which its connection began.
enum Filter {
    None,
    Deaf(Deaf),
    Repeat(Repeat),
}

type Piece = (Instant, Bytes);

/// Takes pieces from the socket, each with the time when it is to go on. A full queue slows the sender.
async fn read(
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<Piece>,
    mut control: watch::Receiver<Control>,
    (began_in, mut filter): (Mode, Filter),
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    let mut on = true;
    loop {
        let delay = passing(&mut control).await;
        let length = tokio::select! {
            length = from.read(&mut buffer) => length?,
            _ = control.changed() => continue,
        };
        let Some(piece) = buffer.get(..length).filter(|piece| !piece.is_empty()) else { return Ok(()) };
        on &= control.borrow().mode == began_in;
        let piece = match &mut filter {
            Filter::Deaf(filter) => filter.piece(piece, on),
            Filter::Repeat(filter) => filter.piece(piece, on),
            Filter::None => Bytes::copy_from_slice(piece),
        };
        if queue.send((Instant::now() + delay, piece)).await.is_err() {
            return Ok(());
        }
    }
}

async fn write(
    mut to: WriteHalf<'_>,
    mut queue: mpsc::Receiver<Piece>,
    mut control: watch::Receiver<Control>,
) -> io::Result<()> {
    while let Some((due, piece)) = queue.recv().await {
        tokio::time::sleep_until(due).await;
        passing(&mut control).await;
        to.write_all(&piece).await?;
    }
    passing(&mut control).await;
    to.shutdown().await
}

/// Waits until the proxy carries; returns the delay.
async fn passing(control: &mut watch::Receiver<Control>) -> Duration {
    loop {
        match control.borrow_and_update().mode {
            Mode::Pass(delay) => return delay,
            Mode::Deaf | Mode::RepeatPublished | Mode::RepeatCommands => return Duration::ZERO,
            Mode::Blackhole | Mode::HalfOpen | Mode::Refuse => {}
        }
        changed(control).await;
    }
}

/// Waits until this connection is to be cut.
async fn cut(mut control: watch::Receiver<Control>, resets: u64) -> Cut {
    loop {
        let now = *control.borrow_and_update();
        match now.mode {
            _ if now.resets != resets => return Cut::Reset,
            Mode::Refuse => return Cut::Reset,
            Mode::HalfOpen => return Cut::HalfOpen,
            Mode::Pass(_) | Mode::Blackhole => changed(&mut control).await,
            Mode::Deaf | Mode::RepeatPublished | Mode::RepeatCommands => changed(&mut control).await,
        }
    }
}

/// Reads and forgets until the client leaves, or the fault ends and the client learns that nobody knows it.
async fn swallow(mut client: TcpStream, control: &mut watch::Receiver<Control>) {
    let mut buffer = vec![0; PIECE];
    loop {
        tokio::select! {
            length = client.read(&mut buffer) => match length {
                Ok(1..) => {}
                _ => return,
            },
            () = not_half_open(control) => return reset(&client),
        }
    }
}

async fn not_half_open(control: &mut watch::Receiver<Control>) {
    while control.borrow_and_update().mode == Mode::HalfOpen {
        changed(control).await;
    }
}

async fn changed(control: &mut watch::Receiver<Control>) {
    if control.changed().await.is_err() {
        // The proxy is gone, and this task is about to be.
        std::future::pending::<()>().await;
    }
}

/// The socket's close, which follows, is an RST.
fn reset(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

const PIECE: usize = 16 * 1024;
const QUEUE: usize = 64;
