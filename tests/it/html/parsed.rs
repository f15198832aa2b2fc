//! A page as a browser reads it: its elements, what text each holds, and where the parser had to guess.

use std::borrow::Cow;
use std::cell::RefCell;

use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::tree_builder::{ElemName, ElementFlags, NodeOrText, QuirksMode, TreeBuilderOpts, TreeSink};
use html5ever::{Attribute, LocalName, Namespace, ParseOpts, QualName, parse_document};

/// An element, or what is none: a comment, the document.
#[derive(Debug, Clone, Default)]
pub(super) struct Element {
    /// Lower case; empty of what is no element.
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    /// Its own text, without its children's.
    pub(super) text: String,
    parent: Option<usize>,
}

/// A page.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) elements: Vec<Element>,
    pub(super) errors: Vec<String>,
    /// The name in its doctype.
    pub(super) doctype: Option<String>,
    pub(super) is_quirky: bool,
}

impl Element {
    /// An attribute's value.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Parsed {
    /// Reads a page, with scripts or without them: what is in a `noscript` counts in the second only.
    pub(super) fn of(page: &str, with_scripts: bool) -> Self {
        let tree_builder =
            TreeBuilderOpts { exact_errors: true, scripting_enabled: with_scripts, ..TreeBuilderOpts::default() };
        let mut options = ParseOpts { tree_builder, ..ParseOpts::default() };
        options.tokenizer.exact_errors = true;
        let sink = Sink::default();
        sink.nothing();
        parse_document(sink, options).one(page)
    }

    /// Elements of this name.
    pub(super) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements.iter().filter(move |element| element.name == name)
    }

    /// Whether an element is within one of this name.
    pub(super) fn is_within(&self, element: &Element, name: &str) -> bool {
        let mut above = element.parent;
        while let Some(one) = above.map(|place| &self.elements[place]) {
            if one.name == name {
                return true;
            }
            above = one.parent;
        }
        false
    }
}

/// Takes down what the parser makes. A place in the list of elements is a node's handle.
#[derive(Debug, Default)]
struct Sink {
    parsed: RefCell<Parsed>,
    names: RefCell<Vec<QualName>>,
}

/// A name of its own, so that no list stays borrowed.
#[derive(Debug)]
struct Name(QualName);

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl Sink {
    fn add(&self, name: QualName, attributes: Vec<Attribute>) -> usize {
        let attributes = attributes.into_iter().map(|one| (one.name.local.to_string(), one.value.to_string()));
        let element = Element { name: name.local.to_string(), attributes: attributes.collect(), ..Element::default() };
        self.names.borrow_mut().push(name);
        let mut parsed = self.parsed.borrow_mut();
        parsed.elements.push(element);
        parsed.elements.len() - 1
    }

    fn nothing(&self) -> usize {
        self.add(QualName::new(None, Namespace::default(), LocalName::default()), Vec::new())
    }

    fn put(&self, parent: usize, child: NodeOrText<usize>) {
        let elements = &mut self.parsed.borrow_mut().elements;
        match child {
            NodeOrText::AppendNode(child) => elements[child].parent = Some(parent),
            NodeOrText::AppendText(text) => elements[parent].text.push_str(&text),
        }
    }
}

impl TreeSink for Sink {
    type Handle = usize;
    type Output = Parsed;
    type ElemName<'a> = Name;

    fn finish(self) -> Parsed {
        self.parsed.into_inner()
    }

    fn parse_error(&self, message: Cow<'static, str>) {
        self.parsed.borrow_mut().errors.push(message.into_owned());
    }

    fn get_document(&self) -> usize {
        0
    }

    fn elem_name(&self, target: &usize) -> Name {
        Name(self.names.borrow()[*target].clone())
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> usize {
        self.add(name, attributes)
    }

    fn create_comment(&self, _: StrTendril) -> usize {
        self.nothing()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> usize {
        self.nothing()
    }

    fn append(&self, parent: &usize, child: NodeOrText<usize>) {
        self.put(*parent, child);
    }

    fn append_based_on_parent_node(&self, element: &usize, _: &usize, child: NodeOrText<usize>) {
        self.put(*element, child);
    }

    fn append_doctype_to_document(&self, name: StrTendril, _: StrTendril, _: StrTendril) {
        self.parsed.borrow_mut().doctype = Some(name.to_string());
    }

    fn get_template_contents(&self, target: &usize) -> usize {
        *target
    }

    fn same_node(&self, one: &usize, other: &usize) -> bool {
        one == other
    }

    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.parsed.borrow_mut().is_quirky = mode != QuirksMode::NoQuirks;
    }

    fn append_before_sibling(&self, sibling: &usize, child: NodeOrText<usize>) {
        let parent = self.parsed.borrow().elements[*sibling].parent.unwrap_or_default();
        self.put(parent, child);
    }

    fn add_attrs_if_missing(&self, _: &usize, _: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &usize) {
        self.parsed.borrow_mut().elements[*target].parent = None;
    }

    fn reparent_children(&self, node: &usize, to: &usize) {
        for element in &mut self.parsed.borrow_mut().elements {
            if element.parent == Some(*node) {
                element.parent = Some(*to);
            }
        }
    }
}
