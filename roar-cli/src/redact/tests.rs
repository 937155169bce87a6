use super::*;
use crate::model::RawString;

/// `{S}` marks where a secret stands in the text; `{N}` names its detector.
fn check_hit(redactor: &Redactor, text: &str, secret: &str, detector: &str) {
    let whole = text.replace("{S}", secret);
    let expected = text.replace("{S}", &format!("[redacted:{detector}]"));
    let redacted = redactor
        .text(whole.as_bytes())
        .unwrap_or_else(|| panic!("nothing was found in: {whole}"));
    assert_eq!(String::from_utf8_lossy(&redacted.text), expected, "{whole}");
    assert_eq!(redactor.text(&redacted.text), None, "twice: {whole}");
}

const GITHUB: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

#[test]
fn every_pattern_compiles_and_names_its_groups() {
    for detector in &DETECTORS {
        let groups: Vec<_> = detector.regex().capture_names().flatten().collect();
        assert_eq!(
            groups.contains(&"name"),
            detector.form == Form::Named,
            "{}",
            detector.name
        );
    }
}

#[test]
fn secrets_of_known_shape() {
    let alnum = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0";
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
    let cases: &[(&str, String, &str)] = &[
        ("id {S}.", "AKIAIOSFODNN7EXAMPLE".into(), "aws-access-key"),
        (
            "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature={S}&x=1",
            alnum.into(),
            "presigned-url",
        ),
        (
            "https://a.blob.core.windows.net/c?sv=1&sig={S}",
            format!("{alnum}%3D"),
            "presigned-url",
        ),
        (
            "pip install git+https://x/{S}",
            GITHUB.into(),
            "github-token",
        ),
        ("{S}", format!("github_pat_{alnum}"), "github-token"),
        (
            "run_{S}",
            String::from("glpat-a1B2c3D4e5F6g7H8i9J0"),
            "gitlab-token",
        ),
        ("x={S}", format!("sk-ant-api03-{alnum}"), "anthropic-key"),
        ("x {S}", format!("sk-{alnum}"), "openai-key"),
        ("x {S}", format!("sk-proj-{alnum}_-x"), "openai-key"),
        (
            "data-{S}.csv",
            "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345".into(),
            "huggingface-token",
        ),
        (
            "https://hooks.slack.com/services/{S}",
            "T000/B000/XXXXabc".into(),
            "slack-webhook",
        ),
        (
            "-H 'Authorization: Bearer {S}'",
            alnum.into(),
            "bearer-token",
        ),
        (
            "Authorization: Basic {S}",
            "dXNlcjpwYXNz".into(),
            "authorization-header",
        ),
        (
            "{S}",
            format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{alnum}"),
            "json-web-token",
        ),
        ("a\n{S}\nb", key.into(), "private-key"),
        ("https://{S}@host/x", "ann:pa55".into(), "url-user-info"),
        ("https://{S}@host/x", "TOKEN".into(), "url-user-info"),
        (
            "see https://{S}@host/x@y",
            "ann:p@ss".into(),
            "url-user-info",
        ),
        ("https://{S}@host/x", "ann:pa/55".into(), "url-user-info"),
        (
            "postgresql+psycopg://{S}@db:5432/x",
            "ann:p@/55".into(),
            "database-url",
        ),
        ("redis://{S}@db:6379/0", ":hunter2".into(), "database-url"),
        ("clone {S}@host:a/b", "ann:hunter2".into(), "scp-user-info"),
        (
            "sh -c 'WANDB_API_KEY={S} python x.py'",
            "abcdef0123".into(),
            "named-secret",
        ),
        ("export DB_PASSWORD={S}\n", "hunter2".into(), "named-secret"),
        ("+MY_TOKEN={S}\n", "abcdef0123".into(), "named-secret"),
        (
            "{\"api_key\": \"{S}\"}",
            "abcdef0123".into(),
            "named-secret",
        ),
        (
            "{\\\"password\\\": \\\"{S}\\\"}",
            "hunter2".into(),
            "named-secret",
        ),
        ("clientSecret: '{S}'", "hunter2".into(), "named-secret"),
        ("+password = \"{S}\"", "hunter2".into(), "named-secret"),
        ("  secret: {S}\n", "hunter2hunter2".into(), "named-secret"),
        ("wget --password {S} url", "hunter2".into(), "named-secret"),
        (
            "https://h/x?a=1&access_token={S}",
            "hunter2".into(),
            "named-secret",
        ),
    ];
    let redactor = Redactor::default();
    for (text, secret, detector) in cases {
        check_hit(&redactor, text, secret, detector);
    }
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    let redactor = Redactor::default();
    for text in [
        "tiktoken==0.11.0",
        "pip install tiktoken==0.11.0 tokenizers>=0.20 secretstorage==3.3.3 keyring==24.0",
        "--tokenizer gpt2 --max-tokens 512 --max_new_tokens=64 --num-tokens 100000",
        "tokenizer = AutoTokenizer.from_pretrained(\"gpt2\")",
        "--pad-token \"<pad>\" --eos_token=\"</s>\" --token-type word",
        "self.token = token",
        "password = getpass.getpass()",
        "key = lambda x: x[0]",
        "sorted(rows, key=\"timestamp\")",
        "{\"primary_key\": \"customer_id\", \"key\": \"customer\"}",
        "token: str = os.environ[\"HF_TOKEN\"]",
        "HF_TOKEN=$TOKEN python x.py",
        "HF_TOKEN=${TOKEN}",
        "GOOGLE_APPLICATION_CREDENTIALS=/home/ann/key.json",
        "SSH_AUTH_SOCK=/run/user/1000/keyring/ssh",
        "--password-file=/run/secrets/db --auth-type basic --use-auth-token",
        "PWD=/home/ann/project",
        "author = \"Ann Example\"",
        "\"authors\": \"Ann, Bob\"",
        "KEYBOARD_LAYOUT=german",
        "git@github.com:ann/project.git",
        "https://host:8080/a@v1",
        "https://github.com/a/b@main",
        "pkg @ git+https://github.com/a/b@v1",
        "ssh://git@host:22/a",
        "ann@example.org",
        "python -m sk-learn-something-long-enough-to-be-a-key",
        "hf_hub_download(repo_id)",
        "risk-a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        "the bearer of this letter",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "--run-id 3f2504e0-4f89-41d3-9a0c-0305e82c3301 --sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "\"image/png\": \"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==\"",
        "torch==2.4.1+cu121\nnumpy==2.1.0\nsecretstorage==3.3.3\npasslib==1.7.4\nauthlib==1.3.2\ntokenizers==0.20.0",
        "hydra.run.dir=outputs/2024-01-01/12-00-00 +trainer.max_tokens=4096",
        "",
    ] {
        let found = redactor.text(text.as_bytes());
        let shown = found.map(|r| String::from_utf8_lossy(&r.text).into_owned());
        assert_eq!(shown, None, "{text}");
    }
}

/// A command line, what is shown of it, and the arguments that held secrets.
type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a [(usize, Option<&'a str>)]);

#[test]
fn command_lines() {
    let cases: &[Case<'_>] = &[
        (
            &["x", "--token=abcdef"],
            &["x", "--token=[redacted:named-secret]"],
            &[(1, Some("--token"))],
        ),
        (
            &["x", "--token", "abcdef"],
            &["x", "--token", "[redacted:named-secret]"],
            &[(2, Some("--token"))],
        ),
        (
            &["x", "--hf-api-key", "abcdef", "y"],
            &["x", "--hf-api-key", "[redacted:named-secret]", "y"],
            &[(2, Some("--hf-api-key"))],
        ),
        (
            &["env", "API_KEY=abcdef", "y"],
            &["env", "API_KEY=[redacted:named-secret]", "y"],
            &[(1, Some("API_KEY"))],
        ),
        (
            &["x", "model.token=abcdef"],
            &["x", "model.token=[redacted:named-secret]"],
            &[(1, Some("model.token"))],
        ),
        (
            &["x", GITHUB],
            &["x", "[redacted:github-token]"],
            &[(1, None)],
        ),
        (
            &["x", "--to", GITHUB],
            &["x", "--to", "[redacted:github-token]"],
            &[(2, Some("--to"))],
        ),
        (
            &["curl", "-u", "ann:hunter2", "h"],
            &["curl", "-u", "[redacted:named-secret]", "h"],
            &[(2, Some("-u"))],
        ),
        (&["x", "--password", "-"], &["x", "--password", "-"], &[]),
        (
            &["x", "--use-auth-token", "data.csv"],
            &["x", "--use-auth-token", "data.csv"],
            &[],
        ),
        (
            &["pip", "install", "tiktoken==0.11.0"],
            &["pip", "install", "tiktoken==0.11.0"],
            &[],
        ),
        (
            &["x", "--max-tokens", "512", "--tokenizer=gpt2"],
            &["x", "--max-tokens", "512", "--tokenizer=gpt2"],
            &[],
        ),
        (
            &["docker", "run", "-u", "1000:1000", "x"],
            &["docker", "run", "-u", "1000:1000", "x"],
            &[],
        ),
        (&[], &[], &[]),
    ];
    let raw = |words: &[&str]| {
        words
            .iter()
            .map(|word| RawString::from(*word))
            .collect::<Vec<_>>()
    };
    for (argv, expected, hidden) in cases {
        let (shown, found) = Redactor::default().arguments(&raw(argv));
        assert_eq!(shown, raw(expected), "{argv:?}");
        let found: Vec<_> = found
            .iter()
            .map(|h| (h.index, h.option.as_deref()))
            .collect();
        assert_eq!(&found, hidden, "{argv:?}");
        let (same, none) = Redactor::off().arguments(&raw(argv));
        assert_eq!((same, none), (raw(argv), Vec::new()));
    }
}

#[test]
fn variables() {
    let redactor = Redactor::new(&Rules {
        variables: vec!["PLAIN".to_owned()],
        ..Rules::default()
    })
    .expect("no patterns");
    for (name, value, hidden) in [
        ("HF_TOKEN", "abcdef", true),
        (
            "AWS_SECRET_ACCESS_KEY",
            "/abc/def+ghijklmnopqrstuvwxyz0123456789A",
            true,
        ),
        ("PLAIN", "x", true),
        ("OTHER", GITHUB, true),
        ("PYTHONPATH", "/a:/b", false),
        ("TOKENIZERS_PARALLELISM", "false", false),
        ("OMP_NUM_THREADS", "4", false),
        ("PYTHONHASHSEED", "0", false),
        ("HF_TOKEN", "", false),
        ("HF_TOKEN_PATH", "/home/ann/token", false),
    ] {
        let found = redactor.variable(name, value.as_bytes());
        assert_eq!(found.is_some(), hidden, "{name}={value}");
    }
}

#[test]
fn the_users_own_rules() {
    let redactor = Redactor::new(&Rules {
        values: vec!["hunter2".into(), "hunter22".into(), String::new()],
        patterns: vec!["EMP-[0-9]{4}".into()],
        allowed: vec!["^ghp_16C7".into(), "hunter2".into()],
        ..Rules::default()
    })
    .expect("patterns");
    check_hit(&redactor, "x {S} y", "hunter2", LISTED);
    check_hit(&redactor, "x{S}y", "hunter22", LISTED);
    check_hit(&redactor, "by {S}", "EMP-1234", PATTERN);
    assert_eq!(redactor.text(GITHUB.as_bytes()), None);
    let bad = Rules {
        patterns: vec!["(".into()],
        ..Rules::default()
    };
    let error = Redactor::new(&bad).expect_err("refused").to_string();
    assert_eq!(error, "'(' is not a regular expression");
}

#[test]
fn bytes_around_a_secret_are_kept() {
    let text = [b"\xff".as_slice(), GITHUB.as_bytes(), b"\xfe"].concat();
    let redacted = Redactor::default().text(&text).expect("found");
    assert_eq!(redacted.text, b"\xff[redacted:github-token]\xfe");
}
