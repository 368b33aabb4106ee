//! Reads the named items that each source file takes from others, out of its syntax tree.
//!
//! An edge leads to the file that defines the item, through any `pub use`. A `mod`, a re-export and anything under
//! `#[cfg(test)]` is no edge. Methods are no edges either: their type is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree, Visibility};

/// One item of `to` that `from` names; both are paths of files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) item: String,
    pub(crate) to: String,
}

/// The names that the files of one crate use.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Module paths without `crate`, by file: `caller::body`.
    pub(crate) modules: BTreeMap<String, String>,
    pub(crate) edges: BTreeSet<Edge>,
    /// Pairs of a file and a name from outside the crate that it starts a path with.
    pub(crate) external: BTreeSet<(String, String)>,
    /// Paths into the crate that lead to no item: the reader has a gap.
    pub(crate) unresolved: Vec<String>,
}

/// Reads a crate from its root file. `sources` are pairs of a path and its text.
pub(crate) fn read(root: &str, sources: &[(String, String)]) -> Named {
    let mut tree = Tree {
        sources: sources
            .iter()
            .map(|(file, text)| (file.as_str(), text.as_str()))
            .collect(),
        modules: Vec::new(),
    };
    tree.load(root, None, "");
    let mut named = Named::default();
    for (id, module) in tree.modules.iter().enumerate() {
        named
            .modules
            .entry(module.file.clone())
            .or_insert_with(|| module.path.clone());
        let mut reader = Reader {
            tree: &tree,
            module: id,
            blocks: Vec::new(),
            named: &mut named,
        };
        for item in &module.syntax {
            reader.visit_item(item);
        }
    }
    named
}

type ModuleId = usize;

/// A `use` of one name, or the path of a glob.
type Import = Vec<String>;

#[derive(Default)]
struct Module {
    file: String,
    path: String,
    parent: Option<ModuleId>,
    children: HashMap<String, ModuleId>,
    items: HashSet<String>,
    imports: HashMap<String, Vec<Import>>,
    globs: Vec<Import>,
    /// Everything but inline modules, which are modules of their own.
    syntax: Vec<Item>,
}

struct Tree<'s> {
    sources: HashMap<&'s str, &'s str>,
    modules: Vec<Module>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Item(ModuleId, String),
    Module(ModuleId),
    /// A name of another crate, of the prelude, or local to a function.
    Outside,
    /// Nothing in the module has this name.
    Missing,
}

impl Tree<'_> {
    fn load(&mut self, file: &str, parent: Option<ModuleId>, path: &str) -> ModuleId {
        let text = self.sources[file];
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.add(file, parent, path, syntax.items)
    }

    fn add(
        &mut self,
        file: &str,
        parent: Option<ModuleId>,
        path: &str,
        items: Vec<Item>,
    ) -> ModuleId {
        let id = self.modules.len();
        self.modules.push(Module {
            file: file.to_owned(),
            path: path.to_owned(),
            parent,
            ..Module::default()
        });
        for item in items {
            if is_test(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(item) => {
                    let name = item.ident.to_string();
                    let path = [path, &name]
                        .into_iter()
                        .filter(|part| !part.is_empty())
                        .collect::<Vec<_>>()
                        .join("::");
                    let child = match item.content {
                        Some((_, items)) => self.add(file, Some(id), &path, items),
                        None => self.load(&self.file_of(file, &path), Some(id), &path),
                    };
                    self.modules[id].children.insert(name, child);
                }
                Item::Use(item) => {
                    let module = &mut self.modules[id];
                    import(&item, &mut module.imports, &mut module.globs);
                    module.syntax.push(Item::Use(item));
                }
                item => {
                    let module = &mut self.modules[id];
                    module.items.extend(name(&item));
                    module.syntax.push(item);
                }
            }
        }
        id
    }

    /// Returns the file of a module that is declared in `parent`.
    fn file_of(&self, parent: &str, path: &str) -> String {
        let folder = &parent[..parent.find("src/").unwrap() + 4];
        let stem = format!("{folder}{}", path.replace("::", "/"));
        [format!("{stem}.rs"), format!("{stem}/mod.rs")]
            .into_iter()
            .find(|file| self.sources.contains_key(file.as_str()))
            .unwrap_or_else(|| panic!("no file for {path}"))
    }

    /// Resolves a path relative to a module. `deeper` means that more segments follow, so that a module is meant.
    fn resolve(&self, at: ModuleId, path: &[String], deeper: bool, seen: &mut Seen) -> Target {
        let mut rest = path;
        let mut module = match rest.first().map(String::as_str) {
            Some("crate") => 0,
            Some("self") => at,
            Some("super") => self.modules[at].parent.unwrap(),
            Some(first) => {
                let deeper = deeper || rest.len() > 1;
                match self.lookup(at, first, deeper, seen) {
                    Target::Module(module) => module,
                    Target::Missing => return Target::Outside,
                    target => return target,
                }
            }
            None => return Target::Outside,
        };
        rest = &rest[1..];
        while let Some((name, after)) = rest.split_first() {
            if name == "super" {
                module = self.modules[module].parent.unwrap();
            } else {
                match self.lookup(module, name, deeper || !after.is_empty(), seen) {
                    Target::Module(next) => module = next,
                    target => return target,
                }
            }
            rest = after;
        }
        Target::Module(module)
    }

    fn lookup(&self, at: ModuleId, name: &str, deeper: bool, seen: &mut Seen) -> Target {
        if !seen.insert((at, name.to_owned(), deeper)) {
            return Target::Missing;
        }
        let module = &self.modules[at];
        let child = module.children.get(name).map(|&id| Target::Module(id));
        if deeper && let Some(child) = child {
            return child;
        }
        if module.items.contains(name) {
            return Target::Item(at, name.to_owned());
        }
        let mut outside = false;
        for import in module.imports.get(name).into_iter().flatten() {
            match self.resolve(at, import, deeper, seen) {
                Target::Missing => {}
                Target::Outside => outside = true,
                target => return target,
            }
        }
        if let Some(child) = child {
            return child;
        }
        for glob in &module.globs {
            match self.resolve(at, glob, true, seen) {
                Target::Module(from) => match self.lookup(from, name, deeper, seen) {
                    Target::Missing => {}
                    target => return target,
                },
                // A variant, or a name of another crate.
                Target::Item(..) | Target::Outside => outside = true,
                Target::Missing => {}
            }
        }
        if outside {
            Target::Outside
        } else {
            Target::Missing
        }
    }
}

/// Names that are being looked up, so that imports in a circle end.
type Seen = HashSet<(ModuleId, String, bool)>;

struct Reader<'t, 's> {
    tree: &'t Tree<'s>,
    module: ModuleId,
    /// Imports of the blocks around, innermost last.
    blocks: Vec<HashMap<String, Vec<Import>>>,
    named: &'t mut Named,
}

impl Reader<'_, '_> {
    /// Records the item that a path names.
    fn path(&mut self, path: &[String]) {
        if let Target::Item(module, item) = self.target(path, false) {
            self.edge(module, &item);
        }
    }

    fn target(&mut self, path: &[String], deeper: bool) -> Target {
        let mut full = path.to_vec();
        for block in self.blocks.iter().rev() {
            if let Some(imports) = block.get(&full[0]) {
                full.splice(..1, imports[0].iter().cloned());
                break;
            }
        }
        let target = self
            .tree
            .resolve(self.module, &full, deeper, &mut Seen::new());
        let from = &self.tree.modules[self.module].file;
        match &target {
            Target::Item(..) | Target::Module(_) => {}
            Target::Outside => {
                self.named.external.insert((from.clone(), full[0].clone()));
            }
            Target::Missing => {
                let path = full.join("::");
                self.named.unresolved.push(format!("{from}: {path}"));
            }
        }
        target
    }

    fn edge(&mut self, to: ModuleId, item: &str) {
        let from = self.tree.modules[self.module].file.clone();
        let to = self.tree.modules[to].file.clone();
        if from != to {
            let item = item.to_owned();
            self.named.edges.insert(Edge { from, item, to });
        }
    }

    /// Reads the paths in a macro's arguments, which have no syntax tree. One segment alone counts where it looks like a
    /// type: others are mostly local variables.
    fn tokens(&mut self, mut cursor: Cursor<'_>) {
        let mut after_dot = false;
        while !cursor.eof() {
            if let Some((inner, _, _, next)) = cursor.any_group() {
                self.tokens(inner);
                cursor = next;
            } else if let Some((first, next)) = cursor.ident() {
                let mut path = vec![first.to_string()];
                cursor = next;
                while let Some((segment, next)) = colons(cursor).and_then(Cursor::ident) {
                    path.push(segment.to_string());
                    cursor = next;
                }
                let is_type = path[0].starts_with(char::is_uppercase);
                if !after_dot && (path.len() > 1 || is_type) {
                    self.path(&path);
                }
                after_dot = false;
            } else {
                after_dot = cursor
                    .punct()
                    .is_some_and(|(punct, _)| punct.as_char() == '.');
                cursor = cursor.token_tree().unwrap().1;
            }
        }
    }
}

/// Skips `::`.
fn colons(cursor: Cursor<'_>) -> Option<Cursor<'_>> {
    let (first, next) = cursor.punct()?;
    if first.as_char() != ':' {
        return None;
    }
    let (second, next) = next.punct()?;
    (second.as_char() == ':').then_some(next)
}

impl<'ast> Visit<'ast> for Reader<'_, '_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => return visit::visit_impl_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for (_, mut path) in leaves(item) {
            let is_glob = path.pop_if(|last| last == "*").is_some();
            let target = self.target(&path, is_glob);
            match target {
                _ if !matches!(item.vis, Visibility::Inherited) => {}
                Target::Item(module, item) => self.edge(module, &item),
                Target::Module(module) if is_glob => self.edge(module, "*"),
                _ => {}
            }
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let mut imports = HashMap::new();
        for statement in &block.stmts {
            if let syn::Stmt::Item(Item::Use(item)) = statement {
                import(item, &mut imports, &mut Vec::new());
            }
        }
        // An import resolves from the module, not through itself.
        for statement in &block.stmts {
            if let syn::Stmt::Item(Item::Use(item)) = statement {
                self.visit_item_use(item);
            }
        }
        self.blocks.push(imports);
        for statement in &block.stmts {
            if !matches!(statement, syn::Stmt::Item(Item::Use(_))) {
                self.visit_stmt(statement);
            }
        }
        self.blocks.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments: Vec<String> = path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect();
            self.path(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }

    fn visit_macro(&mut self, makro: &'ast syn::Macro) {
        self.visit_path(&makro.path);
        self.tokens(TokenBuffer::new2(makro.tokens.clone()).begin());
    }
}

/// Splits a `use` into pairs of the name it brings in and a path, whose last segment may be `*`.
fn leaves(item: &syn::ItemUse) -> Vec<(String, Import)> {
    fn walk(tree: &UseTree, before: &[String], found: &mut Vec<(String, Import)>) {
        let with = |name: &syn::Ident| {
            let mut path = before.to_vec();
            // `use a::{self}` is `use a`.
            if before.is_empty() || name != "self" {
                path.push(name.to_string());
            }
            path
        };
        match tree {
            UseTree::Path(tree) => walk(&tree.tree, &with(&tree.ident), found),
            UseTree::Name(tree) => {
                let path = with(&tree.ident);
                found.push((path.last().unwrap().clone(), path));
            }
            UseTree::Rename(tree) => found.push((tree.rename.to_string(), with(&tree.ident))),
            UseTree::Glob(_) => {
                let path = [before, &["*".to_owned()]].concat();
                found.push(("*".to_owned(), path));
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    walk(tree, before, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    if item.leading_colon.is_none() {
        walk(&item.tree, &[], &mut found);
    }
    found
}

fn import(
    item: &syn::ItemUse,
    imports: &mut HashMap<String, Vec<Import>>,
    globs: &mut Vec<Import>,
) {
    for (name, mut path) in leaves(item) {
        if name == "*" {
            path.pop();
            globs.push(path);
        } else {
            imports.entry(name).or_default().push(path);
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns the name that an item gives to its module, if any.
fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
