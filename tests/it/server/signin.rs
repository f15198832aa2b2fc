//! Signing in with a browser: what the cookie opens, what it is, and when it ends.

use crate::fake::browser::{Browser, location, set_cookie};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::world::{ACTOR, READER, World, person};
use crate::html::assert_valid;

/// A private build under way.
async fn private(world: &World, serve: &crate::fake::serve::Serve) -> String {
    world.forge.push("quentin/albatros", "main", &commit(2));
    let build = world.build_by(serve, &Delivery::push("main", &commit(1), &commit(2)).private()).await;
    world.nomad.run(&build);
    format!("/builds/{build}")
}

#[tokio::test]
async fn who_has_signed_in_reads_what_is_private_at_any_replica() {
    let world = World::new().await;
    let (one, two) = (world.serve().await, world.serve().await);
    let page = private(&world, &one).await;
    let stranger = Browser::new(&one);
    assert_eq!(stranger.get(&page).await.status, 404);
    let form = stranger.get(&format!("/signin?back={page}")).await;
    assert_eq!(form.status, 200);
    assert_valid(&form.text);
    for words in ["type=\"password\"", "<label for=\"token\"", "autocomplete=\"current-password\"", &page] {
        assert!(form.text.contains(words), "{words}: {}", form.text);
    }

    for token in [READER, ACTOR] {
        let mut browser = Browser::new(&one);
        let reply = browser.sign_in(token, &page).await;
        assert_eq!(location(&reply), page);
        assert!(!browser.cookie.as_ref().unwrap().contains(token));
        assert_eq!(browser.get(&page).await.status, 200);
        assert_eq!(browser.at(&two).get(&page).await.status, 200, "no replica keeps anything");
        let list = browser.at(&two).get("/builds").await.text;
        assert!(list.contains(page.trim_start_matches("/builds/")), "{list}");
        let signed_in = browser.get("/signin").await.text;
        assert_valid(&signed_in);
        assert!(signed_in.contains("Sign out") && !signed_in.contains(token), "{signed_in}");
    }
    one.kill().await;
}

#[tokio::test]
async fn a_wrong_token_is_told_in_a_sentence_and_gives_nothing() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut browser = Browser::new(&serve);
    for token in ["guessed", "", READER.trim_end_matches('n'), "<script>alert(1)</script>"] {
        let reply = browser.sign_in(token, "/builds?state=running").await;
        assert_eq!((reply.status, set_cookie(&reply)), (401, None), "{token}: {}", reply.text);
        assert!(reply.text.contains("knows that token"), "{}", reply.text);
        assert_valid(&reply.text);
        assert!(reply.text.contains("/builds?state=running"), "it is tried again from there: {}", reply.text);
        assert!(!reply.text.contains("<script>alert"), "{}", reply.text);
    }
    serve.printed.wait("credential verdict=\"unauthorized\"").await;
    assert!(!world.printed().contains("guessed"));
    // Too large, no form, and in pieces.
    let large = "a".repeat(100_000);
    assert_eq!(browser.post("/signin", &[("token", &large)]).await.status, 413);
    let text = person(&serve, "POST", "/signin", None).await;
    assert_eq!((text.status, text.text.lines().count()), (401, 1), "{}", text.text);
}

#[tokio::test]
async fn the_cookie_goes_to_this_server_alone_and_to_no_script() {
    let world = World::new().await;
    for (url, name, path, secure) in [
        ("https://ci.example", "__Host-albatros=", "; Path=/;", true),
        ("https://ci.example/ci/", "__Secure-albatros=", "; Path=/ci;", true),
        ("http://ci.example", "albatros=", "; Path=/;", false),
    ] {
        world.set("ALBATROS_URL", url);
        let serve = world.serve().await;
        let mut browser = Browser::new(&serve);
        let reply = browser.sign_in(READER, "/builds").await;
        let cookie = set_cookie(&reply).unwrap();
        assert!(cookie.starts_with(name) && cookie.contains(path), "{cookie}");
        for part in ["; HttpOnly", "; SameSite=Lax", "; Max-Age=43"] {
            assert!(cookie.contains(part), "{part}: {cookie}");
        }
        assert_eq!(cookie.contains("; Secure"), secure, "{cookie}");
        assert!(!cookie.contains("Domain"), "{cookie}");
        let base = if url.ends_with("/ci/") { "/ci" } else { "" };
        assert_eq!(location(&reply), format!("{base}/builds"));
        let page = browser.get("/signin").await.text;
        assert!(page.contains(&format!("action=\"{base}/signout\"")), "{page}");
        assert_eq!(reply.headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn a_cookie_that_was_changed_or_is_over_opens_nothing() {
    let world = World::new().await;
    let serve = world.serve().await;
    let page = private(&world, &serve).await;
    let browser = Browser::signed_in(&serve, READER).await;
    let cookie = browser.cookie.clone().unwrap();
    let (name, value) = cookie.split_once('=').unwrap();
    let parts: Vec<&str> = value.split('.').collect();
    let [version, until, nonce, mark] = parts[..] else { panic!("{value}") };
    let later = (until.parse::<u64>().unwrap() + 1).to_string();
    let changed = [
        format!("{version}.{later}.{nonce}.{mark}"),
        format!("{version}.1.{nonce}.{mark}"),
        format!("v2.{until}.{nonce}.{mark}"),
        format!("{version}.{until}.{}.{mark}", "0".repeat(32)),
        format!("{version}.{until}.{nonce}.{}", "0".repeat(64)),
        format!("{version}.{until}.{nonce}"),
        format!("{version}.{until}.{nonce}."),
        value[..value.len() - 1].to_owned(),
        format!("{value}.{}", "0".repeat(63)),
        format!("\"{value}\""),
        READER.to_owned(),
        String::new(),
    ];
    for value in changed {
        let forged = browser.with_cookie(format!("{name}={value}"));
        assert_eq!(forged.get(&page).await.status, 404, "{value}");
    }
    for other in [format!("albatros={value}"), format!("x{name}={value}")] {
        let forged = browser.with_cookie(other.clone());
        assert_eq!(forged.get(&page).await.status, 404, "{other}");
    }
    // Among others, as browsers send them.
    let among = browser.with_cookie(format!("a=b; {cookie}; c=d"));
    assert_eq!(among.get(&page).await.status, 200);
    // However many there are.
    let flood = "a=b; ".repeat(2_000) + &cookie;
    let flooded = browser.with_cookie(flood);
    assert_ne!(flooded.get(&page).await.status, 200);
    assert_eq!(browser.get(&page).await.status, 200);
}

#[tokio::test]
async fn a_token_that_is_removed_ends_its_cookie_at_once() {
    let world = World::new().await;
    let serve = world.serve().await;
    let page = private(&world, &serve).await;
    let browser = Browser::signed_in(&serve, READER).await;
    assert_eq!(browser.get(&page).await.status, 200);
    let mut config = world.config();
    config["tokens"] = serde_json::json!({"read": ["another-one"], "act": [ACTOR]});
    world.put_config(&config);
    let other = world.serve().await;
    let browser = browser.at(&other);
    assert_eq!(browser.get(&page).await.status, 404);
    let header = browser.get("/signin").await.text;
    assert!(header.contains("Sign in</a>") && !header.contains("Sign out"), "{header}");
}

#[tokio::test]
async fn several_tokens_are_signed_in_together_and_signed_out_together() {
    let world = World::new().await;
    let mut config = world.config();
    let many: Vec<String> = (0..12).map(|n| format!("reader-number-{n}")).collect();
    config["tokens"]["read"] = many.clone().into();
    world.put_config(&config);
    let serve = world.serve().await;
    let page = private(&world, &serve).await;
    let mut browser = Browser::signed_in(&serve, &many[0]).await;
    let first = browser.cookie.clone().unwrap();
    let until = |cookie: &str| cookie.split('.').nth(1).unwrap().to_owned();
    for token in &many[1..] {
        assert_eq!(browser.sign_in(token, "/").await.status, 303);
    }
    let last = browser.cookie.clone().unwrap();
    assert_eq!(last.split('.').count() - 3, 8, "{last}");
    assert_eq!(until(&first), until(&last), "no token keeps another one's sign-in alive");
    let csrf = browser.csrf().await;
    let out = browser.post("/signout", &[("csrf", &csrf)]).await;
    assert_eq!(location(&out), "/builds");
    let cleared = set_cookie(&out).unwrap();
    assert!(cleared.starts_with("__Host-albatros=;") && cleared.contains("Max-Age=0"), "{cleared}");

    // The newest are kept.
    config["tokens"]["read"] = vec![many[4].clone()].into();
    world.put_config(&config);
    let other = world.serve().await;
    assert_eq!(browser.at(&other).get(&page).await.status, 200);
    config["tokens"]["read"] = vec![many[3].clone()].into();
    world.put_config(&config);
    let other = world.serve().await;
    assert_eq!(browser.at(&other).get(&page).await.status, 404, "the oldest had to go");
}

#[tokio::test]
async fn nobody_is_signed_in_or_out_by_another_site() {
    let world = World::new().await;
    let serve = world.serve().await;
    let browser = Browser::new(&serve);
    let form = [("token", READER), ("back", "/builds")];
    let own = serve.url.clone();
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "https://ci.example.evil.example")],
        vec![("origin", "http://ci.example")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
        vec![("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
        vec![("origin", own.as_str()), ("origin", "https://evil.example")],
    ] {
        for path in ["/signin", "/signout"] {
            let reply = browser.send("POST", path, &headers, Some(&form)).await;
            assert_eq!((reply.status, set_cookie(&reply)), (403, None), "{path} {headers:?}: {}", reply.text);
        }
    }
    // The address as it is known outside, and what says nothing, as programs do.
    for headers in [vec![("origin", "https://ci.example")], vec![("sec-fetch-site", "none")], vec![]] {
        let reply = browser.send("POST", "/signin", &headers, Some(&form)).await;
        assert_eq!(reply.status, 303, "{headers:?}: {}", reply.text);
    }
    assert_eq!(browser.get(&format!("/signin?token={READER}")).await.headers.get("set-cookie"), None);
}

#[tokio::test]
async fn signing_in_leads_to_no_other_server() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut browser = Browser::new(&serve);
    let hostile = [
        "//evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "https://evil.example",
        "/.//evil.example",
        "/%2e//evil.example",
        "javascript:alert(1)",
        "/\u{9}/evil.example",
        "/builds\r\nset-cookie: a=b",
        "evil.example",
    ];
    for back in hostile {
        let encoded: String = url::form_urlencoded::byte_serialize(back.as_bytes()).collect();
        let form = browser.get(&format!("/signin?back={encoded}")).await.text;
        assert!(form.contains("name=\"back\" value=\"/builds\""), "{back}: {form}");
        assert_eq!(location(&browser.sign_in(READER, back).await), "/builds", "{back}");
    }
    // Encoded once more it is a path of ours that is not there.
    assert_eq!(location(&browser.sign_in(READER, "/%2F%2Fevil.example").await), "/%2F%2Fevil.example");
}
