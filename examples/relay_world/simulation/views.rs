//! What targets tell of themselves, by which the leg from a relay to them can be
//! known.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// Nothing.
    None,
    /// Their network coordinates.
    Coordinates,
    /// These, and their round trips to the relays nearest to them.
    Published,
}

impl Views {
    pub const ALL: [Self; 3] = [Self::None, Self::Coordinates, Self::Published];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Coordinates => "coordinates",
            Self::Published => "published",
        }
    }
}
