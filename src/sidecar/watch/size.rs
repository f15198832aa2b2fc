//! Sizes as people write and read them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `<n>[K|M|G]`, of 1024 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub(super) u64);

/// Not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as 500M or 10G")]
pub struct SizeError;

const UNITS: [(char, &str, u64); 3] = [('G', "GiB", 1 << 30), ('M', "MiB", 1 << 20), ('K', "KiB", 1 << 10)];

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let unit = UNITS.iter().find_map(|(letter, _, each)| Some((text.strip_suffix(*letter)?, *each)));
        let (digits, each) = unit.unwrap_or((text, 1));
        let fits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = if fits { digits.parse().map_err(|_big| SizeError)? } else { return Err(SizeError) };
        number.checked_mul(each).filter(|bytes| *bytes > 0).map(Self).ok_or(SizeError)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(.., each)| self.0 >= *each) {
            Some((_, name, each)) => {
                let tenths = u128::from(self.0) * 10 / u128::from(*each);
                write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
            }
            None => write!(f, "{} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes, shown) in [
            ("512", 512, "512 B"),
            ("1K", 1024, "1.0 KiB"),
            ("1536K", 1_572_864, "1.5 MiB"),
            ("10G", 10_737_418_240, "10.0 GiB"),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
            assert_eq!(Size(bytes).to_string(), shown);
        }
        for text in
            ["", "G", "0", "0K", "-1", "1.5G", "1g", "1 G", "1GG", "99999999999999999999", "18446744073709551615G"]
        {
            assert_eq!(text.parse::<Size>(), Err(SizeError), "{text}");
        }
    }
}
