use std::fs;
use std::path::PathBuf;

use super::*;
use crate::model::HashAlgorithm;

struct Sandbox {
    folder: tempfile::TempDir,
    layers: Layers,
}

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| Some(folder.path().join(name));
        let layers = Layers {
            user: at("user.toml"),
            committed: at("roarconfig"),
            project: at("config.toml"),
            ..Layers::default()
        };
        Self { folder, layers }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    fn environment(&mut self, name: &str, value: &str) {
        self.layers.environment.push((name.into(), value.into()));
    }

    /// Value and layer of a key.
    fn get(&self, name: &str) -> (String, &'static str) {
        let resolved = self.layers.resolve().expect("valid settings");
        let entry = resolved
            .entries
            .iter()
            .find(|e| e.key.name == name)
            .expect("a key");
        (entry.value.to_string(), entry.source.layer())
    }

    /// The error, with the folder's name taken out.
    fn error(&self) -> String {
        let error = self.layers.resolve().expect_err("an error").to_string();
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn pages_are_on_the_server_itself_unless_said_otherwise() {
    let check = |url: Option<&str>, web: Option<&str>, expected: &str| {
        let mut sandbox = Sandbox::new();
        for (name, value) in [("GLAAS_URL", url), ("ROAR_GLAAS__WEB_URL", web)] {
            if let Some(value) = value {
                sandbox.environment(name, value);
            }
        }
        let found = sandbox.layers.resolve().expect("valid settings").settings;
        assert_eq!(found.glaas.web_url, expected, "{url:?} {web:?}");
    };
    check(None, None, "https://glaas.ai");
    check(Some("http://h:1"), None, "http://h:1");
    check(Some("http://h:1"), Some("http://w"), "http://w");
    check(None, Some("http://w"), "http://w");
}

#[test]
fn the_table_is_sound() {
    for (index, key) in KEYS.iter().enumerate() {
        assert!(
            key.kind.parse(key.default().to_string().as_str()).is_ok(),
            "{}",
            key.name
        );
        assert!(key.name.split('.').count() >= 2, "{}", key.name);
        assert!(
            !key.doc.contains('\n') && !key.doc.is_empty(),
            "{}",
            key.name
        );
        assert!(
            KEYS[..index].iter().all(|other| other.name != key.name),
            "{}",
            key.name
        );
    }
}

/// A key that changes nothing would be a promise not kept.
#[test]
fn every_key_reaches_the_typed_settings() {
    for key in KEYS {
        let text = match (key.kind, key.default()) {
            (Kind::Bool, Value::Bool(on)) => (!on).to_string(),
            (Kind::Choice([_]), _) => continue,
            (Kind::Choice(words), Value::Text(default)) => {
                let other = words.iter().find(|word| **word != default);
                (*other.expect("a choice of several")).to_owned()
            }
            (Kind::Choices(words), _) => words[1].to_owned(),
            (Kind::Number, _) => "11".to_owned(),
            (Kind::Text, _) => "another".to_owned(),
            _ => "*.log".to_owned(),
        };
        let mut layers = Layers::default();
        layers.flags.push((key.name, text));
        let resolved = layers.resolve().expect("valid");
        assert_ne!(resolved.settings, Settings::default(), "{}", key.name);
    }
}

#[test]
fn each_layer_outranks_the_one_below() {
    let key = "logging.level";
    let mut sandbox = Sandbox::new();
    assert_eq!(sandbox.get(key), ("warning".to_owned(), "default"));
    sandbox.write("user.toml", "[logging]\nlevel = 'error'");
    assert_eq!(sandbox.get(key), ("error".to_owned(), "user"));
    sandbox.write("roarconfig", "logging.level = \"info\"");
    assert_eq!(sandbox.get(key), ("info".to_owned(), "committed"));
    sandbox.write("config.toml", "logging = { level = \"debug\" }");
    assert_eq!(sandbox.get(key), ("debug".to_owned(), "project"));
    sandbox.environment("ROAR_LOGGING__LEVEL", "error");
    assert_eq!(sandbox.get(key), ("error".to_owned(), "environment"));
    sandbox.layers.flags.push((key, "info".to_owned()));
    assert_eq!(sandbox.get(key), ("info".to_owned(), "flag"));
    assert_eq!(sandbox.get("output.quiet"), ("false".to_owned(), "default"));
}

#[test]
fn lines_that_init_wrote_decide_nothing() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("config.toml");
    sandbox.write("config.toml", &default_config());
    sandbox.write("roarconfig", "[filters]\nignore_tmp_files = false");
    let key = "filters.ignore_tmp_files";
    assert_eq!(sandbox.get(key), ("false".to_owned(), "committed"));
    // Set on purpose, the default counts.
    set(&path, key, "true").expect("set");
    assert_eq!(sandbox.get(key), ("true".to_owned(), "project"));
    assert!(
        fs::read_to_string(&path)
            .expect("read")
            .contains("\nignore_tmp_files = true # set\n")
    );
    // Edited by hand, any value counts.
    sandbox.write("roarconfig", "");
    let edited = default_config().replace("ignore_tmp_files = true", "ignore_tmp_files = false");
    sandbox.write("config.toml", &edited);
    assert_eq!(sandbox.get(key), ("false".to_owned(), "project"));
}

#[test]
fn the_first_config_file_shows_everything() {
    let text = default_config();
    let sandbox = Sandbox::new();
    sandbox.write("config.toml", &text);
    let resolved = sandbox.layers.resolve().expect("valid");
    assert_eq!(resolved.settings, Settings::default());
    for key in KEYS {
        let lines = format!(
            "# {}\n{} = {}\n",
            key.doc,
            key.leaf(),
            key.default().to_toml()
        );
        assert!(text.contains(&lines), "{lines}");
    }
    let (_, filters) = text.split_once("[filters]\n").expect("a section");
    assert!(filters.contains("\nignore_tmp_files = true\n"));
}

#[test]
fn odd_files_that_are_fine() {
    let cases = [
        "\u{feff}[logging]\nlevel = 'info'",
        "[logging]\r\nlevel = 'info'\r\n",
        "\u{feff}\r\n# c\r\n[logging]\r\nlevel = 'info' # c\r\n",
        "[filters]\n[logging]\nlevel = \"\"\"info\"\"\"\n",
    ];
    for text in cases {
        let sandbox = Sandbox::new();
        sandbox.write("config.toml", text);
        assert_eq!(sandbox.get("logging.level").0, "info", "{text:?}");
    }
}

#[test]
fn errors_say_where_and_what() {
    let cases = [
        (
            "[filters]\nignore_temp_files = true",
            "config.toml, line 2: unknown setting 'filters.ignore_temp_files' \
             (did you mean 'filters.ignore_tmp_files'?)",
        ),
        (
            "\u{feff}\r\n\r\n[filter]\r\nignore_tmp_files = true\r\n",
            "config.toml, line 4: unknown setting 'filter.ignore_tmp_files' \
             (did you mean 'filters.ignore_tmp_files'?)",
        ),
        (
            "quiet = true",
            "config.toml, line 1: unknown setting 'quiet' (did you mean 'output.quiet'?)",
        ),
        (
            "[output]\n\nquiet = 'yes'",
            "config.toml, line 3: 'output.quiet' must be true or false, not 'yes'",
        ),
        (
            "output = 3",
            "config.toml, line 1: unknown setting 'output' (did you mean 'output.quiet'?)",
        ),
        (
            "[output.quiet]\nx = 1",
            "config.toml, line 1: 'output.quiet' must be a value, not a table",
        ),
        (
            "[hash]\nprimary = \"sha256\"",
            "config.toml, line 2: 'hash.primary' must be 'blake3', nothing else, not \"sha256\"",
        ),
        (
            "[hash]\nrun = [\"sha256\", \"crc\"]",
            "config.toml, line 2: 'hash.run' must be a list of any of blake3, sha256, sha512, md5, \
             not [\"sha256\", \"crc\"]",
        ),
        (
            "[output]\nquiet = true\nquiet = false",
            "config.toml, line 3: duplicate key",
        ),
        ("[output]\nquiet =", "config.toml, line 2: "),
    ];
    for (text, expected) in cases {
        let sandbox = Sandbox::new();
        sandbox.write("config.toml", text);
        let found = sandbox.error();
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn errors_outside_files() {
    let mut sandbox = Sandbox::new();
    sandbox.environment("ROAR_LOG", "trace");
    sandbox.environment("ROAR_REQUIRE_BPF", "1");
    assert_eq!(sandbox.get("output.quiet").1, "default");
    sandbox.environment("ROAR_OUTPUT__QUIT", "1");
    assert_eq!(
        sandbox.error(),
        "environment variable ROAR_OUTPUT__QUIT: unknown setting 'output.quit' \
         (did you mean 'output.quiet'?)"
    );

    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("config.toml")).expect("made");
    assert_eq!(sandbox.error(), "cannot read 'config.toml'");

    let sandbox = Sandbox::new();
    sandbox.write("config.toml", &"#".repeat(2 << 20));
    assert!(sandbox.error().contains("too large"), "{}", sandbox.error());

    let mut sandbox = Sandbox::new();
    sandbox
        .layers
        .flags
        .push(("filters.ignore_paths", "[\"a[\"]".to_owned()));
    assert!(
        sandbox
            .error()
            .contains("list of path patterns (error parsing glob 'a['")
    );
}

#[test]
fn text_becomes_lists() {
    let cases = [
        ("", "[]"),
        ("*.log", "[\"*.log\"]"),
        ("*.log, scratch/", "[\"*.log\", \"scratch/\"]"),
        ("[\"a,b\", 'c']", "[\"a,b\", \"c\"]"),
        ("[ab]*.csv", "[\"[ab]*.csv\"]"),
        ("[]", "[]"),
    ];
    for (text, expected) in cases {
        let mut sandbox = Sandbox::new();
        sandbox.environment("ROAR_FILTERS__IGNORE_PATHS", text);
        assert_eq!(sandbox.get("filters.ignore_paths").0, expected, "{text}");
    }
    let mut sandbox = Sandbox::new();
    sandbox.environment("ROAR_HASH__RUN", "md5,sha256");
    let hashes = sandbox.layers.resolve().expect("valid").settings.hash.run;
    assert_eq!(hashes, [HashAlgorithm::Md5, HashAlgorithm::Sha256]);
}

#[test]
fn setting_a_value_changes_nothing_else() {
    let cases = [
        ("", "logging.level", "info", "[logging]\nlevel = \"info\"\n"),
        (
            "# top\n[logging]\n# why\nlevel = 'error' # because\n\n# end\n",
            "logging.level",
            "info",
            "# top\n[logging]\n# why\nlevel = \"info\" # because\n\n# end\n",
        ),
        (
            "[logging]\nlevel = 'error' # because\n",
            "logging.level",
            "warning",
            "[logging]\nlevel = \"warning\" # set # because\n",
        ),
        (
            "[logging]\r\n# why\r\nlevel = 'error'\r\n",
            "output.quiet",
            "yes",
            "[logging]\r\n# why\r\nlevel = 'error'\r\n\r\n[output]\r\nquiet = true\r\n",
        ),
        (
            "filters.ignore_tmp_files = false\n[hash]\n",
            "filters.ignore_paths",
            "*.log,tmp/",
            "filters.ignore_tmp_files = false\nfilters.ignore_paths = [\"*.log\", \"tmp/\"]\n[hash]\n",
        ),
        (
            "output = { quiet = false }\n",
            "output.quiet",
            "false",
            "output = { quiet = false }\n",
        ),
    ];
    for (before, key, value, after) in cases {
        let sandbox = Sandbox::new();
        sandbox.write("config.toml", before);
        set(&sandbox.path("config.toml"), key, value).expect("set");
        let found = fs::read_to_string(sandbox.path("config.toml")).expect("read");
        assert_eq!(found, after);
        let _ = sandbox.get(key);
    }
}

#[test]
fn refused_values_leave_the_file_alone() {
    let cases = [
        (
            "output.quiet",
            "maybe",
            "'output.quiet' must be true or false, not 'maybe'",
        ),
        (
            "quiet",
            "true",
            "unknown setting 'quiet' (did you mean 'output.quiet'?)",
        ),
        (
            "hash.primary",
            "md5",
            "'hash.primary' must be 'blake3', nothing else, not 'md5'",
        ),
    ];
    for (key, value, expected) in cases {
        let sandbox = Sandbox::new();
        let path = sandbox.path("config.toml");
        let error = set(&path, key, value).expect_err("refused");
        assert_eq!(error.to_string(), expected);
        assert!(!path.exists());
    }
}
