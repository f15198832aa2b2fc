//! Amounts of bytes as people write them: `8388608`, `500MiB`, `2TiB`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(u64);

/// Not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of bytes, or one with KiB, MiB, GiB or TiB, such as 500GiB")]
pub struct BytesError;

const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Bytes {
    /// As a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// From a number.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl FromStr for Bytes {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, BytesError> {
        let told = UNITS.iter().find_map(|(unit, each)| Some((text.strip_suffix(unit)?, *each)));
        let (digits, each) = told.unwrap_or((text, 1));
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BytesError);
        }
        let number: u64 = digits.parse().map_err(|_no_number| BytesError)?;
        number.checked_mul(each).filter(|bytes| *bytes > 0).map(Self).ok_or(BytesError)
    }
}

impl fmt::Display for Bytes {
    /// In the largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, each)| self.0 >= *each && self.0.is_multiple_of(*each));
        match whole {
            Some((unit, each)) => write!(f, "{} {unit}", self.0 / each),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// About how much, in its largest unit: `1.4 MiB`.
#[must_use]
pub fn for_people(bytes: u64) -> String {
    match UNITS.iter().find(|(_, each)| bytes >= *each) {
        Some((unit, each)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*each);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_refused_or_an_amount(text in "[0-9a-zA-Z .+-]{0,24}") {
            if let Ok(bytes) = text.parse::<Bytes>() {
                prop_assert_eq!(bytes.get().to_string().parse::<Bytes>(), Ok(bytes));
                prop_assert_eq!(bytes.to_string().replace(" bytes", "").replace(' ', "").parse::<Bytes>(), Ok(bytes));
            }
        }
    }

    #[test]
    fn units_are_powers_of_two() {
        for (text, bytes) in [("8388608", 8_388_608), ("1KiB", 1_024), ("5GiB", 5 << 30), ("2TiB", 2 << 40)] {
            assert_eq!(text.parse(), Ok(Bytes::of(bytes)), "{text}");
        }
        for text in ["", "0", "0GiB", "8M", "1 GiB", "-1", "+1", "99999999999TiB", "GiB", "1.5GiB"] {
            assert_eq!(text.parse::<Bytes>(), Err(BytesError), "{text}");
        }
    }

    #[test]
    fn an_amount_is_told_roughly() {
        for (bytes, text) in
            [(0, "0 bytes"), (1_023, "1023 bytes"), (1_500_000, "1.4 MiB"), (u64::MAX, "16777215.9 TiB")]
        {
            assert_eq!(for_people(bytes), text);
        }
    }
}
