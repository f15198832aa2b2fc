//! A parsed job file: its variables, its locals, its job.

use std::collections::BTreeMap;

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::parser;
use hcl_edit::structure::{Block, Body};

use super::eval::Scope;
use super::line::Lines;
use super::variable::{self, Given};
use super::{JobFileError, LARGEST, Sketch, expand, table};

/// A job file that is HCL.
#[derive(Debug)]
pub struct JobFile {
    text: String,
    body: Body,
}

impl JobFile {
    /// Reads the text of a job file.
    ///
    /// # Errors
    /// When it is too large, or no HCL.
    pub fn parse(text: String) -> Result<Self, JobFileError> {
        if text.len() > LARGEST {
            return Err(JobFileError::TooLarge);
        }
        let body = parser::parse_body(&text).map_err(|error| JobFileError::Syntax {
            line: u32::try_from(error.location().line()).unwrap_or(u32::MAX),
            why: error.message().to_owned(),
        })?;
        Ok(Self { text, body })
    }

    /// The variables it declares, and their types as they are written.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, Option<String>> {
        let kind = |block: &Block| {
            let kind = block.body.get_attribute("type")?;
            kind.value.span().and_then(|span| self.text.get(span)).map(|kind| kind.trim().to_owned())
        };
        self.declared().map(|(name, block)| (name.to_owned(), kind(block))).collect()
    }

    fn declared(&self) -> impl Iterator<Item = (&str, &Block)> {
        self.body.get_blocks("variable").filter_map(|block| Some((block.labels.first()?.as_str(), block)))
    }

    /// The job as far as it can be told, with these values.
    #[must_use]
    pub fn sketch(&self, given: &Given) -> Sketch {
        let parsed = self.given(given);
        let mut scope = Scope::new(&self.text);
        for (name, block) in self.declared() {
            let default = || block.body.get_attribute("default").map(|default| &default.value);
            let value = match given.expression(name, None) {
                Some(_) => parsed.get(name),
                None => default(),
            };
            scope.declare(name, value);
        }
        for locals in self.body.get_blocks("locals") {
            for local in locals.body.attributes() {
                scope.local(local.key.as_str(), &local.value);
            }
        }
        let Some(job) = self.body.get_blocks("job").next() else {
            return Sketch::default();
        };
        let lines = Lines::of(&self.text);
        table::sketch(&expand::job(job, &scope, &lines))
    }

    /// The values that were given, each by its variable's type.
    fn given(&self, given: &Given) -> BTreeMap<String, Expression> {
        let kinds = self.variables();
        let parsed = given.names().filter_map(|name| {
            let expression = given.expression(name, kinds.get(name)?.as_deref())?;
            Some((name.to_owned(), variable::parse(&expression)?))
        });
        parsed.collect()
    }
}
