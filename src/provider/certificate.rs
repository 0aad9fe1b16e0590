//! The certificate by which a server knows a key: its thumbprint (RFC 7515 section 4.1.8).

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;

/// The thumbprint of the certificate in `file`, which must be that of the key that made `jwt`.
pub(super) fn of_key(file: &Path, jwt: &str, algorithm: Algorithm) -> Result<String, String> {
    let der = CertificateDer::from_pem_file(file).map_err(|error| {
        format!("gives no certificate ({error}); name a PEM file with the certificate of client_private_key")
    })?;
    let certificate = ParsedCertificate::try_from(&der)
        .map_err(|_| "holds a certificate that cannot be read".to_owned())?;
    if !made(&certificate, jwt, algorithm) {
        return Err("is the certificate of another key than client_private_key".to_owned());
    }
    Ok(URL_SAFE_NO_PAD.encode(digest(&SHA256, &der)))
}

/// Whether the key of `certificate` made the signature.
fn made(certificate: &ParsedCertificate<'_>, jwt: &str, algorithm: Algorithm) -> bool {
    let by: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
        _ => &RSA_PKCS1_2048_8192_SHA256,
    };
    let Some((signed, signature)) = jwt.rsplit_once('.') else { return false };
    let key = certificate.subject_public_key_info();
    let key = UnparsedPublicKey::new(by, key.as_ref());
    URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| key.verify(signed.as_bytes(), &signature).is_ok())
}
