//! Certificates: what does not verify needs a person and never sees a token; `ca_file` replaces the system's
//! roots.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use revocation_worker::config::ProviderConfig;
use revocation_worker::outcome::{Proof, Verdict};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::settings::{revoke, rfc7009};

/// A folder with a CA and certificates that it signed, made by the `openssl` program.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
        std::fs::create_dir(&folder).unwrap();
        let authority = Self { folder };
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out \
                ca.pem -days 2 -subj /CN=test-ca",
        );
        authority
    }

    /// The key and certificate files of a server called `name`, valid for this many days from now.
    fn server(&self, name: &str, days: i32) -> (PathBuf, PathBuf) {
        std::fs::write(self.folder.join("san"), format!("subjectAltName={name}\n")).unwrap();
        self.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out \
            server.csr -subj /CN=server",
        );
        self.openssl(&format!(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -out server.pem \
                -days {days}"
        ));
        (self.folder.join("server.key"), self.folder.join("server.pem"))
    }

    fn root(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&self.folder)
            .output()
            .expect("the openssl program");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A TLS server that answers 200 once; the second value is what it decrypted.
fn serve(key: &Path, certificate: &Path) -> (String, Arc<Mutex<Vec<u8>>>, thread::JoinHandle<()>) {
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&seen);
    let task = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let _ = answer_once(StreamOwned::new(ServerConnection::new(config).unwrap(), stream), &written);
    });
    (url, seen, task)
}

fn answer_once(
    mut stream: StreamOwned<ServerConnection, TcpStream>,
    seen: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer)?;
    seen.lock().unwrap().extend(&buffer[..read]);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// The verdict and error of one attempt, and how many bytes of plain text the server saw.
async fn attempt(
    certificate: (PathBuf, PathBuf),
    ca_file: Option<PathBuf>,
) -> (Verdict, Option<String>, usize) {
    let (url, seen, task) = serve(&certificate.0, &certificate.1);
    let answer = revoke(&ProviderConfig { ca_file, ..rfc7009(&url) }).await;
    tokio::task::spawn_blocking(|| task.join()).await.unwrap().unwrap();
    let seen = seen.lock().unwrap().len();
    (answer.verdict, answer.error, seen)
}

#[tokio::test]
async fn a_certificate_of_the_configured_authority_is_trusted() {
    let authority = Authority::new();
    let (verdict, error, seen) = attempt(authority.server("IP:127.0.0.1", 1), Some(authority.root())).await;
    assert_eq!((verdict, error), (Verdict::Done(Proof::Accepted), None));
    assert!(seen > 0);
}

#[tokio::test]
async fn any_other_certificate_needs_a_person_and_sees_no_token() {
    let (authority, other) = (Authority::new(), Authority::new());
    let rows = [
        ("unknown authority", authority.server("IP:127.0.0.1", 1), None),
        ("another authority than ca_file", other.server("IP:127.0.0.1", 1), Some(authority.root())),
        ("self-signed", (authority.folder.join("ca.key"), authority.root()), None),
    ];
    for (what, certificate, ca_file) in rows {
        let (verdict, error, seen) = attempt(certificate, ca_file).await;
        assert_eq!((verdict, seen), (Verdict::Misconfigured, 0), "{what}: {error:?}");
        assert!(error.unwrap().contains("certificate"), "{what}");
    }
}

#[tokio::test]
async fn a_wrong_name_or_an_expired_certificate_needs_a_person() {
    let authority = Authority::new();
    for (name, days) in [("DNS:other.example.com", 1), ("IP:127.0.0.1", -1)] {
        let (verdict, error, seen) = attempt(authority.server(name, days), Some(authority.root())).await;
        assert_eq!((verdict, seen), (Verdict::Misconfigured, 0), "{name} {days}: {error:?}");
    }
}

/// The system's roots are read from `SSL_CERT_FILE`, which belongs to the process: the test runs its second
/// half in a child.
#[tokio::test]
async fn ca_file_replaces_the_roots_of_the_system() {
    const THIS: &str = "tls::ca_file_replaces_the_roots_of_the_system";
    let authority = Authority::new();
    let Some(system) = std::env::var_os("TEST_SYSTEM_AUTHORITY") else {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", THIS])
            .env("SSL_CERT_FILE", authority.root())
            .env("TEST_SYSTEM_AUTHORITY", &authority.folder);
        let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
        return;
    };
    let system = Authority { folder: system.into() };
    assert_eq!(attempt(system.server("IP:127.0.0.1", 1), None).await.0, Verdict::Done(Proof::Accepted));
    assert_eq!(
        attempt(system.server("IP:127.0.0.1", 1), Some(authority.root())).await.0,
        Verdict::Misconfigured
    );
}
