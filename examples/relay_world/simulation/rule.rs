//! The rules by which a relay can be chosen: the registry's own, and others to
//! hold it against.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The registry's own choice.
    Registry,
    /// Any relay with room, each as likely as the others.
    Random,
    /// The relay with room that is nearest to the one who asks.
    Nearest,
    /// The less utilised of two random relays with room, wherever they are
    /// (Mitzenmacher's power of two choices).
    PowerOfTwo,
    /// The registry's score on the truth: the whole path, the load of this moment,
    /// and only relays that are up. The shortest path alone would not be the best
    /// that a rule can do: it fills the relays in the best places, and those who
    /// ask next have to go elsewhere.
    Oracle,
}

impl Rule {
    pub const ALL: [Self; 5] = [
        Self::Registry,
        Self::Random,
        Self::Nearest,
        Self::PowerOfTwo,
        Self::Oracle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Random => "random",
            Self::Nearest => "nearest",
            Self::PowerOfTwo => "p2c",
            Self::Oracle => "oracle",
        }
    }
}
