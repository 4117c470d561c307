//! [`Label`]: a word by which finds require or avoid relays.

use crate::limits::MAX_LABEL_LEN;
use crate::sync::Arc;

/// A label of a relay, and its hash.
///
/// Two labels whose hashes differ are different, so a search seldom compares names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Label {
    pub(crate) hash: u64,
    pub(crate) name: Box<str>,
}

impl Label {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            hash: hash_of(name),
            name: name.into(),
        }
    }

    /// Whether a relay may have this label: it has 1 to 32 bytes, and no control character,
    /// which would confuse a terminal that shows it.
    pub(crate) fn is_valid(name: &str) -> bool {
        (1..=MAX_LABEL_LEN).contains(&name.len()) && !name.chars().any(char::is_control)
    }

    /// These labels in the order of their names, each once. `None` if there are none.
    pub(crate) fn set<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Option<Arc<[Self]>> {
        let mut labels: Vec<Self> = names
            .into_iter()
            .map(|name| Self::new(name.as_ref()))
            .collect();
        labels.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        labels.dedup();
        (!labels.is_empty()).then(|| labels.into())
    }
}

/// FNV-1a over 64 bits, and a last mixing step, for FNV leaves the high bits of short names
/// alike. It is the same in every registry, so options carry hashes before they meet one. A
/// peer can make two names collide, which costs a comparison of names and nothing else.
fn hash_of(name: &str) -> u64 {
    let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_each_label_once_in_the_order_of_names() {
        let set = Label::set(["udp", "eu", "udp", "tcp", "eu"]).unwrap();
        let names: Vec<&str> = set.iter().map(|label| &*label.name).collect();
        assert_eq!(names, ["eu", "tcp", "udp"]);
        assert!(set.iter().all(|label| label.hash == hash_of(&label.name)));
        assert_eq!(Some(&*set), Label::set(["tcp", "eu", "udp"]).as_deref());
        assert_eq!(Label::set([""; 0]), None);
    }

    #[test]
    fn hashes_of_names_that_differ_a_little_differ_in_all_parts() {
        let hashes: Vec<u64> = (0..64).map(|n| hash_of(&format!("label-{n}"))).collect();
        for shift in [0, 16, 32, 48] {
            let parts: std::collections::BTreeSet<_> =
                hashes.iter().map(|hash| hash >> shift & 0xffff).collect();
            assert!(parts.len() >= 62, "{} at {shift}", parts.len());
        }
    }

    #[test]
    fn length_and_characters_are_bounded() {
        for valid in ["a", "eu west", "größe", &"x".repeat(32)] {
            assert!(Label::is_valid(valid), "{valid}");
        }
        for invalid in ["", "a\nb", "\u{1b}[2J", &"x".repeat(33), &"ö".repeat(17)] {
            assert!(!Label::is_valid(invalid), "{invalid:?}");
        }
    }
}
