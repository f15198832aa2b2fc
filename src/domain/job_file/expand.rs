//! Blocks with their values: `dynamic` ones written out.

use hcl_edit::Span as _;
use hcl_edit::structure::{Body, Structure};
use serde_json::Value;

use super::eval::{Known, Scope, Unknown};
use super::line::Lines;

/// What a block that is written out counts for among the values.
const BLOCK: usize = 4 << 10;

/// A block whose values are known, or why they are not.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) kind: String,
    pub(super) labels: Vec<String>,
    pub(super) line: u32,
    pub(super) attributes: Vec<Attribute>,
    pub(super) blocks: Vec<Block>,
    /// Blocks that may be there or not.
    pub(super) doubtful: Vec<(String, u32, Unknown)>,
}

/// An attribute of a block.
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) value: Known,
}

pub(super) fn job(block: &hcl_edit::structure::Block, scope: &Scope<'_>, lines: &Lines) -> Block {
    let labels = block.labels.iter().map(|label| label.as_str().to_owned()).collect();
    let start = Block { kind: "job".to_owned(), labels, line: lines.at(block.span()), ..Block::default() };
    fill(start, &block.body, scope, lines)
}

fn fill(mut block: Block, body: &Body, scope: &Scope<'_>, lines: &Lines) -> Block {
    for structure in body.iter() {
        match structure {
            Structure::Attribute(attribute) => block.attributes.push(Attribute {
                name: attribute.key.as_str().to_owned(),
                line: lines.at(attribute.span()),
                value: scope.eval(&attribute.value),
            }),
            Structure::Block(inner) if inner.ident.as_str() == "dynamic" => {
                let line = lines.at(inner.span());
                let kind = inner.labels.first().map(|label| label.as_str().to_owned()).unwrap_or_default();
                match dynamic(&kind, inner, scope, lines) {
                    Ok(blocks) => block.blocks.extend(blocks),
                    Err(why) => block.doubtful.push((kind, line, why)),
                }
            }
            Structure::Block(inner) => {
                let start = Block {
                    kind: inner.ident.as_str().to_owned(),
                    labels: inner.labels.iter().map(|label| label.as_str().to_owned()).collect(),
                    line: lines.at(inner.span()),
                    ..Block::default()
                };
                block.blocks.push(fill(start, &inner.body, scope, lines));
            }
        }
    }
    block
}

fn dynamic(
    kind: &str,
    block: &hcl_edit::structure::Block,
    scope: &Scope<'_>,
    lines: &Lines,
) -> Result<Vec<Block>, Unknown> {
    let body = &block.body;
    let over = body.get_attribute("for_each").ok_or("a dynamic block has no for_each")?;
    let iterator = body.get_attribute("iterator").and_then(|name| name.value.as_variable());
    let iterator = iterator.map_or(kind, |name| name.as_str());
    let content = body.get_blocks("content").next().ok_or("a dynamic block has no content")?;
    let turns: Vec<(Value, Value)> = match scope.eval(&over.value)? {
        Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, item)| (key.into(), item)).collect(),
        _ => return Err("for_each is no list".to_owned()),
    };
    let mut blocks = Vec::new();
    for (key, value) in turns {
        scope.spend(BLOCK)?;
        let scope = scope.turn(iterator, key, value);
        let labels = match body.get_attribute("labels") {
            None => Vec::new(),
            Some(labels) => match scope.eval(&labels.value)? {
                Value::Array(labels) => labels.iter().filter_map(super::eval::text_of).collect(),
                _ => return Err("labels is no list".to_owned()),
            },
        };
        let start = Block { kind: kind.to_owned(), labels, line: lines.at(content.span()), ..Block::default() };
        blocks.push(fill(start, &content.body, &scope, lines));
    }
    Ok(blocks)
}
