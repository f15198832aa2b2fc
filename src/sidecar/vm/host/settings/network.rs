//! The way out of a machine: what it reaches, and whom it asks for names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::VmSettingsError;
use super::told::Told;

/// What no machine reaches. Every address of the first one leads to this node's loopback, which has listeners that trust
/// whoever reaches them; behind the other one clouds keep credentials.
pub(in super::super) const ALWAYS_DENIED: [Subnet; 2] =
    [Subnet::v4([10, 0, 2, 0], 24), Subnet::v4([169, 254, 0, 0], 16)];

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Subnet {
    first: IpAddr,
    length: u8,
}

/// Not one that can be denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum SubnetError {
    #[error("expected networks such as 10.0.0.0/8, not {0:?}")]
    Shape(String),
    #[error("{0} is an address within {1}: name that network, or the address alone with its whole length")]
    Within(String, Subnet),
    #[error("{0} is every address: a machine that reaches nothing has --network none")]
    All(String),
}

impl Subnet {
    const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Self {
        Self { first: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), length }
    }

    /// Whether an address is one of these.
    pub(in super::super) fn contains(self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && first(address, self.length) == self.first
    }
}

/// The first address that begins with so many bits of this one.
fn first(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(u32::BITS.saturating_sub(length)).unwrap_or_default();
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(u128::BITS.saturating_sub(length)).unwrap_or_default();
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let wrong = || SubnetError::Shape(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_no_address| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length: u8 = length.parse().ok().filter(|length| *length <= most).ok_or_else(wrong)?;
        let it = Self { first: first(address, length), length };
        match () {
            () if length == 0 => Err(SubnetError::All(text.to_owned())),
            () if it.first != address => Err(SubnetError::Within(text.to_owned(), it)),
            () => Ok(it),
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

/// The way out of a machine, where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct UserNetwork {
    pub(in super::super) dns: Vec<IpAddr>,
    pub(in super::super) deny: Vec<Subnet>,
}

impl UserNetwork {
    /// Settles whom a machine asks: as it was told, or at those of the node that it reaches.
    pub(super) fn ask_at(
        &mut self,
        of_node: impl FnOnce(&dyn Fn(IpAddr) -> bool) -> Vec<IpAddr>,
    ) -> Result<(), VmSettingsError> {
        let wrong = |why: String| Err(VmSettingsError::Wrong("DNS", why));
        if let Some(server) = self.dns.iter().find(|server| server.is_ipv6()) {
            return wrong(format!("{server} is of IPv6, which machines do not have; name one of IPv4"));
        }
        if let Some(server) = self.dns.iter().find(|server| !self.reaches(**server)) {
            return wrong(format!(
                "{server} is not reached from a machine, or denied; name another one with --dns ADDRESS"
            ));
        }
        if self.dns.is_empty() {
            self.dns = of_node(&|server| self.reaches(server));
        }
        if self.dns.is_empty() {
            let why = "this node's own DNS servers cannot be reached from a machine; name one with --dns ADDRESS";
            return wrong(why.to_owned());
        }
        Ok(())
    }

    fn reaches(&self, address: IpAddr) -> bool {
        let denied = ALWAYS_DENIED.iter().chain(&self.deny).any(|denied| denied.contains(address));
        address.is_ipv4() && !address.is_loopback() && !address.is_unspecified() && !denied
    }
}

impl Told<'_> {
    pub(super) fn network(&self) -> Result<Option<UserNetwork>, VmSettingsError> {
        match self.word("NETWORK", &[("none", false), ("user", true)])? {
            Some(true) => Ok(Some(UserNetwork { dns: self.servers()?, deny: self.denied()? })),
            Some(false) | None => Ok(None),
        }
    }

    fn servers(&self) -> Result<Vec<IpAddr>, VmSettingsError> {
        let wrong = |text: &str| VmSettingsError::Wrong("DNS", format!("{text:?} is no address of a DNS server"));
        self.list("DNS")?.iter().map(|text| text.parse().map_err(|_no_address| wrong(text))).collect()
    }

    fn denied(&self) -> Result<Vec<Subnet>, VmSettingsError> {
        let wrong = |error: SubnetError| VmSettingsError::Wrong("DENY", error.to_string());
        self.list("DENY")?.iter().map(|text| text.parse().map_err(wrong)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_its_first_address_and_a_length() {
        for text in ["10.0.0.0/8", "192.168.7.0/24", "192.0.2.1/32", "0.0.0.0/1", "fc00::/7", "2001:db8::1/128"] {
            assert_eq!(text.parse::<Subnet>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "a/8", "10.0.0.0/-1", "10.0.0.0/", ""] {
            assert_eq!(text.parse::<Subnet>(), Err(SubnetError::Shape(text.to_owned())), "{text}");
        }
        for text in ["0.0.0.0/0", "::/0", "1.2.3.4/0"] {
            assert_eq!(text.parse::<Subnet>(), Err(SubnetError::All(text.to_owned())), "{text}");
        }
        let said = "10.0.0.1/8".parse::<Subnet>().unwrap_err().to_string();
        assert!(said.contains("within 10.0.0.0/8"), "{said}");
        assert!("fe80::1/10".parse::<Subnet>().is_err());
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        let net: Subnet = "192.168.0.0/16".parse().unwrap();
        assert!(net.contains([192, 168, 255, 1].into()) && !net.contains([192, 169, 0, 1].into()));
        assert!(!net.contains("::ffff:192.168.0.1".parse().unwrap()));
        let net: Subnet = "2001:db8::/32".parse().unwrap();
        assert!(net.contains("2001:db8:7::1".parse().unwrap()) && !net.contains([32, 1, 13, 184].into()));
    }
}
