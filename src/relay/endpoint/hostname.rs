//! The rules for names of hosts.

use super::error::{EndpointError, MAX_LABEL_LEN, MAX_NAME_LEN};

/// The name without the dot at its end, if it is a hostname.
pub(super) fn valid_name(name: &str) -> Result<&str, EndpointError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(EndpointError::EmptyHost);
    }
    if name.len() > MAX_NAME_LEN {
        return Err(EndpointError::NameTooLong { len: name.len() });
    }
    let (mut start, mut last) = (0, name);
    for label in name.split('.') {
        check_label(label, start)?;
        start += label.len() + 1;
        last = label;
    }
    if is_number(last) {
        return Err(EndpointError::NumericName);
    }
    Ok(name)
}

/// `start` is where the label starts in its name.
fn check_label(label: &str, start: usize) -> Result<(), EndpointError> {
    let bytes = label.as_bytes();
    let is_foreign = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-_".contains(byte);
    if let Some(at) = bytes.iter().position(is_foreign) {
        return Err(EndpointError::InvalidCharacter { index: start + at });
    }
    match bytes {
        [] => Err(EndpointError::EmptyLabel),
        _ if bytes.len() > MAX_LABEL_LEN => Err(EndpointError::LabelTooLong { len: bytes.len() }),
        [b'-', ..] => Err(EndpointError::HyphenAtEdge { index: start }),
        [.., b'-'] => Err(EndpointError::HyphenAtEdge {
            index: start + bytes.len() - 1,
        }),
        _ => Ok(()),
    }
}

/// Whether a name with this last label would be read as an IPv4 address: the
/// "ends in a number" rule of the WHATWG URL standard.
fn is_number(label: &str) -> bool {
    let hex = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
