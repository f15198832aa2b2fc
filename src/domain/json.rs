//! JSON from outside, read strictly: UTF-8, no key twice, no lone surrogate, bounded depth.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// How deep objects and lists may stand in each other; forges stay under 10.
const MAX_DEPTH: usize = 100;
/// How many keys one object may have: what is remembered of a stranger's body stays small. Forges stay under 120.
const MAX_KEYS: usize = 4096;

/// Why a text is not taken for JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not UTF-8.
    #[error("this is not JSON, from line {line}, column {column} on")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the reader says.
        #[source]
        source: serde_json::Error,
    },
    /// Two readers could take it for two different things.
    #[error("the key `{0}` stands twice in one object")]
    DuplicateKey(String),
    /// Deeper than anything that is sent in earnest.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// No forge sends it, and what reads C strings would read something else.
    #[error("a string holds NUL")]
    Nul,
    /// Wider than anything that is sent in earnest.
    #[error("an object with more than {MAX_KEYS} keys")]
    TooWide,
}

/// Reads all of `bytes` into a tree. For text of bounded size: a tree takes many times the room of its text. NUL may
/// stand in its strings.
///
/// # Errors
/// See [`JsonError`].
pub fn parse_strict(bytes: &[u8]) -> Result<Value, JsonError> {
    walk(bytes, None, Nul::Taken)?;
    serde_json::from_slice(bytes).map_err(not_json)
}

/// Checks all of `bytes` without keeping it, and gives the string that stands at `path`, if one does. NUL is refused
/// in any string.
///
/// # Errors
/// See [`JsonError`].
pub fn find_strict(bytes: &[u8], path: &[&str]) -> Result<Option<String>, JsonError> {
    walk(bytes, Some(path), Nul::Refused)
}

fn walk(bytes: &[u8], want: Option<&[&str]>, nul: Nul) -> Result<Option<String>, JsonError> {
    let fault = RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let found = Walk { want, depth: 0, nul, fault: &fault }.deserialize(&mut reader);
    let found = found.and_then(|found| reader.end().map(|()| found));
    match (found, fault.into_inner()) {
        (Ok(found), _) => Ok(found),
        (Err(_), Some(fault)) => Err(fault),
        (Err(source), None) => Err(not_json(source)),
    }
}

fn not_json(source: serde_json::Error) -> JsonError {
    JsonError::NotJson { line: source.line(), column: source.column(), source }
}

/// `text` for a sentence: no control characters, and not endless.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if text.chars().filter(|c| !c.is_control()).nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nul {
    Taken,
    Refused,
}

/// Goes through a document and remembers only the keys of the objects that are still open.
#[derive(Clone, Copy)]
struct Walk<'a> {
    want: Option<&'a [&'a str]>,
    depth: usize,
    nul: Nul,
    fault: &'a RefCell<Option<JsonError>>,
}

impl<'a> Walk<'a> {
    fn fail<E: serde::de::Error>(self, fault: JsonError) -> E {
        self.fault.replace(Some(fault));
        E::custom("refused")
    }

    fn below<E: serde::de::Error>(self, want: Option<&'a [&'a str]>) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fail(JsonError::TooDeep));
        }
        Ok(Self { want, depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        if self.nul == Nul::Refused && text.contains('\0') {
            return Err(self.fail(JsonError::Nul));
        }
        Ok(self.want.filter(|rest| rest.is_empty()).map(|_| text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let below = self.below(None)?;
        while list.next_element_seed(below)?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut seen: HashSet<Cow<'de, str>> = HashSet::new();
        let mut found = None;
        while let Some(key) = object.next_key_seed(Key)? {
            let want = match self.want {
                Some([first, rest @ ..]) if *first == key => Some(rest),
                Some(_) | None => None,
            };
            let value = object.next_value_seed(self.below(want)?)?;
            found = found.or(value);
            if seen.len() >= MAX_KEYS {
                return Err(self.fail(JsonError::TooWide));
            }
            if let Some(key) = seen.replace(key) {
                return Err(self.fail(JsonError::DuplicateKey(shown(&key))));
            }
        }
        Ok(found)
    }
}

/// A key, borrowed from the text where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> JsonError {
        parse_strict(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_anywhere() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"a":3}}]"#, r#"{"a":1,"\u0061":2}"#, r#"{"":1,"":2}"#] {
            assert!(matches!(refused(text), JsonError::DuplicateKey(_)), "{text}");
        }
        assert!(parse_strict(br#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#).is_ok());
    }

    #[test]
    fn depth_and_width_have_an_end() {
        let deep = |open: &str, close: &str, n| format!("{}1{}", open.repeat(n), close.repeat(n));
        assert!(parse_strict(deep("[", "]", 100).as_bytes()).is_ok());
        for n in [101, 127, 128, 10_000] {
            assert!(parse_strict(deep("[", "]", n).as_bytes()).is_err(), "{n}");
            assert!(parse_strict(deep(r#"{"a":"#, "}", n).as_bytes()).is_err(), "{n}");
        }
        assert!(matches!(refused(&"[".repeat(10_000)), JsonError::TooDeep));
        let wide: Vec<String> = (0..5_000).map(|n| format!(r#""{n}":0"#)).collect();
        assert!(matches!(refused(&format!("{{{}}}", wide.join(","))), JsonError::TooWide));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{}x",
            "[1,]",
            "{'a':1}",
            "\u{feff}{}",
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            "1e999",
            "NaN",
            "\"a\nb\"",
        ] {
            assert!(matches!(refused(text), JsonError::NotJson { .. }), "{text}");
        }
        assert!(parse_strict(b"\"\xff\"").is_err());
        assert!(parse_strict(b"{\"\xed\xa0\x80\":1}").is_err());
    }

    #[test]
    fn only_a_string_at_the_very_path_is_found() {
        let find = |text: &str| find_strict(text.as_bytes(), &["a", "b"]).unwrap();
        assert_eq!(find(r#"{"b":"no","a":{"x":{"b":"no"},"b":"yes"},"c":{"b":"no"}}"#).as_deref(), Some("yes"));
        assert_eq!(find(r#"{"a":{"\u0062":"y\u0065s"}}"#).as_deref(), Some("yes"));
        for text in [
            r#"{"a":{"b":1}}"#,
            r#"{"a":{"b":["x"]}}"#,
            r#"{"a":[{"b":"x"}]}"#,
            r#"[{"a":{"b":"x"}}]"#,
            "null",
            r#""x""#,
            r#"{"a":"x"}"#,
            r#"{"a":{"b":{"c":"x"}}}"#,
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn nul_is_no_part_of_a_delivery() {
        assert!(matches!(find_strict(br#"{"x":["a\u0000b"]}"#, &[]), Err(JsonError::Nul)));
        assert!(parse_strict(br#"{"inject":"a\u0000b"}"#).is_ok());
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(value in tree()) {
            let text = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(parse_strict(&text).unwrap(), value);
        }

        #[test]
        fn any_bytes_are_refused_or_read_as_others_read_them(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(value) = parse_strict(&bytes) {
                prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
            }
        }
    }
}
