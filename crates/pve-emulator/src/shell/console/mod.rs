//! Consoles: a websocket to what `termproxy` is on a node, and that to a guest's terminal.
//!
//! PVE has three programs on this way: the server that unwraps the websocket, `termproxy` that asks for the ticket, and
//! what it runs. Here one task is all of them; what each says and when it ends is as theirs.

mod frames;
mod handshake;
mod words;

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::driver::GuestDriver;
use super::keeper::Door;
use super::terminal::{Terminal, terminal};
use crate::core::{ConsoleEnd, ConsoleTarget, Upid};
use frames::Frame;
use words::Words;

pub(super) use handshake::{accept, is_wanted};

/// Longest first line, as the buffer of `termproxy` has room for.
const FIRST_LINE_BYTES: usize = 4_096;
/// Answers to pings that may wait.
const PONGS: usize = 16;

/// What a console needs beside its connection.
pub(super) struct Desk<'a> {
    pub(super) door: &'a Door,
    pub(super) driver: &'a Arc<dyn GuestDriver>,
}

/// What the client's next frame brings.
enum Came {
    Bytes(Vec<u8>),
    Ping(Vec<u8>),
    /// It closes, is gone, or sends what no client may.
    Gone,
}

/// The client's way in: frames put together from what is read.
struct Inbound<S> {
    stream: ReadHalf<S>,
    buffer: Vec<u8>,
}

impl<S: AsyncRead> Inbound<S> {
    async fn next(&mut self) -> Came {
        loop {
            match frames::take(&mut self.buffer) {
                Ok(Some(Frame::Data(bytes))) => return Came::Bytes(bytes),
                Ok(Some(Frame::Ping(bytes))) => return Came::Ping(bytes),
                Ok(Some(Frame::Pong)) => continue,
                Ok(Some(Frame::Close)) => return Came::Gone,
                Ok(None) => {}
                Err(reason) => {
                    tracing::debug!(reason, "a console's client is not understood");
                    return Came::Gone;
                }
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return Came::Gone,
            }
        }
    }
}

/// Serves a console from its upgrade to its end. `ahead` is what the client sent with its request.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(
    (stream, ahead): (S, Vec<u8>),
    upgraded: &str,
    upid: Upid,
    desk: Desk<'_>,
) {
    let (read, mut write) = tokio::io::split(stream);
    let inbound = Inbound {
        stream: read,
        buffer: ahead,
    };
    let mut outside = desk.door.outside();
    let task = upid.clone();
    // The task was killed, gave up, or its node has lost power; or the keeper has stopped.
    let over = async move {
        let _ = outside.wait_for(|now| !now.consoles.contains(&task)).await;
    };
    let how = tokio::select! {
        how = attend(inbound, &mut write, upgraded, &upid, &desk) => how,
        () = over => None,
    };
    if let Some(how) = how {
        let now_ms = desk.door.now_ms();
        let ended = move |world: &mut crate::core::World| world.end_console(&upid, how, now_ms);
        // A keeper that has stopped ends it at its next start.
        let _ = desk.door.change(ended).await;
    }
    // The client may be gone; the server's side ends without a closing frame.
    let _ = write.shutdown().await;
}

/// How it ended; nothing if its task has ended by itself.
async fn attend<S: AsyncRead + AsyncWrite>(
    mut inbound: Inbound<S>,
    write: &mut WriteHalf<S>,
    upgraded: &str,
    upid: &Upid,
    desk: &Desk<'_>,
) -> Option<ConsoleEnd> {
    if write.write_all(upgraded.as_bytes()).await.is_err() || write.flush().await.is_err() {
        return Some(ConsoleEnd::NeverGreeted);
    }
    let Some((line, rest)) = first_line(&mut inbound, write).await else {
        return Some(ConsoleEnd::NeverGreeted);
    };
    let (task, now_ms) = (upid.clone(), desk.door.now_ms());
    let greeted = desk
        .door
        .alter(move |world| world.greet_console(&task, &line, now_ms))
        .await;
    let target = greeted.ok().flatten()?;
    if send(write, &frames::binary(b"OK")).await.is_err() {
        return Some(ConsoleEnd::Left);
    }
    let opened = open(target, desk.driver).await;
    Some(converse(inbound, rest, write, opened).await)
}

async fn send<S: AsyncWrite>(write: &mut WriteHalf<S>, frame: &[u8]) -> std::io::Result<()> {
    write.write_all(frame).await?;
    write.flush().await
}

/// The line with user and ticket, and what came behind it.
async fn first_line<S: AsyncRead + AsyncWrite>(
    inbound: &mut Inbound<S>,
    write: &mut WriteHalf<S>,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        match inbound.next().await {
            Came::Bytes(more) => bytes.extend(more),
            Came::Ping(payload) => send(write, &frames::pong(&payload)).await.ok()?,
            Came::Gone => return None,
        }
        if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let rest = bytes.split_off(end + 1);
            bytes.truncate(end);
            return Some((bytes, rest));
        }
        if bytes.len() >= FIRST_LINE_BYTES {
            return None;
        }
    }
}

/// What a console leads to; one that leads to nothing says why and ends.
async fn open(target: ConsoleTarget, driver: &Arc<dyn GuestDriver>) -> Terminal {
    let says = match target {
        ConsoleTarget::Guest { guest, mode } => match driver.open_console(&guest, mode).await {
            Ok(opened) => return opened,
            Err(says) => says,
        },
        ConsoleTarget::Nothing { says } => says,
    };
    let (user, end) = terminal();
    // There is room for one piece.
    let _ = end.output.try_send(Bytes::from(format!("{says}\r\n")));
    user
}

/// Carries bytes both ways until one side ends.
async fn converse<S: AsyncRead + AsyncWrite>(
    mut inbound: Inbound<S>,
    rest: Vec<u8>,
    write: &mut WriteHalf<S>,
    opened: Terminal,
) -> ConsoleEnd {
    let Terminal { input, mut output } = opened;
    let (pong, mut pongs) = mpsc::channel::<Vec<u8>>(PONGS);
    let typing = async {
        let mut words = Words::default();
        let mut bytes = rest;
        loop {
            for wish in words.take(&bytes) {
                // What has ended takes nothing more; its output says so.
                let _ = input.send(wish).await;
            }
            bytes = match inbound.next().await {
                Came::Bytes(bytes) => bytes,
                Came::Ping(payload) => {
                    let _ = pong.send(frames::pong(&payload)).await;
                    Vec::new()
                }
                Came::Gone => return ConsoleEnd::Left,
            };
        }
    };
    let printing = async {
        loop {
            let frame = tokio::select! {
                printed = output.recv() => match printed {
                    Some(bytes) => frames::binary(&bytes),
                    None => return ConsoleEnd::Ended,
                },
                Some(frame) = pongs.recv() => frame,
            };
            if send(write, &frame).await.is_err() {
                return ConsoleEnd::Left;
            }
        }
    };
    tokio::select! {
        how = typing => how,
        how = printing => how,
    }
}
