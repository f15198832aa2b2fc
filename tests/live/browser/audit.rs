//! What every page owes to whoever reads it: contrast, names, order, and no sideways scroll; light and dark, desk and phone.

use serde_json::{Value, json};

use super::driver::Browser;

/// Width and height of a window on a desk.
pub(crate) const DESK: (u32, u32) = (1200, 900);
/// Of a phone.
pub(crate) const PHONE: (u32, u32) = (390, 844);

/// Roles that mean nothing to whoever hears them without a name.
const NAMED: [&str; 13] = [
    "button",
    "link",
    "textbox",
    "searchbox",
    "combobox",
    "listbox",
    "checkbox",
    "radio",
    "switch",
    "image",
    "img",
    "spinbutton",
    "DisclosureTriangle",
];

/// Asserts it of the page that is open, and leaves it light on a desk.
pub(crate) async fn assert_decent(browser: &Browser) {
    for (shape, is_dark) in [(PHONE, true), (PHONE, false), (DESK, true), (DESK, false)] {
        browser.shape(shape, is_dark).await;
        let wrong = browser.run(include_str!("audit.js"), &[]).await;
        let address = browser.text("location.pathname + location.search").await;
        let scheme = if is_dark { "dark" } else { "light" };
        assert_eq!(wrong, json!([]), "{address}, {scheme}, {} wide: {wrong:#}", shape.0);
    }
    let nameless = nameless(browser).await;
    assert!(nameless.is_empty(), "without a name: {nameless:#?}");
}

/// What a screen reader would have no word for.
async fn nameless(browser: &Browser) -> Vec<String> {
    let tree = browser.protocol("Accessibility.getFullAXTree", json!({})).await;
    let nodes = tree["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["role"]["value"] == "main"), "no main landmark is heard");
    let role = |node: &Value| node["role"]["value"].as_str().unwrap_or_default().to_owned();
    let is_nameless = |node: &&Value| {
        let name = node["name"]["value"].as_str().unwrap_or_default();
        node["ignored"] != true && NAMED.contains(&role(node).as_str()) && name.trim().is_empty()
    };
    nodes.iter().filter(is_nameless).map(|node| format!("{} {}", role(node), node["properties"])).collect()
}
