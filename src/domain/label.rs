//! What is told of a blob beside its bytes: as headers of an answer, the same from serve and from a build's controller.

use super::blob::{Manifest, Packing};
use super::id::BlobId;
use super::percent;

/// The header of the id.
pub const ID: &str = "x-albatros-id";
/// The header of the size, bytes.
pub const SIZE: &str = "x-albatros-size";
/// The header of the SHA-256, hexadecimal digits.
pub const SHA256: &str = "x-albatros-sha256";
/// The header of the packing: `file` or `archive`.
pub const PACKING: &str = "x-albatros-packing";
/// The header of a single file's name, percent-encoded.
pub const NAME: &str = "x-albatros-name";

/// The longest name of a single file, bytes: no file system knows longer ones.
pub const NAME_MOST: usize = 255;

/// What is known of a blob before its bytes are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its id; of a cache that was found by a prefix, the whole.
    pub id: BlobId,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of them.
    pub sha256: String,
    /// How it is packed.
    pub packing: Packing,
    /// Of a single file: what it was called.
    pub name: Option<String>,
}

impl From<Manifest> for Label {
    fn from(manifest: Manifest) -> Self {
        let Manifest { id, packing, name, size, sha256, created: _ } = manifest;
        Self { id, size, sha256, packing, name }
    }
}

impl Label {
    /// As headers: names in lower case, values of visible ASCII.
    #[must_use]
    pub fn to_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (ID, self.id.to_string()),
            (SIZE, self.size.to_string()),
            (SHA256, self.sha256.clone()),
            (PACKING, packing_word(self.packing).to_owned()),
        ];
        headers.extend(self.name.as_ref().map(|name| (NAME, percent::encode(name))));
        headers
    }

    /// Reads [`Label::to_headers`]; none where one that is needed is missing or senseless.
    #[must_use]
    pub fn of_headers<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let sha256 = header(SHA256)?;
        let is_sum = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        let name = header(NAME).and_then(|text| String::from_utf8(percent::decode(text.as_bytes(), false)).ok());
        Some(Self {
            id: header(ID)?.parse().ok()?,
            size: header(SIZE)?.parse().ok()?,
            sha256: is_sum.then(|| sha256.to_ascii_lowercase())?,
            packing: [Packing::File, Packing::Archive]
                .into_iter()
                .find(|packing| header(PACKING) == Some(packing_word(*packing)))?,
            name,
        })
    }
}

fn packing_word(packing: Packing) -> &'static str {
    match packing {
        Packing::File => "file",
        Packing::Archive => "archive",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_label_survives_its_headers(name in proptest::option::of(any::<String>()), size in any::<u64>()) {
            let label = Label {
                id: "a-1".parse().unwrap(), size, sha256: "0f".repeat(32), packing: Packing::Archive, name,
            };
            let headers = label.to_headers();
            prop_assert!(headers.iter().all(|(_, value)| value.bytes().all(|byte| byte.is_ascii_graphic())));
            let find = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
            prop_assert_eq!(Label::of_headers(find), Some(label));
        }
    }

    #[test]
    fn what_is_missing_or_senseless_is_no_label() {
        let label = |wrong: &str, value: &'static str| {
            let sum = "0f".repeat(32);
            let good = [(ID, "a"), (SIZE, "1"), (SHA256, sum.as_str()), (PACKING, "file")];
            let text = good.map(|(name, good)| (name, if name == wrong { value.to_owned() } else { good.to_owned() }));
            Label::of_headers(|name| text.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()))
        };
        assert!(label("", "").is_some());
        for (wrong, value) in [(ID, "../a"), (SIZE, "-1"), (SHA256, "0f"), (PACKING, "zip"), (ID, "")] {
            assert!(label(wrong, value).is_none(), "{wrong}: {value}");
        }
    }
}
