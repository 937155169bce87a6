//! A Rust file as the facts that rules judge: which paths it mentions and where, its macros,
//! its unsafe code. Knows no rule.

use std::path::Path;

use anyhow::Result;
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct SourceFile {
    /// From the workspace's top folder, for messages.
    pub(super) name: String,
    /// The package's folder.
    pub(super) krate: String,
    /// The path of the file's module inside its crate; empty for the root.
    pub(super) module: Vec<String>,
    /// How many lines the file has.
    pub(super) lines: usize,
    /// Whether it opens with `//!`.
    pub(super) has_module_docs: bool,
    /// The attributes of the whole crate or module, as words: `no_std`.
    pub(super) attributes: Vec<String>,
    /// Modules that are compiled for tests only and lie in files of their own.
    pub(super) test_modules: Vec<Vec<String>>,
    /// Paths mentioned.
    pub(super) mentions: Vec<Mention>,
    /// Macros called.
    pub(super) macros: Vec<Mention>,
    /// Lines of unsafe code, or of attributes that let it in.
    pub(super) unsafe_code: Vec<Mention>,
}

/// A path somewhere in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// `crate::…` where it could be resolved, else as written.
    pub(super) path: Vec<String>,
    pub(super) line: usize,
    /// Inside an item that is compiled for tests only.
    pub(super) in_test: bool,
}

impl SourceFile {
    /// Reads a file of the package whose sources lie in `folder`.
    ///
    /// # Errors
    /// It is not Rust.
    pub(super) fn parse(krate: &str, folder: &Path, path: &Path, text: &str) -> Result<Self> {
        let syntax = syn::parse_file(text)?;
        let mut reader = Reader {
            inner: Vec::new(),
            in_test: false,
            file: Self {
                name: path.display().to_string(),
                krate: krate.to_owned(),
                module: module_of(path.strip_prefix(folder).unwrap_or(path)),
                lines: text.lines().count(),
                has_module_docs: syntax.attrs.iter().any(|a| a.path().is_ident("doc")),
                ..Self::default()
            },
        };
        for attribute in &syntax.attrs {
            let words = attribute
                .path()
                .segments
                .iter()
                .map(|s| s.ident.to_string());
            reader.file.attributes.extend(words);
        }
        reader.visit_file(&syntax);
        Ok(reader.file)
    }

    /// Gives the file the name that messages use.
    pub(super) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}

/// `store/jobs.rs` is `store::jobs`; `store/mod.rs` and `store.rs` are `store`.
fn module_of(place: &Path) -> Vec<String> {
    let mut module: Vec<String> = place
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

struct Reader {
    file: SourceFile,
    /// Modules inside the file around the current item.
    inner: Vec<String>,
    in_test: bool,
}

impl Reader {
    fn mention(&self, path: Vec<String>, line: usize) -> Mention {
        Mention {
            path: self.resolved(path),
            line,
            in_test: self.in_test,
        }
    }

    /// Makes `self::` and `super::` absolute.
    fn resolved(&self, path: Vec<String>) -> Vec<String> {
        if !matches!(path.first().map(String::as_str), Some("self" | "super")) {
            return path;
        }
        let mut base: Vec<String> = self.file.module.clone();
        base.extend(self.inner.iter().cloned());
        let mut rest = path.into_iter().peekable();
        while let Some(step) = rest.next_if(|step| step == "super" || step == "self") {
            if step == "super" {
                base.pop();
            }
        }
        std::iter::once("crate".to_owned())
            .chain(base)
            .chain(rest)
            .collect()
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |name: &syn::Ident| {
            let mut path = prefix.to_vec();
            path.push(name.to_string());
            path
        };
        let line = tree.span().start().line;
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix);
                }
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let mention = self.mention(prefix.to_vec(), line);
                self.file.mentions.push(mention);
            }
            syn::UseTree::Name(syn::UseName { ident })
            | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                let mention = self.mention(with(ident), line);
                self.file.mentions.push(mention);
            }
            syn::UseTree::Glob(_) => {
                let mention = self.mention(prefix.to_vec(), line);
                self.file.mentions.push(mention);
            }
        }
    }

    /// Paths and macro calls among the arguments of a macro, which syn cannot know as code.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    let line = ident.span().start().line;
                    let mut path = vec![ident.to_string()];
                    while let Some(next) = next_segment(&tokens[at + 1..]) {
                        path.push(next);
                        at += 3;
                    }
                    let calls = matches!(tokens.get(at + 1), Some(TokenTree::Punct(p)) if p.as_char() == '!')
                        && matches!(tokens.get(at + 2), Some(TokenTree::Group(_)));
                    let mention = self.mention(path, line);
                    if calls {
                        self.file.macros.push(mention);
                    } else if mention.path == ["unsafe"] {
                        self.file.unsafe_code.push(mention);
                    } else {
                        self.file.mentions.push(mention);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn unsafe_at(&mut self, span: proc_macro2::Span) {
        let mention = self.mention(vec!["unsafe".to_owned()], span.start().line);
        self.file.unsafe_code.push(mention);
    }

    fn within(&mut self, attributes: &[syn::Attribute], visit: impl FnOnce(&mut Self)) {
        let before = self.in_test;
        self.in_test |= attributes.iter().any(is_for_tests);
        visit(self);
        self.in_test = before;
    }
}

/// `:: name` at the start of the tokens.
fn next_segment(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [
            TokenTree::Punct(a),
            TokenTree::Punct(b),
            TokenTree::Ident(name),
            ..,
        ] if a.as_char() == ':' && b.as_char() == ':' => Some(name.to_string()),
        _ => None,
    }
}

/// `#[test]`, or a `#[cfg(…)]` that demands `test`.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    attribute.path().is_ident("cfg") && demands_test(list.tokens.clone())
}

/// `test`, or `all(…)` with it: not `any(…)`, not `not(…)`.
fn demands_test(tokens: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    tokens.iter().enumerate().any(|(at, token)| match token {
        TokenTree::Ident(ident) if ident == "test" => true,
        TokenTree::Group(group) => {
            let head = at.checked_sub(1).and_then(|before| tokens.get(before));
            matches!(head, Some(TokenTree::Ident(head)) if head == "all")
                && demands_test(group.stream())
        }
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        self.within(attributes_of(item), |reader| {
            visit::visit_item(reader, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if let Some(token) = &item.sig.unsafety {
            self.unsafe_at(token.span());
        }
        self.within(&item.attrs, |reader| {
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        if item.content.is_none() {
            if self.in_test {
                let mut module = self.file.module.clone();
                module.extend(self.inner.iter().cloned());
                module.push(name);
                self.file.test_modules.push(module);
            }
            return;
        }
        self.inner.push(name);
        visit::visit_item_mod(self, item);
        self.inner.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let mention = self.mention(names, path.span().start().line);
        self.file.mentions.push(mention);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let names = call.path.segments.iter().map(|s| s.ident.to_string());
        let mention = self.mention(names.collect(), call.path.span().start().line);
        self.file.macros.push(mention);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let lets_in = ["allow", "expect"]
            .iter()
            .any(|name| attribute.path().is_ident(name));
        if let (true, syn::Meta::List(list)) = (lets_in, &attribute.meta) {
            let names_it = list
                .tokens
                .clone()
                .into_iter()
                .any(|token| matches!(&token, TokenTree::Ident(name) if name == "unsafe_code"));
            if names_it {
                self.unsafe_at(attribute.span());
            }
        }
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_at(block.unsafe_token.span());
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if let Some(token) = &item.sig.unsafety {
            self.unsafe_at(token.span());
        }
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some(token) = &item.unsafety {
            self.unsafe_at(token.span());
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        self.unsafe_at(item.span());
        visit::visit_item_foreign_mod(self, item);
    }
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item as I;
    match item {
        I::Const(item) => &item.attrs,
        I::Enum(item) => &item.attrs,
        I::Fn(item) => &item.attrs,
        I::Impl(item) => &item.attrs,
        I::Macro(item) => &item.attrs,
        I::Mod(item) => &item.attrs,
        I::Static(item) => &item.attrs,
        I::Struct(item) => &item.attrs,
        I::Trait(item) => &item.attrs,
        I::Type(item) => &item.attrs,
        I::Use(item) => &item.attrs,
        _ => &[],
    }
}
