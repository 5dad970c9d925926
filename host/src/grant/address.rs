//! Which addresses may be dialled. A name that was granted may lead anywhere, so what it leads to is
//! judged by itself.

use super::target::{HostPattern, embedded};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is, by the special-purpose registries of IANA (RFC 6890 and its updates).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressClass {
    /// Of the internet.
    Public,
    /// Of this machine or its network: loopback, private, shared and unique local ranges.
    Private,
    /// Only of this link, or one that clouds answer on with credentials.
    Local,
    /// No single machine's: unspecified, multicast, broadcast, reserved or for documentation.
    Never,
}

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It is of this machine or its network.
    #[error("`{0}` is a private address, and the grant does not say `private = true`")]
    Private(IpAddr),
    /// It is of the link, or gives out credentials.
    #[error(
        "`{0}` is a link-local or metadata address, which only a grant for just this address opens"
    )]
    Local(IpAddr),
    /// It is no machine's.
    #[error("`{0}` is no address of a machine")]
    Never(IpAddr),
}

/// What an address is. One that stands for an IPv4 address (mapped, translated, tunnelled) is what
/// that one is, and never better than private: such ways around are not how servers are reached.
pub fn address_class(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => class4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => class4(inner).max(AddressClass::Private),
            None => class6(address),
        },
    }
}

fn class4(address: Ipv4Addr) -> AddressClass {
    use AddressClass::{Local, Never, Private, Public};
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (169, 254, _) => Local,
        // Alibaba's metadata stands in the shared range, Oracle's and others' in 192.0.0.0/24.
        (100, 100, 100) if address == Ipv4Addr::new(100, 100, 100, 200) => Local,
        (192, 0, 0) => Local,
        (127 | 10, ..) | (192, 168, _) => Private,
        (172, 16..=31, _) | (100, 64..=127, _) | (198, 18..=19, _) => Private,
        (0, ..) | (224.., ..) => Never,
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99) => Never,
        _ => Public,
    }
}

fn class6(address: Ipv6Addr) -> AddressClass {
    use AddressClass::{Local, Never, Private, Public};
    // Amazon's metadata over IPv6.
    if address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) {
        return Local;
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Private,
        [0xfe80..=0xfeff, ..] => Local,
        // NAT64 of a network's own (RFC 8215): which IPv4 address is meant depends on its settings.
        [0x64, 0xff9b, 1, ..] => Local,
        [0xfc00..=0xfdff, ..] => Private,
        // documentation, benchmarking and other assignments of the IETF, the discard prefix
        [0x2001, 0xdb8, ..] | [0x2001, 0..=0x1ff, ..] | [0x3fff, 0..=0xfff, ..] => Never,
        // global unicast; all else is not given out
        [0x2000..=0x3fff, ..] => Public,
        _ => Never,
    }
}

/// Whether a grant for `pattern`, that opens private addresses or not, lets this address be dialled.
///
/// # Errors
/// When it does not.
pub fn admit_address(
    address: IpAddr,
    pattern: &HostPattern,
    private: bool,
) -> Result<(), BadAddress> {
    match address_class(address) {
        AddressClass::Public => Ok(()),
        AddressClass::Private if private || pattern.names(address) => Ok(()),
        AddressClass::Private => Err(BadAddress::Private(address)),
        AddressClass::Local if pattern.names(address) => Ok(()),
        AddressClass::Local => Err(BadAddress::Local(address)),
        AddressClass::Never => Err(BadAddress::Never(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressClass::*, *};

    #[test]
    fn addresses_by_their_kind() {
        let all = [
            ("93.184.216.34", Public),
            ("2606:2800:220:1::1", Public),
            ("127.0.0.1", Private),
            ("10.1.2.3", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("192.168.0.1", Private),
            ("100.64.0.1", Private),
            ("100.100.100.200", Local),
            ("169.254.169.254", Local),
            ("192.0.0.192", Local),
            ("0.0.0.0", Never),
            ("255.255.255.255", Never),
            ("224.0.0.1", Never),
            ("203.0.113.7", Never),
            ("::1", Private),
            ("::", Never),
            ("fe80::1", Local),
            ("fd00:ec2::254", Local),
            ("fd12::1", Private),
            ("ff02::1", Never),
            ("2001:db8::1", Never),
            ("::ffff:127.0.0.1", Private),
            ("::ffff:169.254.169.254", Local),
            ("::ffff:93.184.216.34", Private),
            ("64:ff9b::a9fe:a9fe", Local),
            ("64:ff9b:1::7f00:1", Local),
            ("64:ff9b:1:a9fe:a9:fe00::", Local),
            ("2606:4700::5efe:7f00:1", Private),
            ("2606:4700::200:5efe:a9fe:a9fe", Local),
            ("2002:7f00:1::", Private),
            ("2001:0:4136:e378:8000:63bf:5601:5601", Local),
            ("::127.0.0.1", Private),
        ];
        for (text, class) in all {
            let address: IpAddr = text.parse().expect(text);
            assert_eq!(address_class(address), class, "{text}");
        }
    }

    #[test]
    fn a_grant_for_just_an_address_opens_it() {
        let metadata: IpAddr = "169.254.169.254".parse().expect("an address");
        let named = "169.254.169.254".parse().expect("a pattern");
        let other = "metadata.internal".parse().expect("a pattern");
        assert_eq!(admit_address(metadata, &named, false), Ok(()));
        assert_eq!(
            admit_address(metadata, &other, true),
            Err(BadAddress::Local(metadata))
        );
        let loopback: IpAddr = "::1".parse().expect("an address");
        assert_eq!(admit_address(loopback, &other, true), Ok(()));
        assert!(admit_address(loopback, &other, false).is_err());
    }
}
