//! A private build's page is for who may see it, and its key goes nowhere else.

use super::{ask, page, page_for};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::world::{READER, World};

#[tokio::test]
async fn a_key_opens_one_page_and_stays_with_its_links() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let build = world.build_by(&serve, &Delivery::push("main", &commit(1), &commit(2)).private()).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let address = format!("/builds/{build}");
    let hidden = page(&serve, &address).await;
    assert!(hidden.status == 404 && !hidden.text.contains("quentin"), "{}", hidden.text);
    assert!(!page(&serve, "/builds").await.text.contains(&build));

    let link = world.final_status(&commit(2)).target_url;
    let path = link.strip_prefix("https://ci.example").unwrap();
    let key = path.split_once("key=").unwrap().1;
    let opened = page(&serve, path).await;
    assert_eq!(opened.status, 200);
    let links = opened.text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    for link in links.filter(|link| !link.starts_with("/signin")) {
        let is_ours = link.starts_with(&address);
        assert_eq!(link.contains(key), is_ours, "{link}");
    }
    assert!(opened.text.contains(&format!("{address}/log?key={key}")), "{}", opened.text);

    let read = page_for(&serve, &address, Some(READER)).await;
    assert!(read.status == 200 && !read.text.contains("key="), "{}", read.text);
    assert!(page_for(&serve, "/builds", Some(READER)).await.text.contains(&build));
    assert_eq!(ask(&serve, &format!("{address}?key=x"), "text/html", None).await.status, 404);
}
