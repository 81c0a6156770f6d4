//! Sizes as people read them: decimal units, as the reference writes them.

use std::fmt;

/// A number of bytes, shown as `1 Byte`, `11 Bytes`, `7.9 kB` or `3.0 GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        match self.0 {
            1 => f.write_str("1 Byte"),
            0..1000 => write!(f, "{} Bytes", self.0),
            bytes => {
                // Tenths of the unit at hand, rounded; integers, so that large numbers stay exact.
                let mut unit = 1000_u128;
                let mut names = UNITS.iter();
                let mut name = names.next();
                while tenths(bytes, unit) >= 10_000 {
                    unit = unit.saturating_mul(1000);
                    name = names.next();
                }
                let tenths = tenths(bytes, unit);
                write!(f, "{}.{} {}", tenths / 10, tenths % 10, name.unwrap_or(&"EB"))
            }
        }
    }
}

fn tenths(bytes: u64, unit: u128) -> u128 {
    (u128::from(bytes) * 10 + unit / 2) / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_the_reference_writes_them() {
        for (bytes, text) in [
            (0, "0 Bytes"),
            (1, "1 Byte"),
            (11, "11 Bytes"),
            (999, "999 Bytes"),
            (1000, "1.0 kB"),
            (7924, "7.9 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (3_000_000_000, "3.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
