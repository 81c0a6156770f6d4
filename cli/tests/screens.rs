//! What people see, on terminals of 80 and of 40 columns, dark and light, as text in `screens/`.
//!
//! What differs from run to run (addresses, times, names of directories) is made the same before the terminal sees it, and so
//! is the pattern of a QR code. With `WORMHOLE_WRITE_SCREENS` set, the files are written instead of compared.
#![cfg(test)]
#![cfg(unix)]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use wormhole_tests::{Kind, Program, Route, Sample, Scene, Servers, Terminal, Who, new_code, ok};

const OURS: Who<'static> = Who::Ours(env!("CARGO_BIN_EXE_wormhole"));
const LIMIT: Duration = Duration::from_secs(60);
const ROWS: u16 = 60;
const WIDTHS: [u16; 2] = [80, 40];
/// What terminals say of their colours, foreground and background.
const THEMES: [(&str, &str); 2] = [("dark", "15;0"), ("light", "0;15")];

#[test]
fn a_sender_sees_the_code_and_how_it_ends() {
    expect_screens("send", |watch| {
        let pair = Pair::new(Kind::File(5000));
        let terminal = watch.run(&pair.command("send", &pair.from, &["--code", &pair.code, &pair.path]));
        // The peer comes when there is something to see.
        terminal.wait_for("\nwormhole receive ", 0, LIMIT);
        let receiving = pair.start("receive", &pair.to, &["--accept-file", &pair.code]);
        let shown = watch.ended(terminal, "Transfer complete.", 0);
        receiving.succeed(LIMIT);
        (shown, pair)
    });
}

#[test]
fn a_receiver_sees_what_is_offered_and_where_it_lies() {
    for (name, kind) in [("receive", Kind::File(5000)), ("directory", Kind::Directory)] {
        expect_screens(name, |watch| {
            let pair = Pair::new(kind);
            let sending = pair.start("send", &pair.from, &["--code", &pair.code, &pair.path]);
            let mut terminal = watch.run(&pair.command("receive", &pair.to, &[&pair.code]));
            terminal.wait_for("ok? (Y/n): ", 0, LIMIT);
            terminal.type_in("y\r");
            let shown = watch.ended(terminal, "written to: ", 0);
            sending.succeed(LIMIT);
            (shown, pair)
        });
    }
}

#[test]
fn a_refusal_is_seen_by_who_refuses() {
    expect_screens("refusal", |watch| {
        let pair = Pair::new(Kind::File(5000));
        let sending = pair.start("send", &pair.from, &["--code", &pair.code, &pair.path]);
        let mut terminal = watch.run(&pair.command("receive", &pair.to, &[&pair.code]));
        terminal.wait_for("ok? (Y/n): ", 0, LIMIT);
        terminal.type_in("n\r");
        let shown = watch.ended(terminal, "ERROR: ", 1);
        sending.finish(LIMIT);
        (shown, pair)
    });
}

#[test]
fn an_error_is_seen_with_advice() {
    expect_screens("error", |watch| {
        let pair = Pair::new(Kind::Text);
        let sending = pair.start("send", &pair.from, &["--code", &pair.code, "--text", "hi"]);
        let wrong = format!("{}x", pair.code);
        let terminal = watch.run(&pair.command("receive", &pair.to, &[&wrong]));
        let shown = watch.ended(terminal, "ERROR: ", 1);
        sending.finish(LIMIT);
        (shown, pair)
    });
}

#[test]
fn without_colours_a_qr_code_suits_the_terminals_own() {
    let shown = THEMES.map(|(_, colours)| {
        let watch = Watch { columns: 80, colours, plain: true };
        let pair = Pair::new(Kind::Text);
        let terminal = watch.run(&pair.command("send", &pair.from, &["--text", "hi"]));
        terminal.wait_for("\nwormhole receive ", 0, LIMIT);
        assert!(!terminal.screen().contains('\x1b'), "{}", terminal.screen());
        terminal.screen().lines().find(|line| line.contains(['█', '▀', '▄'])).map(str::to_owned)
    });
    // The first line is the border: blocks where they are light, and nothing where they are dark.
    assert!(shown[0].as_ref().is_some_and(|line| line.starts_with('█')), "{shown:?}");
    assert!(shown[1].as_ref().is_some_and(|line| !line.starts_with('█')), "{shown:?}");
}

/// Two directories, something to send, and a code.
struct Pair {
    from: PathBuf,
    to: PathBuf,
    path: String,
    code: String,
    root: TempDir,
}

impl Pair {
    #[track_caller]
    fn new(kind: Kind) -> Self {
        let root = ok(TempDir::new(), "a directory");
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        ok(fs::create_dir(&from).and_then(|()| fs::create_dir(&to)), "two directories");
        let path = Sample::make(kind, &from).path().display().to_string();
        Self { from, to, path, code: new_code(), root }
    }

    fn command(&self, command: &str, directory: &Path, arguments: &[&str]) -> Command {
        let mut line = Command::new(env!("CARGO_BIN_EXE_wormhole"));
        let servers = Servers::ours();
        line.current_dir(directory).args(["--relay-url", &servers.mailbox_url(), "--transit-helper", ""]);
        line.args([command]).args(arguments).env("LC_ALL", "C.UTF-8").env("WORMHOLE_CONFIG", "");
        line
    }

    #[track_caller]
    fn start(&self, command: &str, directory: &Path, arguments: &[&str]) -> Program {
        Scene { servers: Servers::ours(), route: Route::Direct }.start(OURS, command, arguments, directory)
    }
}

/// A terminal on which something is watched.
#[derive(Clone, Copy)]
struct Watch {
    columns: u16,
    colours: &'static str,
    plain: bool,
}

impl Watch {
    #[track_caller]
    fn run(self, command: &Command) -> Terminal {
        let mut line = Command::new(command.get_program());
        line.args(command.get_args())
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = command.get_current_dir() {
            line.current_dir(directory);
        }
        line.env("COLORFGBG", self.colours).env("NO_COLOR", if self.plain { "1" } else { "" });
        Terminal::run_sized(&line, self.columns, ROWS)
    }

    #[track_caller]
    fn ended(self, mut terminal: Terminal, last: &str, code: i32) -> String {
        let seen = terminal.wait_for(last, 0, LIMIT);
        terminal.wait_for("\n", seen, LIMIT);
        let (ended, _) = terminal.finish(LIMIT);
        assert_eq!(ended.map(|ended| ended.min(1)), Some(code), "{}", terminal.screen());
        terminal.screen()
    }
}

/// Runs a scene on every terminal and compares what it shows with what is in the tree.
#[track_caller]
fn expect_screens(name: &str, scene: impl Fn(Watch) -> (String, Pair)) {
    for columns in WIDTHS {
        let [dark, light] = THEMES.map(|(_, colours)| {
            let (shown, pair) = scene(Watch { columns, colours, plain: false });
            drawn(&steady(&shown, &pair), columns)
        });
        // Nothing but a QR code has colours, and it has both.
        assert_eq!(dark, light);
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/screens/{name}-{columns}.txt"));
        if env::var_os("WORMHOLE_WRITE_SCREENS").is_some() {
            ok(fs::write(&place, &dark), "a screen");
        }
        let wanted = ok(fs::read_to_string(&place), "a screen of the tree");
        assert_eq!(dark, wanted, "{}:\n{dark}", place.display());
    }
}

/// What was shown, with what differs from run to run made the same, at the same length where it matters for the lines.
fn steady(shown: &str, pair: &Pair) -> String {
    let root = pair.root.path().canonicalize().unwrap_or_default().display().to_string();
    let mut text = shown.replace(&root, "/tmp/.tmpABCDEF");
    text = text.replace(&pair.code, "4000-guitarist-revenge");
    // Whichever side calls the other first.
    for head in ["(<-", "(->tcp:"] {
        if let Some((before, rest)) = text.split_once(head)
            && let Some((_, after)) = rest.split_once(')')
        {
            text = format!("{before}(->tcp:192.0.2.2:40000){after}");
        }
    }
    text
}

/// The rows of the screen, without the empty ones at its end.
fn drawn(shown: &str, columns: u16) -> String {
    let mut parser = vt100::Parser::new(ROWS, columns, 0);
    parser.process(shown.as_bytes());
    let screen = parser.screen();
    let rows: Vec<String> = screen
        .rows(0, columns)
        .zip(0..)
        .map(|(text, row)| {
            let colours = |column| screen.cell(row, column).map(|cell| (cell.fgcolor(), cell.bgcolor()));
            let default = Some((vt100::Color::Default, vt100::Color::Default));
            let coloured =
                (0..columns).filter(|column| colours(*column) != default && colours(*column).is_some());
            if coloured
                .clone()
                .any(|column| colours(column) == Some((vt100::Color::Idx(255), vt100::Color::Idx(232))))
            {
                assert!(text.chars().all(|c| "█▀▄\u{a0} ".contains(c)), "{text}");
                return format!("(QR code, {} columns)", coloured.count());
            }
            assert_eq!(coloured.count(), 0, "{text}");
            // Times and rates differ, and the bar fills what they leave.
            if text.contains("%|") { "(progress)".to_owned() } else { text }
        })
        .collect();
    format!("{}\n", rows.join("\n").trim_end())
}
