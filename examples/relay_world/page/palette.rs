//! The colours of the page. The library writes colours into the SVG itself, so each colour stands for a
//! role there, and the style sheet replaces it by the colour of that role, light or dark.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// A role, its colour on paper and light screens, and that on dark screens.
struct Role {
    name: &'static str,
    light: RGBColor,
    dark: &'static str,
}

pub const INK: RGBColor = RGBColor(0x1B, 0x1F, 0x24);
pub const SOFT: RGBColor = RGBColor(0x57, 0x60, 0x6A);
pub const GRID: RGBColor = RGBColor(0xDD, 0xE1, 0xE6);
pub const LAND: RGBColor = RGBColor(0xEC, 0xEE, 0xF0);
pub const PLACE: RGBColor = RGBColor(0xA9, 0xB1, 0xBA);
pub const REGISTRY: RGBColor = RGBColor(0x0B, 0x5C, 0xAD);
pub const OTHER: RGBColor = RGBColor(0x8C, 0x95, 0x9F);
pub const NODE: RGBColor = RGBColor(0xB2, 0x4A, 0x00);

/// The steps of the load, from idle to saturated.
pub const LOAD: [RGBColor; 6] = [
    RGBColor(0xDC, 0xE9, 0xF6),
    RGBColor(0xB0, 0xCF, 0xEB),
    RGBColor(0x7A, 0xAD, 0xDC),
    RGBColor(0x44, 0x86, 0xC6),
    RGBColor(0x1A, 0x5A, 0x9C),
    RGBColor(0xD0, 0x3B, 0x1F),
];

const ROLES: [Role; 14] = [
    role("ink", INK, "#E6EAEE"),
    role("soft", SOFT, "#A2ABB5"),
    role("grid", GRID, "#353C44"),
    role("land", LAND, "#262B31"),
    role("place", PLACE, "#5A636D"),
    role("registry", REGISTRY, "#62AEFF"),
    role("other", OTHER, "#7B858F"),
    role("node", NODE, "#FFA45C"),
    role("load-0", LOAD[0], "#2B3A4A"),
    role("load-1", LOAD[1], "#2A5075"),
    role("load-2", LOAD[2], "#2C6799"),
    role("load-3", LOAD[3], "#3D8FD1"),
    role("load-4", LOAD[4], "#8CC7FF"),
    role("load-5", LOAD[5], "#FF6B4A"),
];

const fn role(name: &'static str, light: RGBColor, dark: &'static str) -> Role {
    Role { name, light, dark }
}

/// Variables for the style sheet, and the rules by which charts use them.
pub fn css() -> String {
    let (mut light, mut dark, mut rules) = (String::new(), String::new(), String::new());
    for Role {
        name,
        light: RGBColor(r, g, b),
        dark: on_dark,
    } in ROLES
    {
        let written = format!("#{r:02X}{g:02X}{b:02X}");
        // Writing into a string does not fail.
        let _ = write!(light, "--{name}:{written};");
        let _ = write!(dark, "--{name}:{on_dark};");
        let _ = writeln!(rules, "svg [fill=\"{written}\"]{{fill:var(--{name})}}");
        let _ = writeln!(rules, "svg [stroke=\"{written}\"]{{stroke:var(--{name})}}");
    }
    format!(
        ":root{{{light}}}\n\
         @media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n\
         {rules}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_colour_of_its_own() {
        let mut colours: Vec<_> = ROLES.iter().map(|role| role.light).collect();
        colours.sort_by_key(|&RGBColor(r, g, b)| (r, g, b));
        colours.dedup();
        assert_eq!(colours.len(), ROLES.len());
        assert!(css().contains("svg [fill=\"#D03B1F\"]{fill:var(--load-5)}"));
    }
}
