//! What an expression of a job file comes to; unknown where it rests on what only Nomad knows.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hcl_edit::Span as _;
use hcl_edit::expr::{BinaryOperator, Expression, ObjectKey, Traversal, TraversalOperator, UnaryOperator};
use hcl_edit::template::{Element, Template};
use serde_json::{Map, Value};

use super::functions;

/// Why a value is not known.
pub(super) type Unknown = String;
/// A value, or why it is not known.
pub(super) type Known = Result<Value, Unknown>;

/// How many bytes a file's values may come to: locals that double each other would fill the memory.
const LARGEST: usize = 8 << 20;

/// What names mean.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    text: &'a str,
    variables: BTreeMap<&'a str, Option<&'a Expression>>,
    locals: BTreeMap<&'a str, &'a Expression>,
    iterators: Vec<(String, Value, Value)>,
    memory: Rc<RefCell<BTreeMap<String, Known>>>,
    under_way: Rc<RefCell<BTreeSet<String>>>,
    spent: Rc<Cell<usize>>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            variables: BTreeMap::new(),
            locals: BTreeMap::new(),
            iterators: Vec::new(),
            memory: Rc::default(),
            under_way: Rc::default(),
            spent: Rc::default(),
        }
    }

    pub(super) fn declare(&mut self, name: &'a str, value: Option<&'a Expression>) {
        self.variables.insert(name, value);
    }

    pub(super) fn local(&mut self, name: &'a str, value: &'a Expression) {
        self.locals.insert(name, value);
    }

    /// The same within one turn of a `dynamic` block.
    pub(super) fn turn(&self, iterator: &str, key: Value, value: Value) -> Self {
        let mut iterators = self.iterators.clone();
        iterators.push((iterator.to_owned(), key, value));
        Self {
            text: self.text,
            variables: self.variables.clone(),
            locals: self.locals.clone(),
            iterators,
            memory: Rc::clone(&self.memory),
            under_way: Rc::clone(&self.under_way),
            spent: Rc::clone(&self.spent),
        }
    }

    pub(super) fn eval(&self, expression: &Expression) -> Known {
        let value = self.worked_out(expression)?;
        self.spend(weight(&value))?;
        Ok(value)
    }

    /// Counts what is made; no more is made once it is too much.
    pub(super) fn spend(&self, bytes: usize) -> Result<(), Unknown> {
        self.spent.set(self.spent.get().saturating_add(bytes));
        if self.spent.get() > LARGEST { Err("the file's values are too large".to_owned()) } else { Ok(()) }
    }

    fn worked_out(&self, expression: &Expression) -> Known {
        match expression {
            Expression::Null(_) => Ok(Value::Null),
            Expression::Bool(value) => Ok((*value.value()).into()),
            Expression::Number(number) => Ok(number.value().as_f64().map_or(Value::Null, number_of)),
            Expression::String(text) => Ok(text.value().as_str().into()),
            Expression::Array(items) => items.iter().map(|item| self.eval(item)).collect(),
            Expression::Object(object) => {
                let mut map = Map::new();
                for (key, value) in object.iter() {
                    let key = match key {
                        ObjectKey::Ident(name) => name.as_str().to_owned(),
                        ObjectKey::Expression(Expression::Variable(name)) => name.as_str().to_owned(),
                        ObjectKey::Expression(key) => text_of(&self.eval(key)?).ok_or("a key is no text")?,
                    };
                    map.insert(key, self.eval(value.expr())?);
                }
                Ok(map.into())
            }
            Expression::StringTemplate(template) => self.template(template),
            Expression::HeredocTemplate(heredoc) => self.template(&heredoc.template),
            Expression::Parenthesis(inner) => self.eval(inner.inner()),
            Expression::Variable(name) => Ok(format!("${{{}}}", name.as_str()).into()),
            Expression::Conditional(choice) => match truth(&self.eval(&choice.cond_expr)?) {
                Some(true) => self.eval(&choice.true_expr),
                Some(false) => self.eval(&choice.false_expr),
                None => Err("a condition is neither true nor false".to_owned()),
            },
            Expression::FuncCall(call) => {
                let arguments: Result<Vec<Value>, Unknown> = call.args.iter().map(|one| self.eval(one)).collect();
                functions::call(call.name.name.as_str(), &arguments?)
            }
            Expression::Traversal(traversal) => self.traversal(traversal),
            Expression::UnaryOp(operation) => unary(*operation.operator.value(), &self.eval(&operation.expr)?),
            Expression::BinaryOp(operation) => {
                let (left, right) = (self.eval(&operation.lhs_expr)?, self.eval(&operation.rhs_expr)?);
                binary(*operation.operator.value(), &left, &right)
            }
            Expression::ForExpr(_) => Err("`for` is worked out by Nomad alone".to_owned()),
        }
    }

    /// A template of a single value is that value; others are text.
    fn template(&self, template: &Template) -> Known {
        if let Some(Element::Interpolation(one)) = template.as_single_element() {
            return self.eval(&one.expr);
        }
        let mut text = String::new();
        for element in template.iter() {
            match element {
                Element::Literal(literal) => text.push_str(literal.value()),
                Element::Interpolation(one) => {
                    let value = self.eval(&one.expr)?;
                    text.push_str(&text_of(&value).ok_or("a list or an object stands within a text")?);
                }
                Element::Directive(_) => return Err("`%{ … }` is worked out by Nomad alone".to_owned()),
            }
        }
        Ok(text.into())
    }

    fn traversal(&self, traversal: &Traversal) -> Known {
        let Expression::Variable(root) = &traversal.expr else {
            return self.steps(self.eval(&traversal.expr)?, &traversal.operators);
        };
        let root = root.as_str();
        let first = traversal.operators.first().and_then(|one| match one.value() {
            TraversalOperator::GetAttr(name) => Some(name.as_str()),
            _ => None,
        });
        let rest = traversal.operators.get(1..).unwrap_or_default();
        if let Some((_, key, value)) = self.iterators.iter().rev().find(|(name, _, _)| name == root) {
            return match first {
                Some("value") => self.steps(value.clone(), rest),
                Some("key") => self.steps(key.clone(), rest),
                _ => Err(format!("{root} has no such part")),
            };
        }
        match (root, first) {
            ("var", Some(name)) => self.steps(self.named(name, "variable")?, rest),
            ("local", Some(name)) => self.steps(self.named(name, "local")?, rest),
            // What the node knows: Nomad leaves it as it stands until the build is placed.
            _ => {
                let written = traversal.span().and_then(|span| self.text.get(span)).unwrap_or(root);
                Ok(format!("${{{}}}", written.trim()).into())
            }
        }
    }

    /// A variable or a local, worked out once.
    fn named(&self, name: &str, what: &str) -> Known {
        let id = format!("{what} {name}");
        if let Some(known) = self.memory.borrow().get(&id) {
            return known.clone();
        }
        let expression = match what {
            "variable" => self.variables.get(name).copied(),
            _ => self.locals.get(name).copied().map(Some),
        };
        let known = match expression {
            None => Err(format!("there is no {what} \"{name}\"")),
            Some(None) => Err(format!("the variable \"{name}\" has no value: give it with -var {name}=…")),
            Some(Some(_)) if !self.under_way.borrow_mut().insert(id.clone()) => {
                return Err(format!("{id} is made of itself"));
            }
            Some(Some(expression)) => {
                let known = self.eval(expression);
                self.under_way.borrow_mut().remove(&id);
                known
            }
        };
        self.memory.borrow_mut().insert(id, known.clone());
        known
    }

    fn steps(&self, from: Value, steps: &[hcl_edit::Decorated<TraversalOperator>]) -> Known {
        let mut value = from;
        for step in steps {
            let next = match step.value() {
                TraversalOperator::GetAttr(name) => value.get(name.as_str()).cloned(),
                TraversalOperator::LegacyIndex(index) => {
                    usize::try_from(*index.value()).ok().and_then(|index| value.get(index)).cloned()
                }
                TraversalOperator::Index(index) => match self.eval(index)? {
                    Value::String(key) => value.get(&key).cloned(),
                    Value::Number(index) => {
                        let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
                        index.and_then(|index| value.get(index)).cloned()
                    }
                    _ => None,
                },
                TraversalOperator::AttrSplat(_) | TraversalOperator::FullSplat(_) => {
                    return Err("`*` is worked out by Nomad alone".to_owned());
                }
            };
            value = next.ok_or("it has no such part")?;
        }
        Ok(value)
    }
}

fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + weight(value)).sum(),
    }
}

/// Whole numbers stay whole.
pub(super) fn number_of(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "compared right after")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "a number that does not come back is no whole one")]
    let same = (whole as f64 - number).abs() < f64::EPSILON;
    if same { whole.into() } else { number.into() }
}

/// As HCL makes text of it.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn unary(operator: UnaryOperator, value: &Value) -> Known {
    let known = match operator {
        UnaryOperator::Neg => number(value).map(|number| number_of(-number)),
        UnaryOperator::Not => truth(value).map(|truth| (!truth).into()),
    };
    known.ok_or_else(|| "an operation is over the wrong kind of value".to_owned())
}

fn binary(operator: BinaryOperator, left: &Value, right: &Value) -> Known {
    use BinaryOperator as Op;
    let numbers = || Some((number(left)?, number(right)?));
    let truths = || Some((truth(left)?, truth(right)?));
    let known = match operator {
        Op::Eq => Some((left == right).into()),
        Op::NotEq => Some((left != right).into()),
        Op::LessEq => numbers().map(|(left, right)| (left <= right).into()),
        Op::GreaterEq => numbers().map(|(left, right)| (left >= right).into()),
        Op::Less => numbers().map(|(left, right)| (left < right).into()),
        Op::Greater => numbers().map(|(left, right)| (left > right).into()),
        Op::Plus => numbers().map(|(left, right)| number_of(left + right)),
        Op::Minus => numbers().map(|(left, right)| number_of(left - right)),
        Op::Mul => numbers().map(|(left, right)| number_of(left * right)),
        Op::Div => numbers().filter(|(_, right)| *right != 0.0).map(|(left, right)| number_of(left / right)),
        Op::Mod => numbers().filter(|(_, right)| *right != 0.0).map(|(left, right)| number_of(left % right)),
        Op::And => truths().map(|(left, right)| (left && right).into()),
        Op::Or => truths().map(|(left, right)| (left || right).into()),
    };
    known.ok_or_else(|| "an operation is over the wrong kind of value".to_owned())
}
