//! Makes a certificate and the authority that signed it. Pure but for the random numbers.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// For how long a certificate holds. Renewed after two thirds of it: a month is left to notice
/// that renewing fails.
pub const LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// Clocks of nodes differ; a certificate that is not valid yet is a refused pod.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// A certificate as PEM, and what must be trusted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The authority's certificate.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// When both end.
    pub not_after: Timestamp,
}

/// Makes a certificate for these names, with an authority of its own (ECDSA on P-256).
///
/// # Errors
/// A name that cannot stand in a certificate, or a machine without random numbers.
pub fn make(names: &[String], now: Timestamp, lifetime: Duration) -> Result<Made, rcgen::Error> {
    let not_after = now.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
    // X.509 dates are whole seconds.
    let since_1970 =
        |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    let bounded = |mut params: CertificateParams| {
        let not_before = now.saturating_sub(CLOCK_SKEW).unwrap_or(now);
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(not_before);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(not_after);
        params
    };

    let mut authority = bounded(CertificateParams::new(Vec::new())?);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // Two authorities of one name in one bundle would be told apart by their keys alone.
    let name = format!("sidewall webhook authority {}", now.as_second());
    authority.distinguished_name.push(DnType::CommonName, name);
    let authority_key = KeyPair::generate()?;
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let mut leaf = bounded(CertificateParams::new(names)?);
    let name = names.first().map_or("sidewall", String::as_str);
    // A common name has at most 64 characters (X.520 ub-common-name); clients read the
    // alternative names.
    let name: String = name.chars().take(64).collect();
    leaf.distinguished_name.push(DnType::CommonName, name);
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?;

    Ok(Made {
        authority: authority_certificate.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        not_after,
    })
}
