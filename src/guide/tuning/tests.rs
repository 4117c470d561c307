//! The tables have every option with its default.

use crate::Registry;
use crate::dht::DhtOptions;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("../tuning.md");

/// The options that are printed, and their values.
fn printed(options: &str) -> BTreeMap<String, String> {
    let fields = options.lines().filter_map(|line| {
        // Of what is printed in several lines, only the options are indented once.
        let field = line
            .strip_prefix("    ")
            .filter(|it| !it.starts_with(' '))?;
        let (option, value) = field.split_once(": ")?;
        Some((option.to_owned(), value.trim_end_matches(',').to_owned()))
    });
    fields.collect()
}

/// The first two cells of each row that begins with an option.
fn rows() -> BTreeMap<&'static str, &'static str> {
    let row = |line: &'static str| {
        let (option, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((option, rest.split(" | ").next()?))
    };
    PAGE.lines().filter_map(row).collect()
}

/// Without what makes a number or a name easier to read.
fn plain(cell: &str) -> String {
    cell.replace([' ', ',', '`'], "")
}

#[test]
fn the_page_has_every_option_with_its_default() {
    let builder = format!("{:#?}", Registry::builder());
    let dht = format!("{:#?}", DhtOptions::new());
    let mut options = printed(&builder);
    // It is printed in several lines.
    options.insert("back_off".to_owned(), "1s600s".to_owned());
    assert!(format!("{:?}", Registry::builder()).contains("back_off: (1s, 600s)"));
    options.extend(printed(&dht));
    assert!(options.len() > 40, "{options:?}");

    let rows = rows();
    for (option, value) in options {
        let default = rows.get(&*option).copied();
        let default = default.unwrap_or_else(|| panic!("no row for {option}"));
        // A default that depends on others is told in words. So is that of the network.
        let is_in_words = value == "None" || option == "network";
        assert!(
            is_in_words || plain(default) == value,
            "{option}: {default}, not {value}"
        );
    }
}
