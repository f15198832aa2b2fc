//! The machine's network, before anything of the workload runs: what it may not reach, and then the way out.

use std::net::IpAddr;

use rtnetlink::packet_route::route::{RouteScope, RouteType};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
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
    let added = handle.route().add(route).execute().await;
    added.map_err(|source| GuestError::Network { doing: "what is denied", source })
}

/// What goes there is refused by the machine's own kernel.
async fn deny(handle: &Handle, address: IpAddr, length: u8) -> Result<(), GuestError> {
    let wrong = |_error| GuestError::Setup("an address that is denied");
    let route = RouteMessageBuilder::<IpAddr>::new().destination_prefix(address, length).map_err(wrong)?;
    let route = route.kind(RouteType::BlackHole).build();
    match handle.route().add(route).execute().await {
        Ok(()) => Ok(()),
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
    use super::*;

    #[test]
    fn an_address_has_a_length_that_it_can_have() {
        assert_eq!(cidr("10.0.2.15/24"), Some(([10, 0, 2, 15].into(), 24)));
        assert!(cidr("fe80::/10").is_some());
        for text in ["10.0.2.15", "10.0.2.15/33", "::/129", "a/8", "10.0.2.15/-1", ""] {
            assert_eq!(cidr(text), None, "{text}");
        }
    }
}
