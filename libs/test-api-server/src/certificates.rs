//! One authority for each server: it vouches for the server, and for whoever a test wants to be.

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.distinguished_name = name("test authority", None);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?);
        Ok(Self(issuer.context("cannot make a certificate authority")?))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// Certificate and key of the server on loopback.
    pub(crate) fn server(&self) -> Result<(String, String)> {
        let mut parameters = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        parameters.distinguished_name = name("kube-apiserver", None);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(parameters)
    }

    /// Certificate and key of a user: to Kubernetes, the common name is who one is, and the organization is a group.
    pub(crate) fn user(&self, user: &str, group: Option<&str>) -> Result<(String, String)> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name(user, group);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(parameters)
    }

    fn sign(&self, parameters: CertificateParams) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.0).context("cannot sign a certificate")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn name(common: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

/// A key that signs tokens of service accounts, and the one to check them with: the server reads either from a file.
pub(crate) fn token_keys() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}
