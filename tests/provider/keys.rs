//! Keys and certificates, made by the `openssl` program in a folder of a test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation, decode};
use serde_json::Value;

/// A folder for keys, removed at its end.
pub(crate) struct Keys {
    folder: PathBuf,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("keys-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    pub(crate) fn openssl(&self, arguments: &str) {
        let mut openssl = Command::new("openssl");
        let output = openssl.args(arguments.split(' ')).current_dir(&self.folder).output().expect("openssl");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// An RSA key as PKCS #8.
    pub(crate) fn rsa(&self, name: &str) -> String {
        self.openssl(&format!("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {name}"));
        self.read(name)
    }

    /// A P-256 key as PKCS #8.
    pub(crate) fn p256(&self, name: &str) -> String {
        self.openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}"));
        self.read(name)
    }

    /// The public half of a private key, in PEM.
    pub(crate) fn public(&self, name: &str) -> String {
        self.openssl(&format!("pkey -in {name} -pubout -out {name}.pub"));
        self.read(&format!("{name}.pub"))
    }

    /// A CA, `ca.pem`.
    pub(crate) fn authority(&self) -> PathBuf {
        self.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 \
             -subj /CN=test-ca",
        );
        self.file("ca.pem")
    }

    /// A certificate `<name>.pem` with its key `<name>.key`, signed by the CA.
    pub(crate) fn signed(&self, name: &str, extension: &str) -> (PathBuf, PathBuf) {
        std::fs::write(self.file("extensions"), format!("{extension}\n")).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj \
             /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile extensions -out \
             {name}.pem -days 1"
        ));
        (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")))
    }

    /// A certificate that nobody signed but itself.
    pub(crate) fn self_signed(&self, name: &str) -> (PathBuf, PathBuf) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem \
             -days 2 -subj /CN={name}"
        ));
        (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The public key in PEM as a JWK.
pub(crate) fn public_jwk(private_pem: &str, algorithm: Algorithm, id: &str) -> Value {
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(private_pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(private_pem.as_bytes()),
    };
    let mut jwk = Jwk::from_encoding_key(&key.unwrap(), algorithm).expect("a public key");
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

/// Header and claims of a JWT that this public key in PEM, or this secret, verifies.
pub(crate) fn verified(jwt: &str, key: &str, algorithm: Algorithm) -> (Value, Value) {
    let key = match algorithm {
        Algorithm::HS256 => DecodingKey::from_secret(key.as_bytes()),
        Algorithm::ES256 => DecodingKey::from_ec_pem(key.as_bytes()).unwrap(),
        _ => DecodingKey::from_rsa_pem(key.as_bytes()).unwrap(),
    };
    let mut validation = Validation::new(algorithm);
    validation.validate_aud = false;
    let decoded = decode::<Value>(jwt, &key, &validation).expect("a signature that fits");
    (serde_json::to_value(decoded.header).unwrap(), decoded.claims)
}

/// The text of a file.
pub(crate) fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}
