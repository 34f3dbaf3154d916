//! Whose certificates are believed.

use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::OutsideError;

/// Whose certificates are believed. Made once and cloned: making one reads files, and those who share
/// it share resumed TLS sessions too.
#[derive(Clone)]
pub struct Trust {
    pub(super) connector: TlsConnector,
    problem: Option<Arc<str>>,
}

impl Trust {
    /// What the system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured); if it has no
    /// certificates, as a bare container has none, those built in, which are Mozilla's.
    ///
    /// # Errors
    /// [`OutsideError::Tls`]: TLS can't be set up.
    pub fn system() -> Result<Trust, OutsideError> {
        let found = rustls_native_certs::load_native_certs();
        let why = found.errors.iter().map(|why| format!(": {why}")).collect::<String>();
        let (roots, problem) = roots(found.certs, &why);
        Ok(Trust { problem, ..Trust::of(roots)? })
    }

    /// These certificates alone, in DER.
    ///
    /// # Errors
    /// [`OutsideError::Tls`]: one of them isn't a certificate.
    pub fn only(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Trust, OutsideError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate.into()).map_err(|why| OutsideError::Tls(why.to_string()))?;
        }
        Trust::of(roots)
    }

    /// What an operator should know of it: that certificates couldn't be read, or none were there and
    /// those built in are used.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn of(roots: RootCertStore) -> Result<Trust, OutsideError> {
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|why| OutsideError::Tls(why.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Trust { connector: TlsConnector::from(Arc::new(config)), problem: None })
    }
}

/// The system's certificates that can be used, or those built in.
fn roots(system: Vec<CertificateDer<'static>>, why: &str) -> (RootCertStore, Option<Arc<str>>) {
    let mut roots = RootCertStore::empty();
    let (used, _) = roots.add_parsable_certificates(system);
    let problem = match (used, why) {
        (0, _) => {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            format!("the system has no certificates to check receivers' with; those built in are used{why}")
        }
        (_, "") => return (roots, None),
        _ => format!("some of the system's certificates can't be read{why}"),
    };
    (roots, Some(problem.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_built_in_are_used_only_if_the_system_has_none() {
        let (built_in, problem) = roots(vec![vec![1, 2, 3].into()], ": no such file");
        assert!(built_in.len() > 50, "{}", built_in.len());
        assert!(problem.unwrap().ends_with("; those built in are used: no such file"));
        let own = rcgen::generate_simple_self_signed(["ca.test".to_owned()]).unwrap();
        let (one, problem) = roots(vec![own.cert.der().clone()], "");
        assert_eq!((one.len(), problem), (1, None));
        let (one, problem) = roots(vec![own.cert.der().clone()], ": no such file");
        let expected = "some of the system's certificates can't be read: no such file";
        assert_eq!((one.len(), problem.as_deref()), (1, Some(expected)));
        assert!(Trust::system().is_ok(), "with what this system has");
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert!(matches!(Trust::only([vec![1, 2, 3]]), Err(OutsideError::Tls(_))));
        assert!(Trust::only([]).is_ok());
    }
}
