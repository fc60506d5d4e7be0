//! A port as people type it: `5432`, `5432/TCP`, `53/UDP`, `http`, `dns/UDP`.

use std::fmt;
use std::str::FromStr;

use sidewall::net::Protocol;

/// Port and protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Port {
    /// The number or the name.
    pub(crate) port: NumberOrName,
    /// TCP, UDP or SCTP; TCP if it was not said.
    pub(crate) protocol: Protocol,
}

/// What stands before the slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum NumberOrName {
    /// 1 to 65535.
    Number(u16),
    /// The name of a container's port, or of a Service's.
    Name(String),
}

/// What was typed is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAPort {
    /// The protocol is none that a policy can name.
    #[error("{0:?} is no protocol of a port: TCP, UDP or SCTP")]
    Protocol(String),
    /// The number is none.
    #[error("{0} is no port: 1 to 65535")]
    Number(String),
    /// The name cannot be one (IANA service names, RFC 6335 §5.1, as Kubernetes checks them).
    #[error(
        "{0:?} is neither a port's number nor its name: at most 15 small letters, digits and single hyphens, \
         with a letter among them"
    )]
    Name(String),
}

impl FromStr for Port {
    type Err = NotAPort;

    fn from_str(text: &str) -> Result<Self, NotAPort> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
        let unknown = || NotAPort::Protocol(protocol.to_owned());
        let protocol = protocol.parse::<Protocol>().map_err(|_| unknown())?;
        if !protocol.has_ports() {
            return Err(unknown());
        }
        if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = port.parse().ok().filter(|&number: &u16| number > 0);
            let number = number.ok_or_else(|| NotAPort::Number(port.to_owned()))?;
            let port = NumberOrName::Number(number);
            return Ok(Self { port, protocol });
        }
        if !is_port_name(port) {
            return Err(NotAPort::Name(port.to_owned()));
        }
        let port = NumberOrName::Name(port.to_owned());
        Ok(Self { port, protocol })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            NumberOrName::Number(number) => write!(f, "{number}/{}", self.protocol),
            NumberOrName::Name(name) => write!(f, "{name}/{}", self.protocol),
        }
    }
}

fn is_port_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=15).contains(&name.len())
        && name.bytes().all(allowed)
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, NotAPort> {
        text.parse::<Port>().map(|port| port.to_string())
    }

    #[test]
    fn numbers_and_names_are_read_and_tcp_is_understood() {
        for (text, meant) in [
            ("5432", "5432/TCP"),
            ("5432/TCP", "5432/TCP"),
            ("53/udp", "53/UDP"),
            ("3868/SCTP", "3868/SCTP"),
            ("http", "http/TCP"),
            ("dns/UDP", "dns/UDP"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(meant));
        }
    }

    #[test]
    fn what_is_no_port_is_refused_with_its_reason() {
        let number = |text: &str| Err(NotAPort::Number(text.to_owned()));
        assert_eq!(parsed("0"), number("0"));
        assert_eq!(parsed("65536"), number("65536"));
        assert_eq!(
            parsed("80/ICMP"),
            Err(NotAPort::Protocol("ICMP".to_owned()))
        );
        for text in ["", "HTTP", "a--b", "-a", "averyveryverylongname", "80-"] {
            assert!(matches!(parsed(text), Err(NotAPort::Name(_))), "{text}");
        }
    }
}
