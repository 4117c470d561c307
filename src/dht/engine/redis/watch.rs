//! [`Watcher`]: which relays other nodes say have changed, by a subscription.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ::redis::cmd;

use super::connection::{Connection, Server, malformed};
use super::failure::Failure;
use super::keys::node;
use super::stream::Stream;
use crate::dht::engine::{Change, ChangeSink};
use crate::relay::NodeId;
use crate::sync::unmodelled::Mutex;

/// A server is asked for a sign of life after so much silence.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// After so much silence, the connection leads nowhere.
const MAX_SILENCE: Duration = Duration::from_secs(75);

/// The maximum length of what was received of a message, in bytes.
const MAX_UNREAD: usize = 16 * 1_024;

/// A connection of its own, made when it is first needed.
#[derive(Default)]
pub(super) struct Watcher {
    subscription: Mutex<Option<Subscription>>,
}

impl Watcher {
    /// Passes on what has changed since the last call, once there is something, or returns at the
    /// deadline.
    pub(super) fn wait(
        &self,
        server: &Server,
        channel: &str,
        deadline: Instant,
        sink: &mut ChangeSink<'_>,
    ) -> Result<(), Failure> {
        // Held by another registry that has this handle, for as long as that one waits.
        let Some(mut slot) = self.subscription.try_lock_until(deadline) else {
            return Ok(());
        };
        // After an error it is not put back: what follows on the connection is not known.
        let mut subscription = match slot.take() {
            Some(subscription) => subscription,
            None => {
                *slot = Some(Subscription::open(server, channel, deadline)?);
                let _ = sink(Change::Missed);
                return Ok(());
            }
        };
        let relays = subscription.wait(channel, deadline)?;
        let flow = relays.into_iter().map(Change::Relay).try_for_each(sink);
        // After `Break`, the next call says that changes were missed.
        if flow == ControlFlow::Continue(()) {
            *slot = Some(subscription);
        }
        Ok(())
    }
}

/// A connection on which the server sends messages.
struct Subscription {
    stream: Stream,
    /// What was received of the next message.
    unread: Vec<u8>,
    silence: Silence,
}

/// When the server was last heard, and last asked for a sign of life.
struct Silence {
    heard: Instant,
    pinged: Instant,
}

/// What the server sent.
#[derive(Debug, PartialEq, Eq)]
enum Message {
    Changed(NodeId),
    Subscribed,
    /// A reply to a ping, or words of another client.
    Other,
}

impl Subscription {
    fn open(server: &Server, channel: &str, deadline: Instant) -> Result<Self, Failure> {
        let mut subscription = Self {
            stream: Connection::open(server, deadline)?.into_stream(),
            unread: Vec::new(),
            silence: Silence::from(Instant::now()),
        };
        let subscribe = cmd("SUBSCRIBE").arg(channel).get_packed_command();
        subscription.send(&subscribe, deadline)?;
        while subscription.next(channel)? != Some(Message::Subscribed) {
            if !subscription.receive(deadline)? {
                return Err(Failure::TimedOut);
            }
        }
        Ok(subscription)
    }

    /// All relays that have changed, once there is one, or none at the deadline.
    fn wait(&mut self, channel: &str, deadline: Instant) -> Result<Vec<NodeId>, Failure> {
        if self.silence.needs_ping(Instant::now())? {
            self.send(&cmd("PING").get_packed_command(), deadline)?;
        }
        let mut relays = Vec::new();
        loop {
            while let Some(message) = self.next(channel)? {
                if let Message::Changed(relay) = message {
                    relays.push(relay);
                }
            }
            if !relays.is_empty() || !self.receive(deadline)? {
                return Ok(relays);
            }
        }
    }

    fn send(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), Failure> {
        let sent = self.stream.until(deadline).write_all(bytes);
        sent.map_err(|error| Failure::of_io(&error))
    }

    /// Receives what the server sends next. False if that is nothing until the deadline.
    fn receive(&mut self, deadline: Instant) -> Result<bool, Failure> {
        let mut bytes = [0; 4_096];
        let received = self.stream.until(deadline).read(&mut bytes);
        match received.map_err(|error| Failure::of_io(&error)) {
            Ok(0) => Err(Failure::Closed),
            Ok(len) => {
                self.silence.heard = Instant::now();
                self.unread.extend_from_slice(&bytes[..len]);
                Ok(true)
            }
            Err(Failure::TimedOut) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// The next message that was received whole.
    fn next(&mut self, channel: &str) -> Result<Option<Message>, Failure> {
        match split_message(&self.unread)? {
            Some((parts, len)) => {
                let message = Message::of(&parts, channel);
                self.unread.drain(..len);
                message.map(Some)
            }
            None if self.unread.len() > MAX_UNREAD => Err(malformed("a message is too long")),
            None => Ok(None),
        }
    }
}

impl Silence {
    fn from(now: Instant) -> Self {
        Self {
            heard: now,
            pinged: now,
        }
    }

    /// Whether it is time to ask for a sign of life. The caller does.
    fn needs_ping(&mut self, now: Instant) -> Result<bool, Failure> {
        let since = |then| now.saturating_duration_since(then);
        if since(self.heard) >= MAX_SILENCE {
            return Err(Failure::TimedOut);
        }
        let is_due = since(self.heard.max(self.pinged)) >= PING_INTERVAL;
        if is_due {
            self.pinged = now;
        }
        Ok(is_due)
    }
}

impl Message {
    fn of(parts: &[&[u8]], channel: &str) -> Result<Self, Failure> {
        match parts {
            [error] if error.starts_with(b"NOPERM") => Err(malformed(
                "NOPERM: the user may not subscribe to the channel",
            )),
            [_] => Err(malformed("it did not subscribe")),
            [b"message", on, relay] if *on == channel.as_bytes() => {
                Ok(node(relay).map_or(Self::Other, Self::Changed))
            }
            [b"subscribe", ..] => Ok(Self::Subscribed),
            _ => Ok(Self::Other),
        }
    }
}

/// The strings and numbers of a message.
type Parts<'a> = Vec<&'a [u8]>;

/// A message at the beginning of what was received: its parts, and its length in all. `None` if
/// it is not all there.
///
/// A message is a list of strings and numbers; an error is one string.
fn split_message(bytes: &[u8]) -> Result<Option<(Parts<'_>, usize)>, Failure> {
    let mut rest = bytes;
    let Some(head) = split_line(&mut rest) else {
        return Ok(None);
    };
    let count = match head.split_first() {
        Some((b'*', count)) => number(count)?,
        Some((b'-', error)) => return Ok(Some((vec![error], bytes.len() - rest.len()))),
        _ => return Err(unknown()),
    };
    let mut parts = Parts::new();
    for _ in 0..count {
        let Some(part) = split_part(&mut rest)? else {
            return Ok(None);
        };
        parts.push(part);
    }
    Ok(Some((parts, bytes.len() - rest.len())))
}

fn split_part<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Failure> {
    let Some(head) = split_line(rest) else {
        return Ok(None);
    };
    match head.split_first() {
        Some((b':', number)) => Ok(Some(number)),
        Some((b'$', len)) => {
            let len = number(len)?;
            let Some((part, after)) = rest.split_at_checked(len + 2) else {
                return Ok(None);
            };
            *rest = after;
            Ok(Some(&part[..len]))
        }
        _ => Err(unknown()),
    }
}

/// The next line, without its end.
fn split_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, after) = rest.split_at(end);
    *rest = &after[2..];
    Some(line)
}

/// A count or a length of a message that is not too long.
fn number(digits: &[u8]) -> Result<usize, Failure> {
    let digits = std::str::from_utf8(digits).map_err(|_| unknown())?;
    let number = digits.parse().map_err(|_| unknown())?;
    if number > MAX_UNREAD {
        return Err(malformed("a message is too long"));
    }
    Ok(number)
}

fn unknown() -> Failure {
    malformed("a message is not in the protocol RESP2")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: &[u8] = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$64\r\n\
        0101010101010101010101010101010101010101010101010101010101010101\r\n";

    fn read(bytes: &[u8]) -> Result<Option<(Message, usize)>, Failure> {
        match split_message(bytes)? {
            Some((parts, len)) => Ok(Some((Message::of(&parts, "c")?, len))),
            None => Ok(None),
        }
    }

    #[test]
    fn a_message_names_a_relay() {
        let relay = NodeId::from([1; 32]);
        let expected = Ok(Some((Message::Changed(relay), CHANGED.len())));
        assert_eq!(read(CHANGED), expected);
        assert_eq!(read(&[CHANGED, CHANGED].concat()), expected);
    }

    #[test]
    fn part_of_a_message_is_none_yet() {
        for len in 0..CHANGED.len() {
            assert_eq!(read(&CHANGED[..len]), Ok(None), "{len} bytes");
        }
    }

    #[test]
    fn confirmations_and_words_of_others_name_no_relay() {
        for (bytes, message) in [
            (
                &b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"[..],
                Message::Subscribed,
            ),
            (b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", Message::Other),
            (
                b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
                Message::Other,
            ),
            (
                b"*3\r\n$7\r\nmessage\r\n$1\r\nd\r\n$2\r\nhi\r\n",
                Message::Other,
            ),
        ] {
            assert_eq!(read(bytes), Ok(Some((message, bytes.len()))));
        }
    }

    #[test]
    fn a_silent_server_is_asked_for_a_sign_of_life_and_then_given_up() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::from(start);
        let asks = (1..75).filter(|seconds| silence.needs_ping(after(*seconds)) == Ok(true));
        assert_eq!(asks.collect::<Vec<_>>(), [30, 60]);
        assert_eq!(silence.needs_ping(after(75)), Err(Failure::TimedOut));
        silence.heard = after(74);
        assert_eq!(silence.needs_ping(after(103)), Ok(false));
        assert_eq!(silence.needs_ping(after(104)), Ok(true));
    }

    #[test]
    fn noise_is_rejected_and_keeps_no_memory() {
        for noise in [
            &b"-NOPERM this user has no permissions\r\n"[..],
            b"+OK\r\n",
            b"*x\r\n",
            b"*-1\r\n",
            b"*99999999999999999999\r\n",
            b"*3\r\n$99999\r\n",
            b"*3\r\n$-1\r\n",
            b"*1\r\n*1\r\n",
            b"\r\n",
        ] {
            assert!(read(noise).is_err(), "{:?}", String::from_utf8_lossy(noise));
        }
    }
}
