//! The copy of the checked-in tree that mutants are made in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::list::Mutant;

/// The copy.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Copies what is checked in, as it is in the working folder. Files that are the same already keep their time, so
    /// that cargo builds little.
    ///
    /// # Errors
    /// When git or the file system fails.
    pub fn copy(repository: &Path, root: PathBuf) -> Result<Self> {
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(repository).output()?;
        ensure!(listed.status.success(), "git ls-files failed in {}", repository.display());
        let names = String::from_utf8(listed.stdout).context("names of files")?;
        for name in names.split_terminator('\0') {
            let from = repository.join(name);
            let content = fs::read(&from).with_context(|| from.display().to_string())?;
            let to = root.join(name);
            if fs::read(&to).is_ok_and(|there| there == content) {
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(&root))?;
            fs::write(&to, content)?;
            fs::set_permissions(&to, fs::metadata(&from)?.permissions())?;
        }
        remove_others(&root, &root, &names)?;
        Ok(Self { root })
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the guard out. Put back by [`Self::restore`].
    ///
    /// # Errors
    /// When the text is not there exactly once.
    pub fn mutate(&self, mutant: &Mutant) -> Result<Original> {
        let path = self.root.join(mutant.file);
        let text = fs::read_to_string(&path).with_context(|| mutant.file.to_owned())?;
        fs::write(&path, mutated(mutant, &text)?)?;
        Ok(Original { path, text })
    }

    /// Puts a file back.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn restore(&self, original: &Original) -> io::Result<()> {
        fs::write(&original.path, &original.text)
    }
}

/// A file as it was.
#[derive(Debug)]
pub struct Original {
    path: PathBuf,
    text: String,
}

/// The file's text without the guard.
///
/// # Errors
/// When the text to be replaced is not there exactly once.
pub fn mutated(mutant: &Mutant, text: &str) -> Result<String> {
    match text.matches(mutant.old).count() {
        1 => Ok(text.replacen(mutant.old, mutant.new, 1)),
        count => bail!("{}: its text occurs {count} times in {}, not once: {:?}", mutant.name, mutant.file, mutant.old),
    }
}

/// Files of an earlier copy that are no longer checked in.
fn remove_others(root: &Path, folder: &Path, names: &str) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(root, &path, names)?;
        } else if let Ok(name) = path.strip_prefix(root)
            && !names.split_terminator('\0').any(|listed| Path::new(listed) == name)
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
