//! A repository in a folder, made by git itself.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

pub struct Repository(TempDir);

impl Repository {
    pub fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "-b", "main"]);
        repository
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.0.path().display())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs git in it, with nobody's configuration, and gives what it wrote.
    pub fn git(&self, argv: &[&str]) -> String {
        let mut command = Command::new("git");
        let author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        command
            .args(author)
            .args(argv)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "git {argv:?}: {said}");
        String::from_utf8(ended.stdout).unwrap().trim().to_owned()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits all that is there; gives the commit.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", "a change"]);
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A document of an app.
pub fn document(name: &str, more: &str) -> String {
    format!(
        "apiVersion: proximity/v1\nkind: App\nmetadata:\n  name: {name}\nspec:\n  catalog_id: beacon\n{more}"
    )
}
