//! Debian's chromium and its driver: one driver for all stories, a browser with a profile of its own for each.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::common::command::{Command, ExtensionCommand};
use thirtyfour::error::WebDriverResult;
use thirtyfour::{By, Capabilities, Key, WebDriver, WebElement};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::minded::{Minded, Room, free_ports, may_run};
use crate::story::until;

/// The browser, and what drives it.
const PROGRAMS: [&str; 2] = ["chromium", "chromedriver"];
/// Longer than a busy machine takes to start a browser.
const PATIENCE: Duration = Duration::from_secs(150);
/// Browsers at the same time: more of them only wait for each other.
const TOGETHER: usize = 2;

/// The driver and its browsers as one group, which ends as one: a driver that is ended leaves its browsers.
const GROUP: &str = r#"setsid chromedriver --port="$0" & driver=$!
trap 'kill -KILL "-$driver"' TERM
wait"#;

/// What a browser is started with: nothing asks for anything by itself, and no name is looked up anywhere.
const FLAGS: [&str; 14] = [
    "--headless=new",
    // The tests run as root where they need to, which chromium's own sandbox refuses.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--disable-extensions",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/// How a browser is set up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Scripts of pages are not run.
    pub(crate) without_scripts: bool,
    /// What is asked for is not written down: of a large log that would be all of it.
    pub(crate) unwatched: bool,
}

/// A running browser. It ends with this, or with the process.
#[derive(Debug)]
pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    server: &'static str,
    how: How,
    _place: SemaphorePermit<'static>,
}

/// The driver, on a port of its own.
#[derive(Debug)]
struct Driver {
    minded: Minded,
    url: String,
}

static DRIVER: OnceCell<Driver> = OnceCell::const_new();
static PLACES: Semaphore = Semaphore::const_new(TOGETHER);

/// Whether there is a browser; where not, that is said.
pub(crate) fn is_there(story: &str) -> bool {
    may_run(story, &PROGRAMS)
}

impl Driver {
    async fn start() -> Self {
        let [port] = free_ports();
        let room = Room::new("chromedriver");
        let minded = Minded::start(room, &["sh", "-c", GROUP, &port.to_string()].map(str::to_owned));
        let url = format!("http://127.0.0.1:{port}");
        until("chromedriver to be ready", || async {
            let answer = client().get(format!("{url}/status")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Self { minded, url }
    }
}

impl Browser {
    /// Starts one.
    pub(crate) async fn open(how: How) -> Self {
        let place = PLACES.acquire().await.unwrap();
        let driver = DRIVER.get_or_init(Driver::start).await;
        let builder = WebDriver::builder(&driver.url, capabilities(how)).client(client()).request_timeout(PATIENCE);
        let browser = builder.await.unwrap_or_else(|error| {
            panic!("no browser could be started: {error}\n{}", driver.minded.last_words());
        });
        browser.set_page_load_timeout(PATIENCE).await.unwrap();
        browser.set_script_timeout(PATIENCE).await.unwrap();
        Self { driver: browser, server: &driver.url, how, _place: place }
    }

    /// Ends it. One that is only dropped, by a test that fails, ends as well.
    pub(crate) async fn close(self) {
        self.driver.clone().quit().await.unwrap();
    }

    /// Opens a page.
    pub(crate) async fn goto(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// What a function's body gives; it may be given arguments.
    pub(crate) async fn run(&self, body: &str, arguments: &[Value]) -> Value {
        let told = self.driver.execute(body, arguments.to_vec()).await;
        told.unwrap_or_else(|error| panic!("{body}: {error}")).json().clone()
    }

    /// What an expression is.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.run(&format!("return ({expression})"), &[]).await
    }

    /// What an expression is, as text.
    pub(crate) async fn text(&self, expression: &str) -> String {
        match self.value(expression).await {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// The page's text as it is shown.
    pub(crate) async fn shown(&self) -> String {
        self.text("document.body.innerText").await
    }

    /// Waits until an expression is true. It may be asked while the page is replaced by another one.
    pub(crate) async fn until(&self, expression: &str) {
        let body = format!("return Boolean({expression})");
        let is_so = || async {
            let told = self.driver.execute(body.as_str(), Vec::new()).await.ok()?;
            told.json().as_bool().unwrap_or(false).then_some(())
        };
        let waited = tokio::time::timeout(PATIENCE, until(expression, is_so)).await;
        if waited.is_err() {
            panic!("{expression} never became true on {}:\n{}", self.text("location.href").await, self.shown().await);
        }
    }

    /// Waits until the page shows this text.
    pub(crate) async fn until_shown(&self, words: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(words))).await;
    }

    /// Presses the first of these elements with the mouse.
    pub(crate) async fn click(&self, selector: &str) {
        self.with(selector, async |element| element.click().await).await;
    }

    /// Writes into the first of these elements.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        self.with(selector, async |element| element.send_keys(text).await).await;
    }

    /// Does something to an element that is there or comes. The page may just be replacing it: then it is done again.
    async fn with(&self, selector: &str, act: impl AsyncFn(WebElement) -> WebDriverResult<()>) {
        let done = async || -> WebDriverResult<()> { act(self.driver.find(By::Css(selector)).await?).await };
        until(&format!("{selector} to be used"), async || done().await.ok()).await;
    }

    /// Presses the tabulator.
    pub(crate) async fn tab(&self) {
        self.press(Key::Tab).await;
    }

    /// Presses the enter key.
    pub(crate) async fn enter(&self) {
        self.press(Key::Enter).await;
    }

    async fn press(&self, key: Key) {
        let chain = self.driver.action_chain_with_delay(None, None);
        chain.key_down(key.value()).key_up(key.value()).perform().await.unwrap();
    }

    /// A command of the browser's own protocol.
    pub(crate) async fn protocol(&self, command: &str, parameters: Value) -> Value {
        let command = Protocol { command: command.to_owned(), parameters };
        let told = self.driver.cmd(Command::ExtensionCommand(Box::new(command))).await;
        told.unwrap().value_json().unwrap()
    }

    /// The window as a phone's, or as a desk's; light or dark.
    pub(crate) async fn shape(&self, (width, height): (u32, u32), is_dark: bool) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.protocol("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let media = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.protocol("Emulation.setEmulatedMedia", media).await;
    }

    /// Asserts that nothing but these origins was asked for, and that the pages caused no complaint, since the last call.
    pub(crate) async fn assert_quiet(&self, origins: &[&str]) {
        let said = self.complaints().await;
        assert!(said.is_empty(), "the browser complained: {said:#?}");
        let asked = self.asked().await;
        let is_ours = |url: &String| {
            let within = |origin: &&str| url.strip_prefix(*origin).is_some_and(|rest| rest.starts_with(['/', '?']));
            origins.iter().any(within) || ["about:", "data:"].iter().any(|own| url.starts_with(own))
        };
        let foreign: Vec<_> = asked.iter().filter(|url| !is_ours(url)).collect();
        assert!(foreign.is_empty(), "others than {origins:?} were asked: {foreign:#?}");
        assert!(self.how.unwatched || !asked.is_empty(), "nothing was written down of what was asked for");
    }

    /// What stands in the console since the last call: errors of scripts, what the pages' policy forbids, what is missing.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.driver.browser_log().await.unwrap();
        let is_bad = |level: &str| !["DEBUG", "INFO", "FINE"].contains(&level);
        entries.into_iter().filter(|entry| is_bad(&entry.level)).map(|entry| entry.message).collect()
    }

    /// The addresses that were asked for since the last call.
    async fn asked(&self) -> Vec<String> {
        if self.how.unwatched {
            return Vec::new();
        }
        let entries = self.driver.get_log("performance").await.unwrap();
        let events = entries.into_iter().filter_map(|entry| serde_json::from_str::<Value>(&entry.message).ok());
        let urls = events.filter_map(|event| {
            let message = &event["message"];
            let is_request = ["Network.requestWillBeSent", "Network.webSocketCreated"].iter();
            is_request.clone().any(|method| message["method"] == **method).then(|| {
                let parameters = &message["params"];
                parameters["request"]["url"].as_str().or(parameters["url"].as_str()).unwrap_or_default().to_owned()
            })
        });
        urls.collect()
    }

    /// What is seen, as a picture.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.driver.screenshot_as_png().await.unwrap()
    }
}

impl Drop for Browser {
    /// What a failing test leaves is ended at once, by hand: the driver's own clean-up would wait for a runtime that this
    /// one blocks.
    fn drop(&mut self) {
        if self.driver.clone().leak().is_err() {
            return;
        }
        let Some(address) = self.server.strip_prefix("http://") else { return };
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let ask = format!("DELETE /session/{} HTTP/1.0\r\nhost: {address}\r\n\r\n", self.driver.session_id());
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = stream.write_all(ask.as_bytes()).and_then(|()| stream.read(&mut [0; 64]));
    }
}

fn capabilities(how: How) -> Capabilities {
    let scripts = if how.without_scripts { 2 } else { 1 };
    let mut watched = json!({"browser": "ALL"});
    if !how.unwatched {
        watched["performance"] = "ALL".into();
    }
    let all = json!({
        "browserName": "chrome",
        "goog:loggingPrefs": watched,
        "goog:chromeOptions": {
            "binary": on_path("chromium"),
            "args": FLAGS,
            "prefs": {"profile.managed_default_content_settings.javascript": scripts},
        },
        // A dialog that a page opens stays open, and fails the next command.
        "unhandledPromptBehavior": "ignore",
    });
    serde_json::from_value(all).unwrap()
}

/// Where a program is. The driver would look for browsers of other makers first.
fn on_path(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap().to_str().unwrap().to_owned()
}

/// A client that is not kept from this machine by a proxy, and needs no certificates.
fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    builder.timeout(PATIENCE).build().unwrap()
}

/// A command of the DevTools protocol, sent on by the driver.
#[derive(Debug)]
struct Protocol {
    command: String,
    parameters: Value,
}

impl ExtensionCommand for Protocol {
    fn parameters_json(&self) -> Option<Value> {
        Some(json!({"cmd": self.command, "params": self.parameters}))
    }

    fn method(&self) -> axum::http::Method {
        axum::http::Method::POST
    }

    fn endpoint(&self) -> Arc<str> {
        "/goog/cdp/execute".into()
    }
}
