//! Which file of src imports from which: by its `use` declarations and by the paths in its code.
//!
//! A path is followed to the file that defines what it names: through the modules, and through the re-exports of those it
//! passes. So `super::Effect` is an import from `shard/effect.rs` although `shard/mod.rs` passes it on. Declaring a module
//! is no import, nor is passing a name on.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, blank, is_word};

/// A module's name from the root of the crate, such as `["shard", "effect"]`.
type Module = Vec<String>;

/// Imports from file to file, both from the root of the repository, with one name that is imported.
pub type Imports = BTreeMap<String, BTreeMap<String, String>>;

/// The modules of one crate.
pub struct Modules {
    files: BTreeMap<Module, File>,
}

struct File {
    path: String,
    /// Names that `use` declarations bind, with what they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// Modules of which everything is bound.
    globs: Vec<Vec<String>>,
    /// Every path that the file says.
    paths: BTreeSet<Vec<String>>,
    /// Names of what the file itself defines.
    defines: BTreeSet<String>,
}

impl Modules {
    /// The modules of the crate whose root is `folder`/lib.rs.
    pub fn new(folder: &str, sources: &[Source]) -> Modules {
        let module = |source: &Source| -> Module {
            let path = source.folder_of_modules();
            let below = path.strip_prefix(folder).unwrap().split('/');
            below.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        // src/main.rs is a crate of its own.
        let sources = sources.iter().filter(|source| !source.path.ends_with("/main.rs"));
        Modules { files: sources.map(|source| (module(source), File::new(source))).collect() }
    }

    pub fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (module, file) in &self.files {
            let from = imports.entry(file.path.clone()).or_default();
            for path in &file.paths {
                let Some(to) = self.file_of(module, path, 0) else { continue };
                if to != file.path {
                    from.entry(to).or_insert_with(|| path.join("::"));
                }
            }
        }
        imports
    }

    /// The file that defines what `path` names in `module`; none for a module itself and for what is not of this crate.
    fn file_of(&self, module: &Module, path: &[String], depth: usize) -> Option<String> {
        if depth > 8 {
            return None;
        }
        let (mut at, mut rest) = self.begin(module, path)?;
        while let Some((name, others)) = rest.split_first() {
            let child: Module = at.iter().chain([name]).cloned().collect();
            if !self.files.contains_key(&child) {
                return self.in_file(&at, name, others, depth);
            }
            (at, rest) = (child, others);
        }
        None
    }

    /// The module that the first words of a path name, and the words after these.
    fn begin<'a>(&self, module: &Module, path: &'a [String]) -> Option<(Module, &'a [String])> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((Module::new(), rest)),
            "self" => Some((module.clone(), rest)),
            "super" => {
                let above = rest.iter().take_while(|word| *word == "super").count();
                let kept = module.len().checked_sub(above + 1)?;
                Some((module[..kept].to_vec(), &rest[above..]))
            }
            name => {
                let child: Module = module.iter().cloned().chain([name.to_owned()]).collect();
                let bound = self.files[module].names.contains_key(name);
                (self.files.contains_key(&child) || bound).then(|| (module.clone(), path))
            }
        }
    }

    /// The file that defines `name` of `module`, which has no module of that name.
    fn in_file(&self, module: &Module, name: &str, rest: &[String], depth: usize) -> Option<String> {
        let file = self.files.get(module)?;
        if file.defines.contains(name) {
            return Some(file.path.clone());
        }
        if let Some(stands_for) = file.names.get(name) {
            let path: Vec<String> = stands_for.iter().chain(rest).cloned().collect();
            let own = path.first().is_some_and(|first| first == name) && stands_for.len() == 1;
            return if own { None } else { self.file_of(module, &path, depth + 1) };
        }
        // Of what the file passes on whole, the one that has the name; else a macro in this file has made it.
        let passed_on = file.globs.iter().filter_map(|glob| self.module_of(module, glob));
        let has = |module: &Module| {
            self.files[module].defines.contains(name) || self.files[module].names.contains_key(name)
        };
        match passed_on.into_iter().find(has) {
            Some(other) => self.in_file(&other, name, rest, depth + 1),
            None => Some(file.path.clone()),
        }
    }

    fn module_of(&self, module: &Module, path: &[String]) -> Option<Module> {
        let (at, rest) = self.begin(module, path)?;
        let whole: Module = at.iter().chain(rest).cloned().collect();
        self.files.contains_key(&whole).then_some(whole)
    }
}

impl File {
    fn new(source: &Source) -> File {
        let mut file = File {
            path: source.path.clone(),
            names: BTreeMap::new(),
            globs: Vec::new(),
            paths: BTreeSet::new(),
            defines: definitions(&source.code),
        };
        let declarations = declarations(&source.code);
        let mut code = source.code.clone();
        for (start, end) in &declarations {
            blank(&mut code, *start, *end);
        }
        file.paths.extend(paths(&code));
        let said: BTreeSet<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        for (start, end) in declarations {
            let passes_on = source.code[..start].trim_end_matches("use ").trim_end().ends_with(['b', ')']);
            for (path, name) in leaves(&source.code[start..end]) {
                file.bind(path, name, |name| !passes_on || said.contains(name));
            }
        }
        file
    }

    fn bind(&mut self, path: Vec<String>, name: String, used: impl Fn(&str) -> bool) {
        if name == "*" {
            self.globs.push(path);
            return;
        }
        // A trait may be used without being said.
        if used(&name) {
            self.paths.insert(path.clone());
        }
        if name != "_" {
            self.names.insert(name, path);
        }
    }
}

/// Where the trees of `use` declarations begin and end.
fn declarations(code: &str) -> Vec<(usize, usize)> {
    let words = code.match_indices("use ").map(|(at, word)| (at, at + word.len()));
    let whole = words.filter(|(at, _)| *at == 0 || !is_word(code.as_bytes()[at - 1]));
    whole.filter_map(|(_, start)| Some((start, start + code[start..].find(';')?))).collect()
}

/// The paths of a `use` tree, each with the name that it binds.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some((front, group)) = tree.split_once('{') {
        let front = words(front);
        let inner = group.trim_end().strip_suffix('}').unwrap_or(group);
        let below = parts(inner).into_iter().flat_map(leaves);
        return below
            .map(|(path, name)| {
                let name = if name == "self" { front.last().cloned().unwrap_or_default() } else { name };
                let path = path.into_iter().filter(|word| word != "self");
                (front.iter().cloned().chain(path).collect(), name)
            })
            .collect();
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let mut path = words(path);
    let Some(last) = path.last().cloned() else { return Vec::new() };
    if last == "*" {
        path.pop();
    }
    vec![(path, alias.map_or(last, |alias| alias.trim().to_owned()))]
}

fn words(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What commas outside of braces part.
fn parts(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let outside = move |c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    };
    group.split(outside).filter(|part| !part.trim().is_empty()).collect()
}

/// Every path of two words or more in code.
fn paths(code: &str) -> impl Iterator<Item = Vec<String>> {
    let pieces = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    pieces.filter(|piece| piece.contains("::") && !piece.starts_with(':')).map(words)
}

/// Names of the items that a file defines.
fn definitions(code: &str) -> BTreeSet<String> {
    const KINDS: [&str; 9] = ["struct", "enum", "trait", "fn", "type", "const", "static", "union", "mod"];
    let mut found = BTreeSet::new();
    let mut before = "";
    for word in code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()) {
        if KINDS.contains(&before) {
            found.insert(word.to_owned());
        }
        before = word;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_followed_to_where_things_are_defined() {
        let files = [
            ("src/lib.rs", "pub mod a;\npub mod b;"),
            (
                "src/a/mod.rs",
                "mod one;\nmod two;\npub use one::{One, Other as Another};\npub use two::*;\npub struct Own(One);",
            ),
            ("src/a/one.rs", "use super::Two;\npub struct One;\npub struct Other;"),
            ("src/a/two.rs", "pub struct Two { own: super::Own }"),
            ("src/b.rs", "use crate::a::{self, Another};\nfn f(x: a::Two, y: std::io::Error) {}"),
        ];
        let sources = files.map(|(path, text)| Source::new(path, text.to_owned()));
        let imports = Modules::new("src", &sources).imports();
        let check = |from: &str, expected: &[&str]| {
            assert_eq!(imports[from].keys().collect::<Vec<_>>(), expected, "{from}");
        };
        check("src/a/mod.rs", &["src/a/one.rs"]);
        check("src/a/one.rs", &["src/a/two.rs"]);
        check("src/a/two.rs", &["src/a/mod.rs"]);
        check("src/b.rs", &["src/a/one.rs", "src/a/two.rs"]);
    }
}
