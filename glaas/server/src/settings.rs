//! The command line and the environment of the server.

use std::net::IpAddr;

/// The lineage server: an artifact's hash leads to how it was made
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "glaas-server", version, about)]
pub struct Cli {
    /// What to do instead of serving
    #[command(subcommand)]
    pub action: Option<Action>,
    /// How to serve
    #[command(flatten)]
    pub settings: Settings,
}

/// What else can be done on the database.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Action {
    /// Users and their SSH keys
    #[command(subcommand)]
    Key(KeyAction),
    /// Print the OpenAPI document
    Openapi,
}

/// What can be done with keys.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum KeyAction {
    /// Register a public key; the user is made where there is none of that name
    Add {
        /// The user's name
        #[arg(long)]
        user: String,
        /// The file with the public key (id_ed25519.pub); '-' reads stdin
        file: String,
    },
    /// List a user's keys
    List {
        /// The user's name
        #[arg(long)]
        user: String,
    },
    /// Take a key out of use for good
    Revoke {
        /// Its fingerprint, SHA256:…
        fingerprint: String,
    },
}

/// Who sees new sessions that do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DefaultVisibility {
    /// Everyone who can reach the server
    Public,
    /// The user who registered it
    Private,
}

/// How to serve.
#[derive(Clone, Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Settings {
    /// Address to listen on
    #[arg(long, env = "GLAAS_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "GLAAS_PORT", default_value_t = 8000)]
    pub port: u16,
    /// sqlite:PATH, or postgres://USER@HOST/NAME for PostgreSQL, CockroachDB, YugabyteDB
    #[arg(
        long,
        env = "GLAAS_DATABASE",
        default_value = "sqlite:glaas.db",
        hide_env_values = true,
        global = true
    )]
    pub database: String,
    /// URL that links to this server begin with, as users reach it
    #[arg(long, env = "GLAAS_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Let anyone publish without a key, for everyone to see
    #[arg(long, env = "GLAAS_ALLOW_ANONYMOUS")]
    pub allow_anonymous: bool,
    /// Let nobody register a key but the operator (glaas-server key add)
    #[arg(long, env = "GLAAS_CLOSED")]
    pub closed: bool,
    /// Who sees new sessions that do not say
    #[arg(long, value_enum, default_value = "public")]
    pub default_visibility: DefaultVisibility,
    /// Largest request body in bytes
    #[arg(long, default_value_t = 8 * 1024 * 1024)]
    pub max_body_bytes: usize,
    /// Requests a second that one address or one key may keep up; 0 for no limit
    #[arg(long, default_value_t = 50)]
    pub rate: u32,
    /// Requests that one address or one key may make at once before the rate counts
    #[arg(long, default_value_t = 1000)]
    pub burst: u32,
    /// Take clients' addresses from X-Forwarded-For, as a proxy in front of the server sets it
    #[arg(long)]
    pub behind_proxy: bool,
    /// Connections at once; fewer where the limit of open files is lower
    #[arg(long, default_value_t = 16_384)]
    pub max_connections: usize,
    /// Print log lines as JSON
    #[arg(long)]
    pub log_json: bool,
    /// Least severe log lines: error, warn, info, debug
    #[arg(long, default_value = "info")]
    pub log_level: tracing::Level,
}
