//! What is known beside the relays, as entries of a save: positions, and views of peers.

use super::fields::{EntryWriter, FieldError, Fields, Kind};
use super::relay_entry::id;
use crate::coordinates::{Coordinate, Landmark, SavedLandmark, SavedVivaldi, Vivaldi};
use crate::relay::NodeId;
use crate::select::PeerView;

const ID: u64 = 1;
const COORDINATE: u64 = 2;
const RESIDUALS: u64 = 3;
const PLAIN_RESIDUALS: u64 = 4;
const CENTRE_AND_DEVIATION: u64 = 3;
const SAMPLES: u64 = 4;
const REPORTED: u64 = 5;
const VIEW: u64 = 2;
const UNTIL: u64 = 3;

/// No residual is farther from zero: round trips and estimates are at most 10 s.
const MAX_RESIDUAL: f32 = 2e7;

pub(super) fn encode_own_position(own: &Vivaldi) -> Vec<u8> {
    let SavedVivaldi {
        coordinate,
        residuals,
        plain_residuals,
    } = own.saved();
    let mut entry = EntryWriter::new(Kind::OwnPosition);
    entry.put_floats(COORDINATE, parts(&coordinate));
    entry.put_floats(RESIDUALS, residuals);
    entry.put_floats(PLAIN_RESIDUALS, plain_residuals);
    entry.finish()
}

pub(super) fn decode_own_position(fields: &Fields<'_>) -> Result<Vivaldi, FieldError> {
    Ok(Vivaldi::restored(SavedVivaldi {
        coordinate: coordinate(fields)?,
        residuals: residuals(fields, RESIDUALS)?,
        plain_residuals: residuals(fields, PLAIN_RESIDUALS)?,
    }))
}

pub(super) fn encode_position(relay: &NodeId, landmark: &Landmark) -> Vec<u8> {
    let SavedLandmark {
        coordinate,
        centre,
        deviation,
        samples,
        reported,
    } = landmark.saved();
    let mut entry = EntryWriter::new(Kind::RelayPosition);
    entry.put_bytes(ID, relay.as_bytes());
    entry.put_floats(COORDINATE, parts(&coordinate));
    entry.put_floats(CENTRE_AND_DEVIATION, [centre, deviation]);
    entry.put(SAMPLES, samples);
    entry.put(REPORTED, reported);
    entry.finish()
}

pub(super) fn decode_position(fields: &Fields<'_>) -> Result<(NodeId, Landmark), FieldError> {
    let key = CENTRE_AND_DEVIATION;
    let [centre, deviation] = fields.floats(key)?[..] else {
        return Err(FieldError::Field(key));
    };
    let landmark = Landmark::restored(SavedLandmark {
        coordinate: coordinate(fields)?,
        centre,
        deviation,
        samples: fields.required(SAMPLES)?,
        reported: fields.required(REPORTED)?,
    });
    Ok((id(fields, ID)?, landmark))
}

/// `until` in nanoseconds of the saved registry's time.
pub(super) fn encode_view(peer: &NodeId, view: &PeerView, until: u64) -> Vec<u8> {
    let mut bytes = [0; PeerView::MAX_BYTES];
    let len = view.write_to(&mut bytes).unwrap_or(0);
    let mut entry = EntryWriter::new(Kind::PeerView);
    entry.put_bytes(ID, peer.as_bytes());
    entry.put_bytes(VIEW, &bytes[..len]);
    entry.put(UNTIL, until);
    entry.finish()
}

pub(super) fn decode_view(fields: &Fields<'_>) -> Result<(NodeId, PeerView, u64), FieldError> {
    let view = PeerView::from_bytes(fields.bytes(VIEW)?);
    let view = view.map_err(|_| FieldError::Field(VIEW))?;
    Ok((id(fields, ID)?, view, fields.required(UNTIL)?))
}

fn parts(coordinate: &Coordinate) -> impl Iterator<Item = f32> {
    let rest = [
        coordinate.height(),
        coordinate.adjustment(),
        coordinate.error(),
    ];
    coordinate.position().into_iter().chain(rest)
}

fn coordinate(fields: &Fields<'_>) -> Result<Coordinate, FieldError> {
    let parts = fields.floats(COORDINATE)?;
    let coordinate = || {
        let (position, rest) = parts.split_at_checked(Coordinate::DIMENSIONS)?;
        let &[height, adjustment, error] = rest else {
            return None;
        };
        let position = position.try_into().ok()?;
        Coordinate::new(position, height, adjustment, error).ok()
    };
    Fields::checked(COORDINATE, coordinate())
}

fn residuals(fields: &Fields<'_>, key: u64) -> Result<Vec<f32>, FieldError> {
    let residuals = fields.floats(key)?;
    let are_valid = residuals
        .iter()
        .all(|residual| residual.abs() <= MAX_RESIDUAL);
    Fields::checked(key, are_valid.then_some(residuals))
}
