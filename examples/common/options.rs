//! Values of options on a command line, with messages for invalid ones.

use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use lexopt::Parser;

/// The value of an option, whatever it is.
pub fn value(name: &str, parser: &mut Parser) -> Result<OsString, String> {
    let missing = |_| format!("--{name} needs a value");
    parser.value().map_err(missing)
}

/// A whole number within bounds.
pub fn whole<T>(name: &str, parser: &mut Parser, bounds: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    within(name, parser, "a whole number", bounds)
}

/// A number within bounds.
#[allow(dead_code, reason = "not every example takes one")]
pub fn number(name: &str, parser: &mut Parser, bounds: RangeInclusive<f64>) -> Result<f64, String> {
    within(name, parser, "a number", bounds)
}

/// One of a few values that have names.
#[allow(dead_code, reason = "not every example takes one")]
pub fn one_of<T: Copy>(
    name: &str,
    parser: &mut Parser,
    all: &[T],
    name_of: fn(T) -> &'static str,
) -> Result<T, String> {
    let text = value(name, parser)?;
    let mut choices = all.iter().copied();
    choices.find(|&it| text == name_of(it)).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|&it| name_of(it)).collect();
        format!("--{name} {text:?} is none of {}", names.join(", "))
    })
}

fn within<T>(
    name: &str,
    parser: &mut Parser,
    kind: &str,
    bounds: RangeInclusive<T>,
) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let text = value(name, parser)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.filter(|it| bounds.contains(it)).ok_or_else(|| {
        let (least, most) = (bounds.start(), bounds.end());
        format!("--{name} {text:?} is not {kind} from {least} to {most}")
    })
}
