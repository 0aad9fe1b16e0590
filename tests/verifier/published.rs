//! The programs that publish a first event, as README.md and docs/events.md have them.

use crate::consumer::{Language, skipped};
use crate::harness::{Stage, canary_token, eventually};
use crate::scripted_idp::Memory;

/// The one block of a language on a page.
fn block(page: &'static str, mark: &str) -> &'static str {
    let (_, rest) = page.split_once(&format!("\n```{mark}\n")).expect("a block of this language");
    rest.split("\n```").next().expect("its end")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_program_of_the_pages_logs_a_user_out() {
    let (readme, events) = (include_str!("../../README.md"), include_str!("../../docs/events.md"));
    let (stage, idp) = (Stage::new().await, Memory::default().serve().await);
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let mut published = 0;
    for (language, file, text) in [
        (Language::Python, "first_event.py", block(readme, "python")),
        (Language::Node, "first_event.mjs", block(events, "js")),
        (Language::Java, "Logout.java", block(events, "java")),
    ] {
        let mut command = match language.example(file, text) {
            Ok(command) => command,
            Err(why) => {
                skipped(&why);
                continue;
            }
        };
        let ran = command
            .env("AMQP_URL", &stage.amqp_url)
            .env("ACCESS_TOKEN", canary_token())
            .env("REFRESH_TOKEN", canary_token())
            .output()
            .expect("start the program");
        assert!(ran.status.success(), "{file}: {}", String::from_utf8_lossy(&ran.stderr));
        published += 2;
        eventually(&format!("both tokens of {file} are on record"), async || {
            let of_the_shop = "SELECT count(*) FROM audit.revocations WHERE event_source = '/apps/shop'";
            let rows: i64 = sqlx::query_scalar(of_the_shop).fetch_one(&stage.db).await.ok()?;
            (rows == published).then_some(())
        })
        .await;
    }
}
