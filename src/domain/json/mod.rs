//! JSON from outside, read strictly: UTF-8, no key twice, no lone surrogate, bounded depth.

mod keys;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use keys::Keys;

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
        let mut seen = Keys::default();
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
            if let Err(key) = seen.add(key) {
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
