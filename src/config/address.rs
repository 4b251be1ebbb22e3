//! Addresses as written: `HOST:PORT`, with or without `PLAINTEXT://`; an empty host or `*` is every interface.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::setting::{ConfigError, list};

fn invalid(key: &str, value: &str, expected: &str) -> ConfigError {
    ConfigError::Invalid { key: key.to_owned(), value: value.to_owned(), expected: expected.to_owned() }
}

/// Host and port of the one listener in `value`.
pub(super) fn host_port(key: &str, value: &str) -> Result<(String, u16), ConfigError> {
    let address = match value.split_once("://") {
        Some((protocol, _)) if !protocol.eq_ignore_ascii_case("PLAINTEXT") => {
            return Err(invalid(key, value, "PLAINTEXT://HOST:PORT: this version has no other listener"));
        }
        Some((_, address)) => address,
        None => value,
    };
    let expected = "HOST:PORT (one), as 0.0.0.0:9092 or [::]:9092";
    let (host, port) = address.rsplit_once(':').ok_or_else(|| invalid(key, value, expected))?;
    let port = port.parse().map_err(|_| invalid(key, value, expected))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.contains([',', '/', ' ']) {
        return Err(invalid(key, value, expected));
    }
    Ok((host.to_owned(), port))
}

/// Reads what clients are told: a host, which may be an IPv6 address, and a port if one is written with it.
pub(super) fn advertised(key: &str, value: &str) -> Result<(String, Option<u16>), ConfigError> {
    let expected = "a host name or address, or HOST:PORT";
    let bare = value.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(value);
    if bare.parse::<Ipv6Addr>().is_ok() || !value.contains(':') {
        let is_name = !bare.is_empty() && !bare.contains([',', '/', ' ', '[', ']']);
        return if is_name { Ok((bare.to_owned(), None)) } else { Err(invalid(key, value, expected)) };
    }
    match host_port(key, value) {
        Ok((host, port)) if !host.is_empty() && !value.contains("://") && port > 0 => {
            let is_host = !host.contains(':') || host.parse::<Ipv6Addr>().is_ok();
            if is_host { Ok((host, Some(port))) } else { Err(invalid(key, value, expected)) }
        }
        _ => Err(invalid(key, value, expected)),
    }
}

/// The address to listen on; names are looked up.
pub(super) fn socket(key: &str, value: &str) -> Result<SocketAddr, ConfigError> {
    let (host, port) = host_port(key, value)?;
    let host = if matches!(host.as_str(), "" | "*") { "0.0.0.0" } else { &host };
    let found = (host, port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| invalid(key, value, "HOST:PORT with a host name or address this machine knows"))
}

/// Limits for single addresses: ADDRESS:NUMBER, separated by commas.
pub(super) fn limits(key: &str, value: &str) -> Result<BTreeMap<IpAddr, u32>, ConfigError> {
    let limit = |written: &str| {
        let (address, number) = written.rsplit_once(':')?;
        let address = address.trim().trim_start_matches('[').trim_end_matches(']');
        Some((address.parse().ok()?, number.trim().parse().ok()?))
    };
    let limits: Option<_> = list(value).map(limit).collect();
    limits.ok_or_else(|| invalid(key, value, "ADDRESS:NUMBER pairs, as 10.0.0.1:20,[::1]:5"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_are_told_is_a_host_with_or_without_a_port() {
        let check = |value: &str, expected: Option<(&str, Option<u16>)>| {
            let told = advertised("ringmain.advertise.host", value).ok();
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(told, expected, "{value}");
        };
        check("broker.example", Some(("broker.example", None)));
        check("broker.example:19092", Some(("broker.example", Some(19092))));
        check("10.0.0.7:1", Some(("10.0.0.7", Some(1))));
        check("::1", Some(("::1", None)));
        check("[::1]", Some(("::1", None)));
        check("[::1]:9092", Some(("::1", Some(9092))));
        for bad in [
            "",
            ":9092",
            "a:",
            "a:b",
            "a:0",
            "a:70000",
            "a:1:2",
            "PLAINTEXT://a:1",
            "http://a",
            "a:1,b:2",
            "a b",
            "[a",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn listeners_are_read_in_every_form() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(
                socket("listeners", value).ok().map(|addr| addr.to_string()).as_deref(),
                expected,
                "{value}"
            );
        };
        check("127.0.0.1:9092", Some("127.0.0.1:9092"));
        check("PLAINTEXT://:9092", Some("0.0.0.0:9092"));
        check("*:0", Some("0.0.0.0:0"));
        check("[::1]:9092", Some("[::1]:9092"));
        check("9092", None);
        check("a:b", None);
        check("127.0.0.1:70000", None);
        check("PLAINTEXT://a:1,PLAINTEXT://b:2", None);
        check("SASL_SSL://:9092", None);
    }

    #[test]
    fn limits_are_for_addresses_of_both_families() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let wanted = BTreeMap::from([(address("10.0.0.1"), 20), (address("::1"), 5)]);
        assert_eq!(limits("k", " 10.0.0.1:20, [::1]:5"), Ok(wanted));
        assert_eq!(limits("k", ""), Ok(BTreeMap::new()));
        for refused in ["10.0.0.1", "10.0.0.1:-1", "name:5", "10.0.0.1:many"] {
            assert!(limits("k", refused).is_err(), "{refused}");
        }
    }
}
