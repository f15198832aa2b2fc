//! Parameters: the lines of `inject`, read as an env file.
//!
//! ```text
//! # a comment, and blank lines
//! NAME=value with spaces       # up to the line's end, trimmed; a comment needs a space before its #
//! export OTHER='as it stands: $no \n'
//! KEY="with \n \" \\ and \$, over
//! several lines too"
//! ```
//!
//! Nothing is expanded. Of two lines with the same name the last one counts, as in a shell. Lines may end in CR LF; between
//! quotes every byte stays, but for the escapes above.

use std::collections::BTreeMap;

use super::secret::Secret;

/// Named values.
#[derive(Debug, Clone, Default)]
pub struct Params(BTreeMap<String, Secret>);

/// Why a text is no env file: names the line, and never what stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct ParamsError {
    /// Where, from 1; for a value in quotes that never end, where they begin.
    pub line: usize,
    /// What was expected.
    pub why: &'static str,
}

/// Names that a loader, a shell or libc acts upon.
const NAMES: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "FPATH",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GLIBC_TUNABLES",
    "GLOBIGNORE",
    "HOSTALIASES",
    "IFS",
    "LOCALDOMAIN",
    "LOCPATH",
    "NIS_PATH",
    "NLSPATH",
    "PATH",
    "PROMPT_COMMAND",
    "PS4",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "SECRET_PATH",
    "SHELL",
    "SHELLOPTS",
    "TZDIR",
    "ZDOTDIR",
];

/// Beginnings of such names, and of those that are Nomad's, its neighbours' and ours.
const BEGINNINGS: &[&str] =
    &["ALBATROS_", "BASH_FUNC_", "CONSUL_", "DYLD_", "LD_", "MALLOC_", "NOMAD_", "VAULT_", "_RLD"];

/// Whether a parameter of this name would change a loader, a shell or Nomad.
#[must_use]
pub fn forbidden(name: &str) -> bool {
    NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// The line that says so, for us as for a shell that reads it.
#[must_use]
pub fn line(name: &str, value: &str) -> String {
    let mut line = format!("{name}=\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            line.push('\\');
        }
        line.push(c);
    }
    line.push_str("\"\n");
    line
}

impl Params {
    /// Reads an env file.
    ///
    /// # Errors
    /// Names the first line that is none of one.
    pub fn parse(text: &str) -> Result<Self, ParamsError> {
        let mut rest = Rest { text: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
        let mut params = BTreeMap::new();
        while !rest.text.is_empty() {
            if let Some((name, value)) = rest.entry()? {
                params.insert(name.to_owned(), Secret::new(value));
            }
        }
        Ok(Self(params))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// The names alone.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What is left to read.
struct Rest<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Rest<'a> {
    fn error<T>(&self, why: &'static str) -> Result<T, ParamsError> {
        Err(ParamsError { line: self.line, why })
    }

    /// Takes the line's rest, without its end.
    fn line(&mut self) -> &'a str {
        let (line, rest) = self.text.split_once('\n').unwrap_or((self.text, ""));
        self.text = rest;
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// One line, or several where a value goes on over them; none for a comment or a blank line.
    fn entry(&mut self) -> Result<Option<(&'a str, String)>, ParamsError> {
        self.text = self.text.trim_start_matches([' ', '\t']);
        if self.text.starts_with(['#', '\n'])
            || self.text.trim_start_matches('\r').is_empty()
            || self.text.starts_with("\r\n")
        {
            self.line();
            self.line += 1;
            return Ok(None);
        }
        let name = self.name()?;
        let value = self.value()?;
        if value.contains('\0') {
            return self.error("a value cannot hold NUL");
        }
        self.line += 1;
        Ok(Some((name, value)))
    }

    fn name(&mut self) -> Result<&'a str, ParamsError> {
        if let Some(rest) = self.text.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
            self.text = rest.trim_start_matches([' ', '\t']);
        }
        let end = self.text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.text.len());
        let (name, rest) = self.text.split_at_checked(end).unwrap_or((self.text, ""));
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match rest.strip_prefix('=') {
            Some(rest) if begins => {
                self.text = rest;
                Ok(name)
            }
            _ => {
                self.error("expected NAME=VALUE, with a name of the characters A-Z a-z 0-9 _ and no space before the =")
            }
        }
    }

    fn value(&mut self) -> Result<String, ParamsError> {
        self.text = self.text.trim_start_matches([' ', '\t']);
        if let Some(rest) = self.text.strip_prefix('\'') {
            self.text = rest;
            return self.quoted('\'');
        }
        if let Some(rest) = self.text.strip_prefix('"') {
            self.text = rest;
            return self.quoted('"');
        }
        let line = self.line();
        if line.starts_with('#') {
            return Ok(String::new());
        }
        let comment =
            line.match_indices('#').find(|(at, _)| line.get(..*at).is_some_and(|it| it.ends_with([' ', '\t'])));
        let value = comment.and_then(|(at, _)| line.get(..at)).unwrap_or(line);
        Ok(value.trim_end_matches([' ', '\t']).to_owned())
    }

    /// A value up to its closing quote, behind which only a comment may stand.
    fn quoted(&mut self, quote: char) -> Result<String, ParamsError> {
        let mut value = String::new();
        let mut chars = self.text.char_indices();
        let end = loop {
            match chars.next() {
                None => return self.error("the quotes never end"),
                Some((at, c)) if c == quote => break at + c.len_utf8(),
                Some((_, '\\')) if quote == '"' => match chars.next() {
                    None => return self.error("the quotes never end"),
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c @ ('"' | '\\' | '$' | '`'))) => value.push(c),
                    // As in a shell: it means nothing, so it stays.
                    Some((_, c)) => value.extend(['\\', c]),
                },
                Some((_, c)) => value.push(c),
            }
        };
        let lines = self.text.get(..end).unwrap_or_default().matches('\n').count();
        self.text = self.text.get(end..).unwrap_or_default();
        self.line += lines;
        let behind = self.line();
        let comment = behind.trim_start_matches([' ', '\t']);
        if !comment.is_empty() && (!comment.starts_with('#') || comment.len() == behind.len()) {
            return self.error("expected nothing behind the closing quote, except a comment");
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let params = Params::parse(text).unwrap();
        params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn one(text: &str) -> String {
        let read = pairs(text);
        assert_eq!(read.len(), 1, "{text:?}");
        read[0].1.clone()
    }

    #[test]
    fn each_form_of_a_value_is_read() {
        for (text, value) in [
            ("A=1", "1"),
            ("A=", ""),
            ("A=\r\n", ""),
            ("export A=1\n", "1"),
            ("  export\tA=1", "1"),
            ("A=two words \t\n", "two words"),
            ("A= x", "x"),
            ("A=x # a comment", "x"),
            ("A=# a comment", ""),
            ("A=x#y", "x#y"),
            ("A=it's \\n $HOME", "it's \\n $HOME"),
            ("A='it is \\n $HOME \" # as it stands'\n", "it is \\n $HOME \" # as it stands"),
            ("A='one\ntwo\r\n' # comment", "one\ntwo\r\n"),
            (r#"A="a\nb \"c\" \\ \$d $e \t""#, "a\nb \"c\" \\ $d $e \\t"),
            ("A=\"one\ntwo\"\r\n", "one\ntwo"),
            ("\u{feff}A=1", "1"),
            ("A=a=b==", "a=b=="),
            ("A=1\nA=2", "2"),
        ] {
            assert_eq!(one(text), value, "{text:?}");
        }
    }

    #[test]
    fn comments_and_blank_lines_hold_nothing() {
        let read = pairs("# one\n\n \t\r\n  # two\r\nA=1\n\nexport B='2'\nC_3=\"3\"");
        let expected = [("A", "1"), ("B", "2"), ("C_3", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, expected);
        assert!(pairs("").is_empty() && pairs("\n\r\n").is_empty() && pairs("\r").is_empty());
    }

    #[test]
    fn an_error_names_its_line_and_shows_nothing_of_it() {
        for (text, line) in [
            ("s3cr3t", 1),
            ("A=1\ns3cr3t\n", 2),
            ("A='1\n2'\nif s3cr3t; then", 3),
            ("A =s3cr3t", 1),
            ("=s3cr3t", 1),
            ("1A=s3cr3t", 1),
            ("\n\nA='s3cr3t\n\n", 3),
            ("A=\"s3cr3t\\\"", 1),
            ("A='x's3cr3t", 1),
            ("A='x'#s3cr3t", 1),
            ("A='\n\nx' s3cr3t", 3),
            ("export -p s3cr3t", 1),
            ("É=s3cr3t", 1),
            ("A='s3cr3t\0'", 1),
        ] {
            let error = Params::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(!error.to_string().contains("s3cr3t") && !format!("{error:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn debug_shows_no_value() {
        assert!(!format!("{:?}", Params::parse("A=s3cr3t").unwrap()).contains("s3cr3t"));
    }

    #[test]
    fn what_changes_a_loader_a_shell_or_nomad_is_forbidden() {
        for name in ["LD_PRELOAD", "BASH_ENV", "PATH", "NOMAD_TOKEN", "CONSUL_HTTP_TOKEN", "ALBATROS_API", "IFS"] {
            assert!(forbidden(name), "{name}");
        }
        for name in ["SECRET1", "LDAP_PASSWORD", "MY_PATH", "DATABASE_URL", "path", "HOME_TOKEN"] {
            assert!(!forbidden(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_value_survives_in_its_line(value in any::<String>()) {
            let value = value.replace('\0', "");
            prop_assert_eq!(one(&line("A", &value)), value);
        }

        #[test]
        fn any_value_survives_single_or_double_quotes(value in any::<String>(), single in any::<bool>()) {
            let value = value.replace('\0', "");
            let written = if single && !value.contains('\'') {
                format!("A='{value}'\n")
            } else {
                let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n");
                format!("export A=\"{escaped}\" # comment\r\n")
            };
            prop_assert_eq!(one(&written), value);
        }

        #[test]
        fn a_plain_value_survives_without_quotes(value in "[!-\"%-~]([ -~]*[!-~])?") {
            // What would be read as something else is for quotes.
            let plain = !value.starts_with(['"', '\'', '#']) && !value.contains(" #");
            if plain {
                prop_assert_eq!(one(&format!("A={value}\n")), value);
            }
        }

        #[test]
        fn any_text_is_read_or_refused_at_a_line_it_has(text in "[A='\"\\\\ \r\n#x\0é]*") {
            match Params::parse(&text) {
                Ok(params) => prop_assert!(params.names().all(|name| !name.is_empty())),
                Err(error) => prop_assert!((1..=text.matches('\n').count() + 1).contains(&error.line)),
            }
        }
    }
}
