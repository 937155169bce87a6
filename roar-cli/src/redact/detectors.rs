//! The shapes of secrets, as data.

use std::sync::OnceLock;

use regex::bytes::Regex;

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A secret by its own shape: the group `secret`, or all of the match.
    Shape,
    /// A secret if the group `name` says so.
    Named,
}

/// One kind of secret.
#[derive(Debug)]
pub(super) struct Detector {
    /// What stands in the mark.
    pub(super) name: &'static str,
    /// A text without any of these (letter case ignored) is not searched.
    pub(super) anchors: &'static [&'static str],
    pub(super) form: Form,
    pattern: &'static str,
    regex: OnceLock<Regex>,
}

impl Detector {
    /// The pattern, compiled at its first use.
    pub(super) fn regex(&self) -> &Regex {
        self.regex
            .get_or_init(|| Regex::new(self.pattern).expect("a test compiles every pattern"))
    }
}

const fn shape(
    name: &'static str,
    anchors: &'static [&'static str],
    pattern: &'static str,
) -> Detector {
    Detector {
        name,
        anchors,
        form: Form::Shape,
        pattern,
        regex: OnceLock::new(),
    }
}

const fn named(anchors: &'static [&'static str], pattern: &'static str) -> Detector {
    Detector {
        name: super::NAMED,
        anchors,
        form: Form::Named,
        pattern,
        regex: OnceLock::new(),
    }
}

/// Parts of names that say "secret"; `names` looks closer.
const NAME_PARTS: &[&str] = &[
    "key",
    "token",
    "secret",
    "passw",
    "passphrase",
    "pwd",
    "credential",
    "auth",
];

/// Every kind of secret there is a shape for. Tokens may follow an underscore: names of files are
/// put together so.
pub(super) static DETECTORS: [Detector; 25] = [
    shape(
        "private-key",
        &["PRIVATE KEY"],
        r"(?s-u)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    shape(
        "aws-access-key",
        &["AKIA", "ASIA"],
        r"(?-u)(?:\b|_)(?P<secret>(?:AKIA|ASIA)[A-Z2-7]{16})(?:\b|_)",
    ),
    shape(
        "presigned-url",
        &["X-Amz-", "X-Goog-", "AWSAccessKeyId", "Signature=", "sig="],
        r#"(?i-u)(?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|[?&;](?:AWSAccessKeyId|Signature|sig))=(?P<secret>[^&\s"'<>]{8,})"#,
    ),
    shape(
        "github-token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
        r"(?-u)(?:\b|_)(?P<secret>gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    shape(
        "gitlab-token",
        &["glpat-", "gldt-", "glrt-", "glptt-"],
        r"(?-u)(?:\b|_)(?P<secret>gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,})",
    ),
    shape(
        "anthropic-key",
        &["sk-ant-"],
        r"(?-u)(?:\b|_)(?P<secret>sk-ant-[A-Za-z0-9_-]{20,})",
    ),
    shape(
        "openai-key",
        &["sk-"],
        r"(?-u)(?:\b|_)(?P<secret>sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{32,}))",
    ),
    shape(
        "huggingface-token",
        &["hf_", "api_org_"],
        r"(?-u)(?:\b|_)(?P<secret>(?:hf|api_org)_[A-Za-z0-9]{30,})",
    ),
    shape("google-key", &["AIza"], r"(?-u)\bAIza[A-Za-z0-9_-]{35}"),
    shape(
        "slack-webhook",
        &["hooks.slack.com"],
        r"(?i-u)hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_-]+)",
    ),
    shape(
        "slack-token",
        &["xox"],
        r"(?-u)\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    ),
    shape(
        "stripe-key",
        &["k_live_", "k_test_"],
        r"(?-u)\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}",
    ),
    shape(
        "package-registry-token",
        &["npm_", "pypi-AgE"],
        r"(?-u)\b(?:npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{40,})",
    ),
    shape(
        "json-web-token",
        &["eyJ"],
        r"(?-u)\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",
    ),
    shape(
        "bearer-token",
        &["bearer"],
        r"(?i-u)\bbearer\s+(?P<secret>[A-Za-z0-9._~+/=-]{16,})",
    ),
    shape(
        "authorization-header",
        &["authorization"],
        r"(?i-u)\bauthorization:\s*(?:basic|token|digest|apikey)\s+(?P<secret>[A-Za-z0-9._~+/=:-]{8,})",
    ),
    // A password may be written with `@` and `/` in it; `host:80/x@y` has a port, not a password.
    shape(
        "database-url",
        &[
            "postgres",
            "mysql",
            "mariadb",
            "mongodb",
            "redis",
            "amqp",
            "mssql",
            "cockroach",
            "clickhouse",
            "oracle",
            "snowflake",
        ],
        r#"(?i-u)\b(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|cockroachdb|clickhouse|oracle|snowflake)(?:\+[a-z0-9]+)*://(?P<secret>[^\s:/?#@"'<>]*:[^\s"'<>]*)@"#,
    ),
    shape(
        "url-user-info",
        &["://"],
        r#"(?i-u)\b[a-z][a-z0-9+.-]*://(?P<secret>[^\s:/?#@"'<>]*:(?:[^\s/?#"'<>]*|[0-9]*[^\s0-9/?#"'<>][^\s"'<>]*))@"#,
    ),
    shape(
        "url-user-info",
        &["http://", "https://"],
        r#"(?i-u)\bhttps?://(?P<secret>[^\s:/?#@"'<>]+)@"#,
    ),
    shape(
        "scp-user-info",
        &["@"],
        r#"(?-u)(?:^|[\s"'=])(?P<secret>[^\s:@/"'=]+:[^\s:@/"']+)@[A-Za-z0-9.-]+:"#,
    ),
    // A literal after a name: source code, JSON, TOML, YAML.
    named(
        NAME_PARTS,
        r#"(?i-u)(?P<name>[a-z0-9_.-]*(?:key|token|secret|passw|passphrase|pwd|credential|auth)[a-z0-9_.-]*)\\?["']?\]?\s*(?:=|:|=>)\s*[bru]?\\?["'](?P<secret>[^"'\\\r\n]{4,})"#,
    ),
    // NAME=value of a shell or a .env file.
    named(
        NAME_PARTS,
        r#"(?m-u)(?:^[+ -]?|["'\s;&|(])(?:export\s+)?(?P<name>[A-Z][A-Z0-9_]*)=(?P<secret>[^\s"'#;&|()]+)"#,
    ),
    // An option inside a longer text (`sh -c "…"`).
    named(
        NAME_PARTS,
        r#"(?i-u)(?:^|[\s"'])--?(?P<name>[a-z][a-z0-9_.-]*)(?:=|\s+)(?P<secret>[^\s"'-][^\s"']*)"#,
    ),
    // A YAML scalar without quotes, alone on its line.
    named(
        NAME_PARTS,
        r#"(?im-u)^[+ -]?\s*(?:- )?(?P<name>[a-z0-9_.-]+):[ \t]+(?P<secret>[^\s"'#{}\[\]()]{8,})[ \t]*\r?$"#,
    ),
    // A member of a URL's query.
    named(
        NAME_PARTS,
        r#"(?i-u)[?&;](?P<name>[a-z0-9_.-]+)=(?P<secret>[^&\s"'<>#]{4,})"#,
    ),
];
