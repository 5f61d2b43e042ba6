//! Which tests failed, from what `cargo test --no-fail-fast` and the test programs print.

/// A test program in which something failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedTarget {
    /// Cargo's words for it: `-p longtail-ops --lib`.
    pub selector: String,
    /// Tests by name; empty when the program ended before it could say.
    pub tests: Vec<String>,
    /// How it ended, if not by itself: `signal: 6, SIGABRT: process abort signal`.
    pub end: Option<String>,
}

/// Looks at the output line by line.
#[derive(Debug, Default)]
pub struct Watcher {
    failed: Vec<FailedTarget>,
    /// Names of the list that is being read, or was read last.
    list: Vec<String>,
    in_list: bool,
}

impl Watcher {
    /// Takes the next line, in the order of printing.
    pub fn see(&mut self, line: &str) {
        // A program prints `failures:` twice: above what the tests said, and above their names. The last one counts.
        if line == "failures:" {
            (self.in_list, self.list) = (true, Vec::new());
        } else if let (true, Some(name)) = (self.in_list, line.strip_prefix("    ")) {
            self.list.push(name.trim_end().to_owned());
        } else if line.starts_with("test result: ") {
            self.in_list = false;
        } else if let Some(selector) = selector(line) {
            let tests = if self.in_list { Vec::new() } else { std::mem::take(&mut self.list) };
            self.failed.push(FailedTarget { selector: selector.to_owned(), tests, end: None });
            (self.in_list, self.list) = (false, Vec::new());
        } else if let (Some(target), Some(end)) = (self.failed.last_mut(), unusual_end(line)) {
            target.end = Some(end.to_owned());
        }
    }

    /// What failed, in the order of running.
    pub fn failed(self) -> Vec<FailedTarget> {
        self.failed
    }
}

/// Of cargo's line behind each program that failed.
fn selector(line: &str) -> Option<&str> {
    let words = line.strip_prefix("error: test failed").or_else(|| line.strip_prefix("error: doctest failed"))?;
    words.strip_prefix(", to rerun pass `")?.strip_suffix('`')
}

/// Of cargo's line about a program that was ended: `process didn't exit successfully: `PROGRAM` (signal: …)`.
fn unusual_end(line: &str) -> Option<&str> {
    let words = line.trim_start().strip_prefix("process didn't exit successfully: `")?;
    words.split_once("` (")?.1.strip_suffix(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As cargo 1.95 prints it, shortened.
    const PRINTED: &str = "     Running unittests src/lib.rs (target/release/deps/a-1)

running 2 tests
test fine ... ok
test deep::fails ... FAILED

failures:

---- deep::fails stdout ----
    four spaces in what it said
test result: of its own

failures:
    deep::fails
    other

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.33s

error: test failed, to rerun pass `-p a --lib`
     Running tests/b.rs (target/release/deps/b-1)

running 1 test
error: test failed, to rerun pass `-p a --test b`

Caused by:
  process didn't exit successfully: `target/release/deps/b-1` (signal: 6, SIGABRT: process abort signal)
   Doc-tests a

failures:
    src/lib.rs - d (line 2)

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.29s

error: doctest failed, to rerun pass `-p a --doc`
error: 3 targets failed:
    `-p a --lib`
";

    #[test]
    fn every_failure_is_found_with_its_program() {
        let mut watcher = Watcher::default();
        PRINTED.lines().for_each(|line| watcher.see(line));
        let target = |selector: &str, tests: &[&str], end: Option<&str>| FailedTarget {
            selector: selector.to_owned(),
            tests: tests.iter().map(|test| (*test).to_owned()).collect(),
            end: end.map(str::to_owned),
        };
        let expected = [
            target("-p a --lib", &["deep::fails", "other"], None),
            target("-p a --test b", &[], Some("signal: 6, SIGABRT: process abort signal")),
            target("-p a --doc", &["src/lib.rs - d (line 2)"], None),
        ];
        assert_eq!(watcher.failed(), expected);
    }
}
