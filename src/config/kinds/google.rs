//! `kind = "google"`

use crate::config::Secret;
use crate::config::providers::optional_base;
use crate::config::rule::{all_or_none, required, required_secret};
use crate::config::setting::settings;

settings! {
    /// `kind = "google"`
    pub struct GoogleConfig {
        /// Address of Google's OAuth server.
        pub base_url: Option<String> = optional_base().default("`https://oauth2.googleapis.com`"),
        /// What users of a Workspace are signed out with; absent: subjects are unsupported.
        pub workspace: Option<WorkspaceConfig> = all_or_none(),
    }
}

settings! {
    /// A service account that may sign users of a Workspace out.
    pub struct WorkspaceConfig {
        /// The key of a service account, as the JSON file that Google gives.
        pub service_account: Secret =
            required_secret("set service_account_file to the JSON file with the service account's key"),
        /// An administrator of the Workspace, for whom the service account acts: it needs domain-wide
        /// delegation with the scope `https://www.googleapis.com/auth/admin.directory.user.security`.
        pub administrator as "workspace_administrator": String =
            required("give the email address of the administrator for whom the service account acts"),
        /// Address of the Admin SDK.
        pub directory_url: Option<String> = optional_base().default("`https://admin.googleapis.com`"),
    }
}
