//! Reads a reply of the protocol RESP2.
//!
//! The crate's parser follows values within values to a depth of 100, which takes more stack than
//! some threads have, and with each packet it looks again at all that came before. So only the
//! lines are read by it, and lengths, arrays and depth are checked here before anything is kept.

use std::io::{self, BufRead, BufReader, Read};

use ::redis::{Value, parse_redis_value};

use super::connection::malformed;
use super::failure::Failure;

/// How many values a reply may have in all: members of a shard with their records are the most.
const MAX_VALUES: usize = 2_048;

/// How deep arrays may be nested. A server with modules greets with four levels.
const MAX_DEPTH: u32 = 8;

/// The maximum length of a line, in bytes.
const MAX_LINE: usize = 16 * 1_024;

/// How many bytes are read from the socket at once.
const BUFFER: usize = 16 * 1_024;

/// Reads one reply of at most `max_len` bytes.
pub(super) fn read_reply(stream: impl Read, max_len: usize) -> Result<Value, Failure> {
    let mut reader = Reader {
        stream: BufReader::with_capacity(BUFFER, stream),
        bytes_left: max_len,
        values_left: MAX_VALUES,
    };
    let reply = reader.value(MAX_DEPTH).map_err(|error| match error {
        Unread::TooLong => malformed(&format!(
            "the reply is longer than {max_len} bytes or {MAX_VALUES} values"
        )),
        Unread::Unknown => malformed("the reply is not in the protocol RESP2"),
        Unread::Io(error) => Failure::of_io(&error),
    })?;
    // It would be taken for the reply to the next request.
    if !reader.stream.buffer().is_empty() {
        return Err(malformed("it sent more than a reply"));
    }
    Ok(reply)
}

/// Why a reply was not read.
enum Unread {
    TooLong,
    Unknown,
    Io(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Reader<R> {
    stream: BufReader<R>,
    bytes_left: usize,
    values_left: usize,
}

impl<R: Read> Reader<R> {
    /// The next value, with at most `depth` levels of arrays.
    fn value(&mut self, depth: u32) -> Result<Value, Unread> {
        self.values_left = self.values_left.checked_sub(1).ok_or(Unread::TooLong)?;
        let line = self.line()?;
        match line.first() {
            Some(b'+' | b'-' | b':') => parse_redis_value(&line).map_err(|_| Unread::Unknown),
            Some(b'$') => self.string(length(&line)?),
            Some(b'*') if depth > 0 => self.array(length(&line)?, depth - 1),
            _ => Err(Unread::Unknown),
        }
    }

    fn array(&mut self, len: Option<usize>, depth: u32) -> Result<Value, Unread> {
        let Some(len) = len else {
            return Ok(Value::Nil);
        };
        if len > self.values_left {
            return Err(Unread::TooLong);
        }
        let values = (0..len).map(|_| self.value(depth));
        values.collect::<Result<_, _>>().map(Value::Array)
    }

    fn string(&mut self, len: Option<usize>) -> Result<Value, Unread> {
        let Some(len) = len else {
            return Ok(Value::Nil);
        };
        let all = len.checked_add(2).ok_or(Unread::TooLong)?;
        self.bytes_left = self.bytes_left.checked_sub(all).ok_or(Unread::TooLong)?;
        let mut bytes = vec![0; all];
        self.stream.read_exact(&mut bytes)?;
        if bytes.split_off(len) != b"\r\n" {
            return Err(Unread::Unknown);
        }
        Ok(Value::BulkString(bytes))
    }

    /// The next line, with its end.
    fn line(&mut self) -> Result<Vec<u8>, Unread> {
        let max = self.bytes_left.min(MAX_LINE);
        let mut line = Vec::new();
        let mut within = (&mut self.stream).take(max as u64);
        let read = within.read_until(b'\n', &mut line)?;
        self.bytes_left -= read;
        if line.ends_with(b"\r\n") {
            Ok(line)
        } else if read == max {
            Err(Unread::TooLong)
        } else if line.ends_with(b"\n") {
            Err(Unread::Unknown)
        } else {
            Err(Unread::Io(io::ErrorKind::UnexpectedEof.into()))
        }
    }
}

/// The length that a line announces; none if there is no value.
fn length(line: &[u8]) -> Result<Option<usize>, Unread> {
    let digits = line.get(1..line.len().saturating_sub(2));
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    match digits.ok_or(Unread::Unknown)? {
        "-1" => Ok(None),
        // More digits than any length that is permitted.
        digits if digits.len() > 9 => Err(Unread::TooLong),
        digits if digits.starts_with('+') => Err(Unread::Unknown),
        digits => digits.parse().map(Some).map_err(|_| Unread::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dht::engine::DhtError;
    use crate::sync::unmodelled::thread;

    fn read(reply: &[u8]) -> Result<Value, Failure> {
        read_reply(reply, 1_000)
    }

    /// The reason for which a reply is rejected.
    fn rejection(reply: &[u8]) -> String {
        match read(reply) {
            Err(Failure::Answered(DhtError::Rejected { reason })) => reason.into(),
            other => panic!("{:?} is {other:?}", String::from_utf8_lossy(reply)),
        }
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn replies_are_read_as_the_protocol_says() {
        for (reply, expected) in [
            ("+OK\r\n", Value::Okay),
            ("+hello\r\n", Value::SimpleString("hello".into())),
            (":-5\r\n", Value::Int(-5)),
            ("$0\r\n\r\n", text("")),
            ("$4\r\n\r\n\r\n\r\n", text("\r\n\r\n")),
            ("$-1\r\n", Value::Nil),
            ("*-1\r\n", Value::Nil),
            ("*0\r\n", Value::Array(vec![])),
            (
                "*2\r\n$1\r\na\r\n*1\r\n:7\r\n",
                Value::Array(vec![text("a"), Value::Array(vec![Value::Int(7)])]),
            ),
        ] {
            assert_eq!(read(reply.as_bytes()), Ok(expected), "{reply:?}");
        }
        let Ok(Value::ServerError(error)) = read(b"-LOADING the data\r\n") else {
            panic!("not an error");
        };
        assert_eq!(
            (error.code(), error.details()),
            ("LOADING", Some("the data"))
        );
    }

    #[test]
    fn what_is_no_reply_is_named() {
        for reply in [
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "\n",
            "+OK\n",
            ":x\r\n",
            "$\r\n",
            "$x\r\n",
            "$-2\r\n",
            "$+1\r\na\r\n",
            "$3\r\nabcde\r\n",
            "*x\r\n",
            "%1\r\n+a\r\n+b\r\n",
            "_\r\n",
            "=3\r\ntxt\r\n",
        ] {
            assert!(rejection(reply.as_bytes()).contains("RESP2"), "{reply:?}");
        }
        assert!(rejection(b"+\xff\r\n").contains("RESP2"));
        assert!(rejection(b"+OK\r\n+OK\r\n").contains("more than a reply"));
    }

    #[test]
    fn a_reply_that_would_take_too_much_memory_is_rejected_before_it_comes() {
        for reply in [
            "$999\r\n".to_owned(),
            "$18446744073709551615\r\n".to_owned(),
            format!("*{}\r\n", MAX_VALUES),
            "*18446744073709551615\r\n".to_owned(),
            format!("+{}", "\r".repeat(1_000)),
        ] {
            assert!(rejection(reply.as_bytes()).contains("longer"), "{reply:?}");
        }
        let many = format!("*2\r\n*2000\r\n{}*100\r\n", ":1\r\n".repeat(2_000));
        let refused = read_reply(many.as_bytes(), many.len());
        assert!(
            matches!(&refused, Err(Failure::Answered(error)) if error.to_string().contains("longer")),
            "{refused:?}"
        );
    }

    /// A server decides how deep a reply is nested, but not how much stack it takes.
    #[test]
    fn deep_nesting_does_not_use_up_the_stack() {
        let deep = "*1\r\n".repeat(200) + "+OK\r\n";
        let small = thread::Builder::new().stack_size(128 * 1_024);
        let reading = small.spawn(move || rejection(deep.as_bytes()));
        let reason = reading.expect("a thread").join().expect("it has no panic");
        assert!(reason.contains("RESP2"), "{reason}");
        let flat = "*1\r\n".repeat(8) + "+OK\r\n";
        assert!(read(flat.as_bytes()).is_ok());
    }

    #[test]
    fn half_a_reply_is_none() {
        let whole = b"*2\r\n$3\r\nabc\r\n:1\r\n";
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]), Err(Failure::Closed), "{len} bytes");
        }
        assert!(read(whole).is_ok());
    }
}
