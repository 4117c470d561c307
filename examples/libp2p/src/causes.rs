//! The causes of an error of a transport.

use std::error::Error;
use std::io;

use libp2p::relay::client::transport;

/// Finds what a relay answered inside the error of a transport, which is boxed several times: a
/// `T`, also as part of the relay client's error.
pub(crate) fn find<T: Error + 'static>(
    error: &io::Error,
    part: fn(&transport::Error) -> Option<&T>,
) -> Option<&T> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        let found = error
            .downcast_ref()
            .or_else(|| error.downcast_ref().and_then(part));
        if found.is_some() {
            return found;
        }
        next = match error.downcast_ref::<io::Error>() {
            // `source` of an I/O error leaves out the error that it wraps.
            Some(error) => error.get_ref().map(|error| error as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
