//! What a browser holds of somebody who has signed in: that he knew certain tokens, and until when that counts.

use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq as _;

use super::key::mac;
use super::secret::Secret;

const LABEL: &[u8] = b"albatros signin v1\0";
const CSRF_LABEL: &[u8] = b"albatros csrf v1\0";
const VERSION: &str = "v1";
/// SHA-256's length in hex.
const MARK: usize = 64;
/// A nonce's length in hex.
const NONCE: usize = 32;
/// The digits of a moment: seconds since 1970 for the next 30,000 years.
const DIGITS: usize = 12;

/// How long a ticket lasts, counted from its first token.
pub const LIFE: SignedDuration = SignedDuration::from_hours(12);
/// The tokens that one ticket stands for, at most.
pub const TOKENS: usize = 8;

/// The value of a cookie, `v1.<until>.<nonce>.<mark>…`. A mark is an HMAC under a token over all that stands before it:
/// whoever has the configuration can check it, nobody can read a token from it, and a token that is removed from the
/// configuration ends it at once. Nothing is kept anywhere about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    text: String,
    until: Timestamp,
    /// How many bytes of `text` the marks are made over.
    signed: usize,
}

impl Ticket {
    /// For these tokens, the first [`TOKENS`] of them. None without any.
    #[must_use]
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a Secret>, until: Timestamp, nonce: [u8; 16]) -> Option<Self> {
        let mut text = format!("{VERSION}.{}.{}", until.as_second(), hex::encode(nonce));
        let signed = text.len();
        for token in tokens.into_iter().take(TOKENS) {
            let mark = mark(token, text.get(..signed)?);
            text.push('.');
            text.push_str(&mark);
        }
        Self::parse(&text)
    }

    /// Reads one, of whatever time. None of another form, whatever is wrong with it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (version, until, nonce) = (parts.next()?, parts.next()?, parts.next()?);
        let is_number = (1..=DIGITS).contains(&until.len()) && until.bytes().all(|byte| byte.is_ascii_digit());
        let marks: Vec<&str> = parts.take(TOKENS + 1).collect();
        let are_marks = (1..=TOKENS).contains(&marks.len()) && marks.iter().all(|mark| is_hex(mark, MARK));
        if version != VERSION || !is_number || !is_hex(nonce, NONCE) || !are_marks {
            return None;
        }
        let signed = version.len() + 1 + until.len() + 1 + nonce.len();
        let until = Timestamp::from_second(until.parse().ok()?).ok()?;
        Some(Self { text: text.to_owned(), until, signed })
    }

    /// The cookie's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until
    }

    /// Where among its tokens this one is, the first being 0. All are compared, in time that does not tell.
    #[must_use]
    pub fn place_of(&self, token: &Secret) -> Option<usize> {
        let (signed, marks) = self.text.split_at_checked(self.signed)?;
        if token.expose().is_empty() {
            return None;
        }
        let right = mark(token, signed);
        let marks = marks.split('.').skip(1).enumerate();
        marks.fold(
            None,
            |found, (place, mark)| {
                if bool::from(mark.as_bytes().ct_eq(right.as_bytes())) { Some(place) } else { found }
            },
        )
    }

    /// Whether it stands for this token.
    #[must_use]
    pub fn is_of(&self, token: &Secret) -> bool {
        self.place_of(token).is_some()
    }

    /// What the forms of our own pages carry: only who can read a page that was made for this very ticket knows it.
    #[must_use]
    pub fn csrf(&self) -> String {
        hex::encode(mac(&Secret::new(self.text.as_str()), &[CSRF_LABEL]))
    }

    /// Whether a form was made for this ticket.
    #[must_use]
    pub fn is_csrf(&self, given: &str) -> bool {
        self.csrf().as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(ticket until {})", self.until)
    }
}

fn mark(token: &Secret, signed: &str) -> String {
    hex::encode(mac(token, &[LABEL, signed.as_bytes()]))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ticket(tokens: &[&str]) -> Ticket {
        let tokens: Vec<Secret> = tokens.iter().map(|token| Secret::new(*token)).collect();
        Ticket::new(&tokens, at(1_700_000_000), [7; 16]).unwrap()
    }

    #[test]
    fn it_stands_for_its_tokens_and_for_no_other() {
        let ticket = ticket(&["a-token", "b-token"]);
        assert_eq!(ticket.place_of(&Secret::new("a-token")), Some(0));
        assert_eq!(ticket.place_of(&Secret::new("b-token")), Some(1));
        for other in ["", "a-toke", "a-token ", "c-token"] {
            assert!(!ticket.is_of(&Secret::new(other)), "{other}");
        }
        assert!(!ticket.as_str().contains("token") && !format!("{ticket:?}").contains("v1"));
        assert_eq!(Ticket::parse(ticket.as_str()), Some(ticket));
    }

    #[test]
    fn the_mark_is_what_another_implementation_makes_of_it() {
        // hmac.new(b'a-token', b'albatros signin v1\0v1.1700000000.' + b'07'*16, hashlib.sha256) in Python
        let right = "v1.1700000000.07070707070707070707070707070707.0f7b22f1c8f2a593eb467068e6e2889b2d55c1b99bc4f101ad5f8973c25102ae";
        assert_eq!(ticket(&["a-token"]).as_str(), right);
    }

    #[test]
    fn it_ends_when_it_says() {
        let ticket = ticket(&["a-token"]);
        assert!(!ticket.is_over(at(1_699_999_999)) && ticket.is_over(at(1_700_000_000)));
    }

    #[test]
    fn whatever_is_changed_in_it_it_counts_no_more() {
        let token = Secret::new("a-token");
        let text = ticket(&["a-token"]).as_str().to_owned();
        for place in 0..text.len() {
            for new in ['0', '9', 'f', '.'] {
                let mut changed: Vec<char> = text.chars().collect();
                changed[place] = new;
                let changed: String = changed.into_iter().collect();
                let counts = Ticket::parse(&changed).is_some_and(|ticket| ticket.is_of(&token));
                assert!(!counts || changed == text, "{changed}");
            }
            assert!(Ticket::parse(&text[..place]).is_none_or(|ticket| !ticket.is_of(&token)), "cut at {place}");
        }
        assert_eq!(Ticket::parse(&format!("{text} ")), None);
        assert_eq!(Ticket::parse(&text.replace("v1.", "v2.")), None);
    }

    #[test]
    fn it_stands_for_a_few_tokens_at_most() {
        let many: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let ticket = ticket(&many);
        assert!(ticket.is_of(&Secret::new("t7")) && !ticket.is_of(&Secret::new("t8")));
        let longer = format!("{}.{}", ticket.as_str(), "0".repeat(MARK));
        assert_eq!(Ticket::parse(&longer), None);
        assert_eq!(Ticket::new([], at(1), [0; 16]), None);
    }

    #[test]
    fn a_form_is_made_for_one_ticket() {
        let (one, other) = (ticket(&["a-token"]), Ticket::new([&Secret::new("a-token")], at(1_700_000_000), [8; 16]));
        assert!(one.is_csrf(&one.csrf()));
        assert!(!one.is_csrf(&other.unwrap().csrf()) && !one.is_csrf("") && !one.is_csrf(&one.csrf()[..63]));
    }

    proptest! {
        #[test]
        fn anything_is_refused_or_read_back(text in "(v1\\.)?[0-9a-f.]{0,200}|\\PC{0,80}") {
            if let Some(ticket) = Ticket::parse(&text) {
                prop_assert_eq!(ticket.as_str(), &text);
            }
        }
    }
}
