//! Percent-encoding, read byte by byte so that nothing is replaced on the way.

/// Decodes `%XX` (and `+` as a space where `form`); anything that is not an escape stays as it is.
pub(crate) fn decode(text: &[u8], form: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [b'%', high, low, tail @ ..] => {
                if let (Some(high), Some(low)) = (digit(*high), digit(*low)) {
                    out.push(high * 16 + low);
                    rest = tail;
                } else {
                    out.push(b'%');
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
            [b'+', tail @ ..] if form => {
                out.push(b' ');
                rest = tail;
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
            [] => return out,
        }
    }
}

/// Everything but letters, digits and `-._~` as `%XX`.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The values of `name` in a query or form, decoded; none of them where the bytes are not UTF-8.
pub(crate) fn form_values(form: &[u8], name: &str) -> Vec<Option<String>> {
    form.split(|b| *b == b'&')
        .filter_map(|pair| {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let key = halves.next()?;
            let value = halves.next().unwrap_or_default();
            (decode(key, true) == name.as_bytes()).then(|| String::from_utf8(decode(value, true)).ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let text: String = bytes.iter().map(|b| format!("%{b:02x}")).collect();
            prop_assert_eq!(decode(text.as_bytes(), true), bytes);
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(decode(&bytes, true).len() <= bytes.len());
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        assert_eq!(decode(b"%", true), b"%");
        assert_eq!(decode(b"%4", true), b"%4");
        assert_eq!(decode(b"%zz%41+", true), b"%zzA ");
        assert_eq!(decode(b"a+b", false), b"a+b");
    }

    #[test]
    fn every_value_of_a_name_is_found() {
        assert_eq!(form_values(b"a=1&b=2&%61=%33&a", "a"), [Some("1".into()), Some("3".into()), Some(String::new())]);
        assert_eq!(form_values(b"a=%ff", "a"), [None]);
    }
}
