//! Every page is valid: [`assert_valid`] for whoever has one, and each kind of page of a server here.

mod pages;
mod parsed;

use std::collections::BTreeSet;

use parsed::{Element, Parsed};

/// Attributes whose value is an address.
const ADDRESSES: [&str; 6] = ["href", "src", "action", "formaction", "poster", "data"];
/// Attributes whose value names other elements by their ids.
const IDS: [&str; 7] =
    ["for", "form", "list", "aria-labelledby", "aria-describedby", "aria-controls", "aria-activedescendant"];
/// What is named by a word that is no element's.
const WITHOUT_NAME: [&str; 2] = ["hidden", "submit"];

/// That a page is valid, and does nothing that its policy forbids.
pub(crate) fn assert_valid(page: &str) {
    let wrong = wrong_with(page);
    assert!(wrong.is_empty(), "the page is not valid: {wrong:#?}\n{page}");
}

/// What is wrong with a page, one sentence each.
fn wrong_with(page: &str) -> Vec<String> {
    let read = [Parsed::of(page, false), Parsed::of(page, true)];
    let mut wrong: Vec<String> = read.iter().flat_map(|parsed| parsed.errors.clone()).collect();
    for parsed in &read {
        wrong.extend(structure(parsed));
        wrong.extend(ids(parsed));
        wrong.extend(parsed.elements.iter().flat_map(policy));
        wrong.extend(controls(parsed));
    }
    wrong.dedup();
    wrong
}

fn structure(page: &Parsed) -> Vec<String> {
    let mut wrong = Vec::new();
    if page.doctype.as_deref() != Some("html") || page.is_quirky {
        wrong.push("it has not the one doctype".to_owned());
    }
    for name in ["html", "head", "title", "body", "main", "h1"] {
        let count = page.named(name).filter(|element| !page.is_within(element, "svg")).count();
        if count != 1 {
            wrong.push(format!("it has {count} elements {name}"));
        }
    }
    if page.named("html").any(|html| html.attribute("lang").is_none_or(str::is_empty)) {
        wrong.push("its language is not said".to_owned());
    }
    if page.named("title").any(|title| title.text.trim().is_empty()) {
        wrong.push("its title is empty".to_owned());
    }
    let has_charset = page.named("meta").any(|meta| meta.attribute("charset") == Some("utf-8"));
    if !has_charset {
        wrong.push("its charset is not said".to_owned());
    }
    let levels = page.elements.iter().filter_map(|element| match element.name.as_str() {
        "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => element.name[1..].parse::<u8>().ok(),
        _ => None,
    });
    levels.fold(0, |before, level| {
        if level > before + 1 {
            wrong.push(format!("a heading of level {level} follows one of level {before}"));
        }
        level
    });
    wrong
}

fn ids(page: &Parsed) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for id in page.elements.iter().filter_map(|element| element.attribute("id")) {
        if id.is_empty() || id.contains(char::is_whitespace) {
            wrong.push(format!("{id:?} is no id"));
        }
        if !known.insert(id) {
            wrong.push(format!("id {id:?} is there twice"));
        }
    }
    for element in &page.elements {
        let named = IDS.iter().filter_map(|attribute| Some((attribute, element.attribute(attribute)?)));
        for (attribute, names) in named {
            if let Some(missing) = names.split_whitespace().find(|name| !known.contains(name)) {
                wrong.push(format!("{attribute} of {} names {missing:?}, which is not there", element.name));
            }
        }
        let here = element.attribute("href").and_then(|href| href.strip_prefix('#'));
        if let Some(missing) = here.filter(|id| !id.is_empty() && !known.contains(id)) {
            wrong.push(format!("a link goes to #{missing}, which is not there"));
        }
    }
    wrong
}

/// What the policy of all pages forbids, and what is not for a page of ours.
fn policy(element: &Element) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = &element.name;
    if ["style", "iframe", "object", "embed", "base", "frame", "applet"].contains(&name.as_str()) {
        wrong.push(format!("there is an element {name}"));
    }
    if name == "script" && (element.attribute("src").is_none() || !element.text.trim().is_empty()) {
        wrong.push(format!("a script stands in the page: {:?}", element.text));
    }
    for (attribute, value) in &element.attributes {
        if attribute == "style" || attribute.starts_with("on") {
            wrong.push(format!("{name} has {attribute}={value:?}"));
        }
        if ADDRESSES.contains(&attribute.as_str()) && !is_expected(element, value) {
            wrong.push(format!("{attribute} of {name} goes to {value:?}"));
        }
    }
    wrong
}

/// A path of ours; from a link also the forge's and Nomad's pages.
fn is_expected(element: &Element, address: &str) -> bool {
    let is_ours = address.starts_with(['/', '?', '#']) && !address.starts_with("//");
    let is_link = element.name == "a" && (address.starts_with("http://") || address.starts_with("https://"));
    is_ours || is_link
}

/// Whoever does not see a control must be told what it is.
fn controls(page: &Parsed) -> Vec<String> {
    let controls = ["input", "select", "textarea"].into_iter().flat_map(|name| page.named(name));
    let nameless = controls.filter(|control| {
        let kind = control.attribute("type").unwrap_or("text");
        let by_itself = ["aria-label", "aria-labelledby", "title"].iter().any(|name| control.attribute(name).is_some());
        let labelled = || {
            let id = control.attribute("id");
            id.is_some() && page.named("label").any(|label| label.attribute("for") == id)
        };
        !WITHOUT_NAME.contains(&kind) && !by_itself && !labelled() && !page.is_within(control, "label")
    });
    let images = page.named("img").filter(|image| image.attribute("alt").is_none());
    nameless.chain(images).map(|element| format!("{} {:?} has no name", element.name, element.attributes)).collect()
}

/// A page of which only the body is interesting.
fn around(body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>A page</title>\n</head>\n\
         <body>\n<main>\n<h1>A page</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
}

#[test]
fn a_page_without_a_fault_is_valid() {
    assert_valid(&around(
        "<h2 id=\"a\">More</h2><p>1 &lt; 2 <a href=\"/builds\">builds</a> <a href=\"#a\">up</a>\
         <a href=\"https://git.example/x\">forge</a></p>\
         <form method=\"get\"><label for=\"b\">Branch</label><input id=\"b\" name=\"branch\"><button>Show</button></form>\
         <noscript><p>Without scripts.</p></noscript><svg aria-hidden=\"true\"><title>x</title></svg>",
    ));
}

#[test]
fn each_fault_of_a_page_is_found() {
    for (fault, word) in [
        ("<p><div></div></p>", "p"),
        ("<b><i></b></i>", ""),
        ("<span", ""),
        ("<p id=a></p><p id=a></p>", "twice"),
        ("<a href=\"//evil.example\">x</a>", "evil"),
        ("<a href=\"javascript:alert(1)\">x</a>", "javascript"),
        ("<img src=\"http://evil.example/x.png\" alt=\"\">", "evil"),
        ("<img src=\"/x.png\">", "has no name"),
        ("<p style=\"color:red\">x</p>", "style"),
        ("<p onclick=\"x()\">x</p>", "onclick"),
        ("<script>x()</script>", "script"),
        ("<noscript><style>x</style></noscript>", "style"),
        ("<input name=\"branch\">", "has no name"),
        ("<p aria-labelledby=\"none\">x</p>", "none"),
        ("<a href=\"#none\">x</a>", "none"),
        ("<h3>x</h3>", "level 3"),
        ("<h1>x</h1>", "2 elements h1"),
    ] {
        let wrong = wrong_with(&around(fault));
        assert!(wrong.iter().any(|one| one.contains(word)), "{fault}: {wrong:?}");
    }
    assert!(!wrong_with(&around("").replace("<!doctype html>", "")).is_empty());
    assert!(!wrong_with(&around("").replace(" lang=\"en\"", "")).is_empty());
}
