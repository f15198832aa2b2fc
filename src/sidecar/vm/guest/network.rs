//! The machine's network, before anything of the workload runs: what it may not reach, and then the way out.

use std::net::IpAddr;

use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use rustix::io::Errno;
use tokio_util::task::AbortOnDropHandle;

use super::error::{GuestError, doing};
use super::kernel::wait_for;
use crate::domain::vm::Network;

/// The kernel's own table of its addresses, which it asks first.
const LOCAL: u32 = 255;
/// Where the kernel lists its interfaces.
const INTERFACES: &str = "/sys/class/net";

/// A loopback, and the way out where there is one.
pub(super) async fn start(network: Option<&Network>) -> Result<(), GuestError> {
    let (connection, handle, _messages) = rtnetlink::new_connection().map_err(doing("asking the kernel's network"))?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    if let Some(lo) = index("lo") {
        up(&handle, lo).await?;
    }
    match network {
        Some(network) => outward(&handle, network).await,
        None => Ok(()),
    }
}

async fn outward(handle: &Handle, network: &Network) -> Result<(), GuestError> {
    // The engine's network has none, and what is denied below would have to be denied twice.
    for scope in ["all", "default"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    let card = wait_for("network interface", first_card).await?;
    let (address, length) = cidr(&network.address).ok_or(GuestError::Setup("the network's address"))?;
    let failed = |doing| move |source| GuestError::Network { doing, source };
    for denied in &network.deny {
        let (address, length) = cidr(denied).ok_or(GuestError::Setup("an address that is denied"))?;
        deny(handle, address, length).await?;
    }
    handle.address().add(card, address, length).execute().await.map_err(failed("its address"))?;
    up(handle, card).await?;
    let any: IpAddr = if network.gateway.is_ipv4() { [0, 0, 0, 0].into() } else { [0; 16].into() };
    let wrong = |_error| GuestError::Setup("the network's gateway");
    let route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(any, 0).map_err(wrong)?;
    // The gateway itself may be denied; it is still the next hop.
    let route = route.gateway(network.gateway).map_err(wrong)?.output_interface(card).onlink().build();
    handle.route().add(route).execute().await.map_err(failed("the way out"))?;
    // Only now: nobody's next hop can be an address of one's own.
    for denied in &network.deny {
        let (address, length) = cidr(denied).ok_or(GuestError::Setup("an address that is denied"))?;
        if address.is_ipv4() {
            keep_in(handle, (address, length), card).await?;
        }
    }
    Ok(())
}

/// What goes there is taken for the machine's own, and stays in it. A socket that is bound to the card passes by every
/// route that refuses, since the kernel takes what it has no route to for something on the wire; not by this one.
async fn keep_in(handle: &Handle, (address, length): (IpAddr, u8), card: u32) -> Result<(), GuestError> {
    let wrong = |_error| GuestError::Setup("an address that is denied");
    let route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(address, length).map_err(wrong)?;
    let route = route.kind(RouteType::Local).scope(RouteScope::Host).table_id(LOCAL).output_interface(card).build();
    match handle.route().add(route).execute().await {
        Ok(()) => Ok(()),
        Err(error) if is_there(&error) => Ok(()),
        Err(source) => Err(GuestError::Network { doing: "what is denied", source }),
    }
}

/// A network may be denied twice, or be the machine's own anyway.
fn is_there(error: &rtnetlink::Error) -> bool {
    match error {
        rtnetlink::Error::NetlinkError(told) => told.raw_code() == -Errno::EXIST.raw_os_error(),
        _ => false,
    }
}

/// What goes there is refused by the machine's own kernel.
async fn deny(handle: &Handle, address: IpAddr, length: u8) -> Result<(), GuestError> {
    let wrong = |_error| GuestError::Setup("an address that is denied");
    let route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(address, length).map_err(wrong)?;
    let route = route.kind(RouteType::BlackHole).build();
    match handle.route().add(route).execute().await {
        Ok(()) => Ok(()),
        Err(error) if is_there(&error) => Ok(()),
        // A kernel without IPv6 reaches nothing there.
        Err(_unknown) if address.is_ipv6() => Ok(()),
        Err(source) => Err(GuestError::Network { doing: "what is denied", source }),
    }
}

async fn up(handle: &Handle, card: u32) -> Result<(), GuestError> {
    let set = handle.link().set(LinkUnspec::new_with_index(card).up().build()).execute().await;
    set.map_err(|source| GuestError::Network { doing: "an interface", source })
}

fn first_card() -> Option<u32> {
    let entries = std::fs::read_dir(INTERFACES).ok()?;
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.iter().filter(|name| name.starts_with('e')).find_map(|name| index(name))
}

fn index(name: &str) -> Option<u32> {
    std::fs::read_to_string(format!("{INTERFACES}/{name}/ifindex")).ok()?.trim().parse().ok()
}

/// `10.0.2.15/24`
fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    /// Denies networks where nobody else's network is changed by that.
    async fn deny_all(networks: &[&str]) -> Result<(), GuestError> {
        let (connection, handle, _messages) = rtnetlink::new_connection().unwrap();
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let lo = index_of_lo(&handle).await;
        up(&handle, lo).await.unwrap();
        for denied in networks {
            let (address, length) = cidr(denied).unwrap();
            deny(&handle, address, length).await?;
        }
        for denied in networks {
            keep_in(&handle, cidr(denied).unwrap(), lo).await?;
        }
        Ok(())
    }

    /// Of a new network: it has no other interface, and /sys shows that of who has mounted it.
    async fn index_of_lo(handle: &Handle) -> u32 {
        use futures_util::TryStreamExt as _;
        let mut links = handle.link().get().match_name("lo".to_owned()).execute();
        links.try_next().await.unwrap().unwrap().header.index
    }

    #[test]
    fn a_network_that_is_denied_twice_or_is_the_machines_own_is_denied() {
        let denying = std::thread::spawn(|| {
            // Only root has a network of this thread's own; without one nothing is tried.
            if unshare(CloneFlags::CLONE_NEWNET).is_err() {
                return None;
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let networks = ["169.254.0.0/16", "10.0.0.0/8", "169.254.0.0/16", "127.0.0.0/8", "10.0.0.0/8"];
            Some(runtime.block_on(async { (deny_all(&networks).await, deny_all(&["10.0.0.1/8"]).await) }))
        });
        if let Some((denied, with_host_bits)) = denying.join().unwrap() {
            denied.unwrap();
            assert!(with_host_bits.is_err(), "what the kernel refuses is not taken for denied");
        }
    }

    #[test]
    fn an_address_has_a_length_that_it_can_have() {
        assert_eq!(cidr("10.0.2.15/24"), Some(([10, 0, 2, 15].into(), 24)));
        assert!(cidr("fe80::/10").is_some());
        for text in ["10.0.2.15", "10.0.2.15/33", "::/129", "a/8", "10.0.2.15/-1", ""] {
            assert_eq!(cidr(text), None, "{text}");
        }
    }
}
