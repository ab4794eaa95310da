//! Values of the test table: mostly plain, and now and then what a CSV writer or an SQL quoter stumbles over.

use std::fmt::Write as _;

use super::random::Random;
use crate::source::{Dialect, write_literal};

const CATEGORIES: &[&str] =
    &["books", "music", "garden", "toys", "food", "health", "sport", "travel", "office", "games"];
const ODD_CATEGORIES: &[&str] = &[
    "",
    "home, kitchen",
    "19\" racks",
    "Größe L",
    "日本語",
    "🚲 bikes",
    "back\\slash",
    "it's",
    "two\nlines",
    "=1+1",
    "tab\there",
    "NULL",
    "\"",
    " padded ",
];
const WORDS: &[&str] = &[
    "alpha", "river", "stone", "cloud", "maple", "ocean", "pixel", "amber", "north", "lunar", "delta",
    "solar",
];
const ENDINGS: &[&str] = &["com", "org", "net", "it", "de", "fr", "co.uk", "io", "eu", "example"];

/// 2001-01-01 and the 24 years after it: inside the range of a MySQL TIMESTAMP.
const YEARS: (usize, usize) = (2001, 24);

/// Appends `'category', 'domain', 'timestamp'` as SQL literals.
pub fn write_values(out: &mut String, random: &mut Random, dialect: Dialect) {
    write_category(out, random, dialect);
    out.push_str(", ");
    write_domain(out, random, dialect);
    out.push_str(", ");
    write_timestamp(out, random);
}

/// One in 16 is NULL and three are odd.
pub fn write_category(out: &mut String, random: &mut Random, dialect: Dialect) {
    match random.below(16) {
        0 => out.push_str("NULL"),
        1..=3 => write_literal(out, random.pick(ODD_CATEGORIES), dialect),
        _ => write_literal(out, random.pick(CATEGORIES), dialect),
    }
}

/// One in 64 is NULL.
pub fn write_domain(out: &mut String, random: &mut Random, dialect: Dialect) {
    if random.below(64) == 0 {
        out.push_str("NULL");
        return;
    }
    let domain = format!(
        "{}-{}{}.{}",
        random.pick(WORDS),
        random.pick(WORDS),
        random.below(100_000),
        random.pick(ENDINGS)
    );
    write_literal(out, &domain, dialect);
}

/// Half of them with a fraction of one to six digits; one in 64 is NULL.
fn write_timestamp(out: &mut String, random: &mut Random) {
    if random.below(64) == 0 {
        out.push_str("NULL");
        return;
    }
    let (year, month, day) = (YEARS.0 + random.below(YEARS.1), 1 + random.below(12), 1 + random.below(28));
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    let _ = write!(out, "'{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    if random.below(2) == 0 {
        let digits = 1 + random.below(6);
        let fraction = random.below(10_usize.pow(digits as u32));
        let _ = write!(out, ".{fraction:0digits$}");
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::{Random, write_values};
    use crate::source::Dialect;

    #[test]
    fn a_thousand_rows_hold_every_kind_of_value() {
        let (mut out, mut random) = (String::new(), Random::new(1));
        for _ in 0..1_000 {
            write_values(&mut out, &mut random, Dialect::Postgres);
            out.push(';');
        }
        for kind in ["NULL", "'', ", "19\" racks", "it''s", "日本語", "two\nlines", ".com'", ":00'", "."] {
            assert!(out.contains(kind), "{kind}");
        }
    }
}
