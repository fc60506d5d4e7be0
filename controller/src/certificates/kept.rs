//! A certificate as it is kept: what is in the Secret, when to renew it, and what must be trusted
//! meanwhile. Pure: no API server, and the time comes in.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::make::Made;

/// The Secret's keys: those of a TLS Secret (core/v1 `TLSCertKey`, `TLSPrivateKeyKey`), the
/// bundle as cert-manager names it, and our own notes.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const BUNDLE: &str = "ca.crt";
const NOTES: &str = "sidewall.json";

/// A certificate, and the authorities that must be trusted for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its key, as PEM.
    pub key: String,
    notes: Notes,
}

/// What cannot be seen in PEM without parsing it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notes {
    names: Vec<String>,
    made_at: Timestamp,
    not_after: Timestamp,
    authority: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_authority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_not_after: Option<Timestamp>,
}

/// What must be trusted for a while longer: replicas may still serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// One authority or several, as PEM.
    pub authority: String,
    /// Until when.
    pub not_after: Timestamp,
}

impl Kept {
    /// What is kept of a certificate that was just made, and of the one before it.
    #[must_use]
    pub fn new(made: Made, names: &[String], now: Timestamp, before: Option<Before>) -> Self {
        let before = before.filter(|before| before.not_after > now);
        Self {
            certificate: made.certificate,
            key: made.key,
            notes: Notes {
                names: names.to_vec(),
                made_at: now,
                not_after: made.not_after,
                authority: made.authority,
                previous_not_after: before.as_ref().map(|before| before.not_after),
                previous_authority: before.map(|before| before.authority),
            },
        }
    }

    /// This one, when another follows it.
    #[must_use]
    pub fn as_before(&self) -> Before {
        Before {
            authority: self.notes.authority.clone(),
            not_after: self.notes.not_after,
        }
    }

    /// Reads the data of a Secret; `None` when something is missing or unreadable, and then
    /// another is made.
    #[must_use]
    pub fn from_data(data: &BTreeMap<String, Vec<u8>>) -> Option<Self> {
        let text = |key: &str| String::from_utf8(data.get(key)?.clone()).ok();
        Some(Self {
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?,
            notes: serde_json::from_slice(data.get(NOTES)?).ok()?,
        })
    }

    /// The data of a Secret.
    #[must_use]
    pub fn to_data(&self) -> BTreeMap<String, Vec<u8>> {
        let notes = serde_json::to_vec(&self.notes).expect("texts and times");
        let entries = [
            (CERTIFICATE, self.certificate.clone().into_bytes()),
            (KEY, self.key.clone().into_bytes()),
            (BUNDLE, self.bundle().into_bytes()),
            (NOTES, notes),
        ];
        let entries = entries.into_iter();
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// Whether it is time for another: two thirds of its life are over, or it is for other names.
    #[must_use]
    pub fn is_due(&self, names: &[String], now: Timestamp) -> bool {
        let life = self.notes.not_after.duration_since(self.notes.made_at);
        let life = Duration::try_from(life).unwrap_or(Duration::ZERO);
        let renew_at = self.notes.made_at.saturating_add(life / 3 * 2);
        self.notes.names != names || renew_at.is_ok_and(|at| now >= at)
    }

    /// When it ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.notes.not_after
    }

    /// The authorities to be trusted: the certificate's own, and the one before it.
    #[must_use]
    pub fn bundle(&self) -> String {
        let previous = self.notes.previous_authority.as_deref();
        format!("{}{}", self.notes.authority, previous.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::make::{LIFETIME, make};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn names() -> Vec<String> {
        vec!["sidewall-webhook.sidewall.svc".to_owned()]
    }

    fn kept(now: Timestamp, before: Option<&Kept>) -> Kept {
        let made = make(&names(), now, LIFETIME).unwrap();
        Kept::new(made, &names(), now, before.map(Kept::as_before))
    }

    #[test]
    fn it_is_renewed_after_two_thirds_or_for_other_names() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let kept = kept(now, None);
        assert!(!kept.is_due(&names(), now));
        assert!(!kept.is_due(&names(), now + 59 * DAY));
        assert!(kept.is_due(&names(), now + 60 * DAY));
        assert!(kept.is_due(&["other.svc".to_owned()], now));
    }

    #[test]
    fn the_bundle_has_the_one_before_and_no_more() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let authorities = |kept: &Kept| kept.bundle().matches("BEGIN CERTIFICATE").count();
        let first = kept(now, None);
        let second = kept(now + 60 * DAY, Some(&first));
        let third = kept(now + 120 * DAY, Some(&second));
        assert_eq!([&first, &second, &third].map(authorities), [1, 2, 2]);
        assert!(second.bundle().contains(&first.notes.authority));
        assert!(!third.bundle().contains(&first.notes.authority));
        let late = kept(now + 400 * DAY, Some(&third));
        assert_eq!(authorities(&late), 1, "an expired one is not trusted");
    }

    #[test]
    fn a_secret_is_read_back_as_it_was_written() {
        let kept = kept(Timestamp::now(), None);
        let mut data = kept.to_data();
        assert_eq!(Kept::from_data(&data), Some(kept));
        data.remove(KEY);
        assert_eq!(Kept::from_data(&data), None);
    }
}
