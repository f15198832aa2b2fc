//! Values for a job file's variables, as `nomad job run` takes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::parser;

/// Values that were given for variables, as HCL expressions. Debug hides them: they may be secret.
#[derive(Clone, Default)]
pub struct Given {
    values: BTreeMap<String, Typed>,
}

#[derive(Clone)]
enum Typed {
    /// As typed behind `-var`: text, or an expression, as the variable's type says.
    Typed(String),
    /// An expression, as it stands in a file of values.
    Written(String),
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("names", &self.values.keys()).finish_non_exhaustive()
    }
}

/// Why a value for a variable cannot be used. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// It is not `name=value`.
    #[error("-var: expected name=value")]
    NoName,
    /// The file is no list of `name = value`.
    #[error("line {line} of the file of variables: {why}")]
    File {
        /// From 1.
        line: u32,
        /// What was expected.
        why: String,
    },
}

impl Given {
    /// Adds what stood behind `-var`; the last of a name counts.
    ///
    /// # Errors
    /// When it has no name.
    pub fn typed(&mut self, pair: &str) -> Result<(), GivenError> {
        let (name, value) = pair.split_once('=').ok_or(GivenError::NoName)?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
            return Err(GivenError::NoName);
        }
        self.values.insert(name.to_owned(), Typed::Typed(value.to_owned()));
        Ok(())
    }

    /// Adds a value from the environment, where none is given otherwise.
    pub fn environment(&mut self, name: &str, value: String) {
        self.values.entry(name.to_owned()).or_insert(Typed::Typed(value));
    }

    /// Adds the text of a file of values (`name = value` a line). What is typed counts before it.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn file(&mut self, text: &str) -> Result<(), GivenError> {
        let body = parser::parse_body(text).map_err(|error| GivenError::File {
            line: u32::try_from(error.location().line()).unwrap_or(u32::MAX),
            why: error.message().to_owned(),
        })?;
        for structure in body.iter() {
            let Some(attribute) = structure.as_attribute() else {
                return Err(GivenError::File { line: 1, why: "expected name = value, and no blocks".to_owned() });
            };
            let written = attribute.value.span().and_then(|span| text.get(span)).unwrap_or_default();
            self.values.insert(attribute.key.as_str().to_owned(), Typed::Written(written.to_owned()));
        }
        Ok(())
    }

    /// The names that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The value of a variable of this type as an expression of HCL.
    pub(super) fn expression(&self, name: &str, kind: Option<&str>) -> Option<String> {
        Some(match self.values.get(name)? {
            Typed::Written(expression) => expression.clone(),
            Typed::Typed(text) if kind.is_none_or(|kind| matches!(kind, "string" | "any")) => quoted(text),
            Typed::Typed(text) => text.clone(),
        })
    }

    /// All values as a file that Nomad takes: only of variables that the job has, with their types.
    #[must_use]
    pub fn for_nomad(&self, kinds: &BTreeMap<String, Option<String>>) -> String {
        let mut text = String::new();
        for name in self.values.keys() {
            if let Some(value) = self.expression(name, kinds.get(name).and_then(Option::as_deref)) {
                // Writing to a string cannot fail.
                writeln!(text, "{name} = {value}").unwrap_or_default();
            }
        }
        text
    }
}

/// Text as HCL writes it, with nothing in it that is worked out.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted.replace("${", "$${").replace("%{", "%%{")
}

/// An expression that was given.
pub(super) fn parse(expression: &str) -> Option<Expression> {
    parser::parse_expr(expression.trim()).ok()
}
