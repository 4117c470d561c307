//! [`Script`]: what the server runs at once, without another request in between.

use ::redis::{Cmd, Script as Hash, cmd};

use super::connection::Request;

/// A Lua script that the server knows by its hash once it has run it.
pub(super) struct Script {
    code: &'static str,
    hash: Hash,
}

/// All scripts of the engine.
pub(super) struct Scripts {
    pub(super) put: Script,
    pub(super) join: Script,
    pub(super) leave: Script,
    pub(super) members: Script,
}

macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(
            include_str!("scripts/common.lua"),
            include_str!(concat!("scripts/", $name, ".lua"))
        ))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            put: script!("put"),
            join: script!("join"),
            leave: script!("leave"),
            members: script!("members"),
        }
    }
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: Hash::new(code),
        }
    }

    /// A request that names the script by its hash.
    pub(super) fn by_hash(&self, keys: &[&str], args: &[&[u8]], max_reply: usize) -> Request {
        let mut command = cmd("EVALSHA");
        command.arg(self.hash.get_hash());
        request(command, keys, args, max_reply)
    }

    /// A request with the code, after which the server knows the hash.
    pub(super) fn in_full(&self, keys: &[&str], args: &[&[u8]], max_reply: usize) -> Request {
        let mut command = cmd("EVAL");
        command.arg(self.code);
        request(command, keys, args, max_reply)
    }
}

fn request(mut command: Cmd, keys: &[&str], args: &[&[u8]], max_reply: usize) -> Request {
    command.arg(keys.len()).arg(keys).arg(args);
    Request::new(&command, max_reply)
}
