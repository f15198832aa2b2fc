//! The pages in a real browser, of a real `albatros dev`: what grows, what is shown, what cannot be done to whoever looks.
//!
//! Needs `chromium` and `chromedriver` on PATH (Debian: chromium, chromium-driver), and no server beside.

mod acts;
mod audit;
mod desk;
mod driver;
mod ended;
mod flood;
mod follow;
mod hostile;
mod keys;
mod lists;
mod pictures;
mod plain;
